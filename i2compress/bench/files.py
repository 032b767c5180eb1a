"""The files of results: written whole, with their folder, and JSON that every reader takes."""

from pathlib import Path

from ..errors import UsageError
from ..files import atomic_writer
from ..records import dumps


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it; UsageError where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"the folder {folder} cannot be made ({error.strerror}); choose another one") from error


def write_file(path: Path, data: bytes | str) -> Path:
    """Writes a file whole, with its folder, over an earlier one; returns its path."""
    make_folder(path.parent)
    with atomic_writer(path, force=True) as file:
        file.write(data.encode() if isinstance(data, str) else data)
    return path


def to_json(value: object) -> str:
    """The value as indented JSON with a line break at the end; see records.dumps."""
    return dumps(value, indent=1) + "\n"
