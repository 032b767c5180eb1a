"""The key of stored points follows what the code does, not where it lies or how it is written."""

import importlib
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from i2compress.bench import i2c
from i2compress.bench.code_digest import code_digest, files_reached

NUMBERS = count()

TOY = {
    "__init__.py": "",
    "run.py": "from .codec import LATE\n\n\ndef encode(x):\n    from .codec import write\n    return write(x) + LATE\n\n\n"
    "def other():\n    return 1\n",
    "codec.py": "from . import tables\nfrom .fit.loop import steps\n\nLATE = 0\n\n\ndef write(x):\n    return x * steps(tables.WEIGHTS)\n",
    "tables.py": "WEIGHTS = [1, 2]\n",
    "fit/__init__.py": "",
    "fit/loop.py": "STEPS = 5\n\n\ndef steps(weights):\n    return STEPS * len(weights)\n",
    "cli/__init__.py": "NOISE = 1\n",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that packages are imported from."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def digest(folder: Path, changes: dict[str, str | None] | None = None, without: tuple[str, ...] = ()) -> str:
    """The digest of the toy package's encoder; a new package each time, as Python imports one only once."""
    name = f"toy{next(NUMBERS)}"
    for path, text in {**TOY, **(changes or {})}.items():
        if text is not None:
            (folder / name / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / name / path).write_text(text)
    importlib.invalidate_caches()
    return code_digest(importlib.import_module(f"{name}.run").encode, without=without)


def changed(path: str, old: str, new: str) -> dict[str, str | None]:
    assert old in TOY[path]
    return {path: TOY[path].replace(old, new)}


@pytest.mark.parametrize(
    "changes",
    [
        {"fit/loop.py": None, "train.py": TOY["fit/loop.py"], **changed("codec.py", ".fit.loop", ".train")},
        {"tables.py": None, "numbers.py": TOY["tables.py"], **changed("codec.py", "tables", "numbers")},
        {"tables.py": None, "fit/tables.py": TOY["tables.py"], **changed("codec.py", "from . import", "from .fit import")},
        changed("fit/loop.py", "STEPS = 5", '"""The loop."""\n\n# Few are enough.\nSTEPS = (5)'),
        changed("codec.py", "    return", '    """Bytes."""\n\n    return'),
        changed("codec.py", "from . import tables\nfrom .fit.loop import steps\n", "from .fit.loop import steps\nfrom . import tables\n"),
        changed("cli/__init__.py", "1", "2"),
        changed("run.py", "return 1", "return 2"),
    ],
    ids=["moved", "module renamed", "module moved", "comment", "docstring", "order of imports", "not reached", "not used"],
)
def test_what_cannot_change_a_file_keeps_the_key(folder: Path, changes: dict[str, str | None]) -> None:
    assert digest(folder, changes) == digest(folder)


@pytest.mark.parametrize(
    "changes",
    [
        changed("fit/loop.py", "STEPS = 5", "STEPS = 6"),
        changed("tables.py", "2", "3"),
        changed("codec.py", "LATE = 0", "LATE = 1"),
        changed("run.py", "write(x) +", "write(x) -"),
        {"fit/again.py": "def steps(weights):\n    return 0\n", **changed("codec.py", ".fit.loop", ".fit.again")},
        {"fit/prior.npz": "0"},
    ],
    ids=["constant", "table", "constant of the start", "start", "other function of the same name", "data"],
)
def test_what_may_change_a_file_changes_the_key(folder: Path, changes: dict[str, str | None]) -> None:
    assert digest(folder, changes) != digest(folder)


def test_what_is_left_out_does_not_count(folder: Path) -> None:
    changes = changed("fit/loop.py", "STEPS = 5", "STEPS = 6")
    assert digest(folder, changes, without=("fit",)) == digest(folder, without=("fit",))


def test_what_is_not_there_is_an_error(folder: Path) -> None:
    with pytest.raises(LookupError, match="gone is to be left out"):
        digest(folder, without=("gone",))
    with pytest.raises(LookupError, match="which is not there"):
        digest(folder, {"codec.py": TOY["codec.py"] + "\n\ndef late():\n    from .gone import x\n    return x\n"})
    with pytest.raises(LookupError, match="imports by name"):
        digest(folder, {"tables.py": "import importlib\nWEIGHTS = importlib.import_module('json')\n"})


def test_the_keys_of_i2c_need_no_torch_and_are_of_pictures_or_sound() -> None:
    script = "import sys; from i2compress.bench.i2c import PICTURE, SOUNDS; print(PICTURE.versions()['sources'], SOUNDS[0].versions()['sources'])"
    done = subprocess.run([sys.executable, "-c", f"{script}; sys.exit('torch' in sys.modules)"], capture_output=True, text=True, check=True)
    picture, sound = done.stdout.split()
    assert picture != sound
    assert (picture, sound) == (i2c.PICTURE.versions()["sources"], i2c.SOUNDS[1].versions()["sources"])


LOADED = """
import sys, i2compress.codec, i2compress.fit.pyramid
print(*(module.__file__ for name, module in sys.modules.items() if name.startswith("i2compress.")))
"""


def test_every_module_that_importing_the_encoder_loads_counts() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    loaded = {Path(name) for name in done.stdout.split() if not name.endswith("__init__.py")}
    found = files_reached(i2c._encode_picture, i2c.decode_picture, without=i2c._WITHOUT_PICTURE)
    package = Path(i2c.__file__).parents[1]
    left_out = tuple(str(package.joinpath(*name.split("."))) for name in i2c._WITHOUT_PICTURE)
    assert len(loaded) > 30
    readers = str(package / "media" / "image")  # what only the readers of other formats load shapes no file of ours
    assert {path for path in loaded - found if not str(path).startswith((*left_out, readers))} == set()
    assert not any(str(path).startswith(left_out) for path in found)
    assert {package / "media" / "image" / f"{name}.py" for name in ("encode", "content", "score")} < found
