"""Modules import only from lower layers or their own folder, and what must start fast does not import torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from i2compress.container import Container, Header, write

PACKAGE = Path(__file__).parent.parent / "i2compress"

# The first part of a module's name inside the package -> its layer (docs/design.md).
LAYERS = {
    "arrays": 0,
    "errors": 0,
    "config": 0,
    "efforts": 0,
    "kinds": 0,
    "records": 0,
    "signal": 0,
    "files": 0,
    "memory": 0,
    "processes": 0,
    "checkpoints": 1,
    "header": 1,
    "container": 1,
    "metrics": 1,
    "coords": 1,
    "mesh": 1,
    "origin": 2,
    "field": 2,
    "coding": 2,
    "fit": 3,
    "render": 3,
    "planes": 4,
    "media": 5,
    "targets": 6,
    "tracks": 6,
    "codec": 6,
    "api": 7,
    "cli": 7,
    "pillow": 7,
    "imageio_plugin": 8,
    "bench": 7,
    "reproduce": 7,
    "train": 7,
}
ENTRY_POINTS = {"__init__", "__main__"}  # they may import anything: the package's names and its command
# allowed inside one layer
ORDERED = [
    ("signal", "errors"),
    ("signal", "arrays"),
    ("signal", "kinds"),
    ("files", "errors"),
    ("config", "efforts"),
    ("config", "errors"),
    ("config", "kinds"),
    ("container", "header"),
    ("field", "coding"),
    ("codec", "targets"),
    ("codec", "tracks"),
    ("cli", "bench"),
    ("cli", "reproduce"),
    ("cli", "train"),
    ("reproduce", "bench"),
]


def module_of(path: Path) -> tuple[str, ...]:
    """Dotted name inside the package: cli/encode.py -> ("cli", "encode")."""
    return path.relative_to(PACKAGE).with_suffix("").parts


def imported(path: Path) -> set[str]:
    """First parts of the names of the package's modules that a file imports, wherever in the file."""
    folder = module_of(path)[:-1]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("i2compress.")}
        elif isinstance(node, ast.ImportFrom):
            found |= _from(node, folder)
    return found


def _from(node: ast.ImportFrom, folder: tuple[str, ...]) -> set[str]:
    if node.level == 0:
        parts = (node.module or "").split(".")
        if parts[0] != "i2compress":
            return set()
        parts = parts[1:]
    else:
        parts = [*folder[: len(folder) - node.level + 1], *(node.module.split(".") if node.module else [])]
    return {parts[0]} if parts else {alias.name for alias in node.names}


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if module_of(path)[0] not in ENTRY_POINTS)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: "/".join(module_of(path)))
def test_a_module_imports_only_from_lower_layers_or_its_own_folder(path: Path) -> None:
    own = module_of(path)[0]
    assert own in LAYERS, f"give {own} a layer"
    for other in imported(path) - {own}:
        assert other in LAYERS, f"{path.name} imports {other}, which has no layer"
        assert LAYERS[other] < LAYERS[own] or (own, other) in ORDERED, f"{own} imports {other}"


def test_the_import_graph_of_the_package_has_no_cycle() -> None:
    graph: dict[str, set[str]] = {}
    for path in MODULES:
        graph.setdefault(module_of(path)[0], set()).update(imported(path) - {module_of(path)[0]})
    while graph:
        free = {name for name, others in graph.items() if not others & graph.keys()}
        assert free, f"a cycle among {sorted(graph)}"
        graph = {name: others for name, others in graph.items() if name not in free}


@pytest.mark.parametrize(
    ("folder", "banned"),
    [
        ("container", "numpy"),
        ("header", "numpy"),
        ("errors", "numpy"),
        ("config", "numpy"),
        ("media", "torch"),
        ("cli", "torch"),
        ("signal", "torch"),
        ("planes", "torch"),
    ],
)
def test_a_layer_that_must_stay_light_does_not_name_a_heavy_library(folder: str, banned: str) -> None:
    for path in MODULES:
        if module_of(path)[0] == folder:
            names = {
                name.split(".")[0]
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [getattr(node, "module", None) or ""])
            }
            assert banned not in names, path


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["encode", "-h"], ["info", "x.i2"], ["encode"], ["decode", "--scale", "-1", "x.i2"]])
def test_help_info_and_usage_errors_start_without_torch(args: list[str], tmp_path: Path) -> None:
    header = Header(kind=0, grid=(2, 3), channels=3, bit_depth=8, field=0, params=(), prior=0, streams=1)
    (tmp_path / "x.i2").write_bytes(write(Container(header=header, weights=b"", latents=(b"",))))
    script = f"import sys; from i2compress.cli import main; main({args!r}); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env={"PYTHONPATH": str(PACKAGE.parent)}, capture_output=True, check=False)
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
