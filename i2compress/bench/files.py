"""The files of results: written whole, with their folder, and JSON that every reader takes."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

from ..errors import UsageError
from ..files import atomic_writer


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
    """The value as indented JSON with a line break at the end; numbers that are not finite, which JSON has no word for, are null."""
    return json.dumps(_finite(value), indent=1, allow_nan=False) + "\n"


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    return [_finite(part) for part in value] if isinstance(value, list | tuple) else value
