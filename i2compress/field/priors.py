"""Starts: files of trained weights that a picture's own weights begin at and are coded as differences from; some guess its latents as well.

A start is an .npz of arrays `prior/NAME`, int16 `[K, *shape]`: every tensor of a field of three channels and its context model in
1/256, at each of the step codes KNOTS; and, where it guesses, `analysis/NAME`, float16, of fit.analysis, which decoders never read. The
header's prior number says which start: those that ship with the package have small numbers, any other one's number is a hash of its
priors, and a decoder finds it in the folders and files that the environment's I2C_STARTS lists.

Between knots, tables are interpolated in integers, so a prior is the same on every machine.
"""

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import MalformedError, UnsupportedVersionError
from ..files import atomic_writer
from .spec import PRIOR_BITS, Arrays, PyramidSpec, prior

KNOTS = (28, 38, 48, 58, 68)  # step codes, which go with the logarithm of lambda: from 2.2e-5 to 2.3e-2
KNOT_GAP = 10
CHANNELS = 3  # of the pictures that a start is trained on
LEVELS, SPLIT = 6, 2
FEWEST_LEVELS = 3  # of the smallest pictures, 8 a side, that have a prior
FOLDER = Path(__file__).parent / "starts"  # those that ship, NUMBER.npz
VARIABLE = "I2C_STARTS"
HASHED = 1 << 31  # numbers from here on are hashes
MOST_BYTES = 1 << 26  # of a start's file
LARGEST = 2000  # of a table: a context model's tensor with 12 fractional bits holds 8 at most; this is 7.8

Table = npt.NDArray[np.int16]

_known: dict[int, Path] = {}  # starts that this process has read, so that it can read back what it encodes with them


def knot_weights(step_code: float) -> list[float]:
    """How much each of KNOTS counts at a step code, by linear interpolation; beyond the ends, the end."""
    place = min(max(step_code, KNOTS[0]), KNOTS[-1])
    return [max(0.0, 1 - abs(place - knot) / KNOT_GAP) for knot in KNOTS]


@dataclass(frozen=True, kw_only=True)
class StartFile:
    """A start.

    Args:
        number: of its prior.
        tables: integers in 1/256 of each tensor at each knot, `[K, *shape]`.
        path: of the file.
        guesses: whether it has an analysis network as well.
    """

    number: int
    tables: Mapping[str, Table]
    path: Path
    guesses: bool

    def analysis(self) -> dict[str, npt.NDArray[np.float16]]:
        """The weights of the analysis network by name."""
        with np.load(self.path, allow_pickle=False) as arrays:
            return {name.removeprefix("analysis/"): arrays[name] for name in arrays.files if name.startswith("analysis/")}


def trained_spec(step_code: int, grid: tuple[int, int] = (64, 64)) -> PyramidSpec:
    """The field that starts are trained for."""
    return PyramidSpec(grid=grid, channels=CHANNELS, levels=LEVELS, planes=CHANNELS, split=SPLIT, step_code=step_code)


def hashed_number(tables: Mapping[str, Table]) -> int:
    """The prior number of tables that do not ship: HASHED and the first 31 bits of a SHA-256 over names, shapes and values."""
    digest = hashlib.sha256()
    for name in sorted(tables):
        digest.update(f"{name} {tables[name].shape};".encode())
        digest.update(tables[name].astype("<i2").tobytes())
    return HASHED | int.from_bytes(digest.digest()[:4], "big") >> 1


def read_start(path: Path) -> StartFile:
    """Read the priors of a start.

    Raises:
        MalformedError: no start, or one of other networks than this version's.
        OSError: it cannot be read.
    """
    if path.stat().st_size > MOST_BYTES:
        raise MalformedError(f"{path} has {path.stat().st_size} bytes; expected a start that i2c train has written, of at most {MOST_BYTES}")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            tables = {name.removeprefix("prior/"): arrays[name] for name in arrays.files if name.startswith("prior/")}
            guesses = any(name.startswith("analysis/") for name in arrays.files)
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise MalformedError(f"{path} is no start; expected a file that i2c train has written") from error
    expected = {name: (len(KNOTS), *shape) for name, shape in trained_spec(KNOTS[0]).weight_shapes.items()}
    if {name: table.shape for name, table in tables.items()} != expected or any(table.dtype != np.int16 for table in tables.values()):
        raise MalformedError(f"{path} is a start for other networks than this version's; train one anew")
    ships = path.parent == FOLDER and path.stem.isdigit()
    number = int(path.stem) if ships else hashed_number(tables)
    _known[number] = path
    return StartFile(number=number, tables=tables, path=path, guesses=guesses)


def write_start(path: Path, tables: Mapping[str, npt.NDArray[np.floating]], analysis: Mapping[str, npt.NDArray[np.floating]] | None = None) -> None:
    """Write a start, over the one that there is.

    Args:
        path: of the file.
        tables: whole numbers, of each tensor in 1/256 at each knot, `[K, *shape]`; those over LARGEST become it.
        analysis: the weights of an analysis network by name; None for none.
    """
    arrays: dict[str, npt.NDArray[np.generic]] = {f"prior/{name}": table.clip(-LARGEST, LARGEST).astype(np.int16) for name, table in tables.items()}
    arrays |= {f"analysis/{name}": tensor.astype(np.float16) for name, tensor in (analysis or {}).items()}
    with atomic_writer(path, force=True) as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def shipped() -> StartFile | None:
    """The newest start that ships with the package."""
    paths = sorted((path for path in FOLDER.glob("*.npz") if path.stem.isdigit()), key=lambda path: int(path.stem))
    return read_start(paths[-1]) if paths else None


def _listed() -> Iterator[Path]:
    """Files in I2C_STARTS."""
    for entry in filter(None, os.environ.get(VARIABLE, "").split(os.pathsep)):
        path = Path(entry)
        yield from sorted(path.glob("*.npz")) if path.is_dir() else [path]


def find_start(number: int) -> StartFile:
    """The start whose priors have that number.

    Raises:
        UnsupportedVersionError: it is not here.
        MalformedError: a file in I2C_STARTS is no start.
    """
    if number < HASHED:
        path = FOLDER / f"{number}.npz"
        if not path.exists():
            raise UnsupportedVersionError(f"file's weights build on prior {number}, which this version does not have: update i2compress")
        return read_start(path)
    for path in [*([_known[number]] if number in _known else []), *_listed()]:
        if path.exists() and (start := read_start(path)).number == number:
            return start
    raise UnsupportedVersionError(
        f"file's weights build on the trained start {number:08x}, which is not here; name its file, or its folder, in the environment's {VARIABLE}"
    )


def fits(spec: PyramidSpec) -> bool:
    """Whether there is a prior for a field of that kind: a picture with or without colour and opacity, of the trained sizes or with fewer levels."""
    if len(spec.grid) != 2 or spec.planes != spec.channels or not FEWEST_LEVELS <= spec.levels <= LEVELS:
        return False
    free = {name: getattr(spec, name) for name in ("grid", "channels", "planes", "levels", "iterations", "tile_log2")}
    return replace(trained_spec(spec.step_code), **free, split=SPLIT if spec.planes > 1 else 0) == spec


def find_prior(number: int, spec: PyramidSpec) -> Arrays:
    """What the weights of a file are coded as differences from: prior 0, or that of the start of that number, in multiples of 1/256.

    With the step code clamped to the knots a < b around it and t = code - a, a value is floor(((10 - t) T_a + t T_b) / 10 + 1/2) / 256
    of the tables T, in integers. Other fields than the trained one have a part of that; see _derived.

    Raises:
        UnsupportedVersionError: the start is not here.
        MalformedError: a field that starts have no prior for.
    """
    if not number:
        return prior(0, spec)
    if not fits(spec):
        raise MalformedError(f"file has prior {number} for a field that has none but 0; the file was written wrongly")
    code = min(max(spec.step_code, KNOTS[0]), KNOTS[-1])
    at = min((code - KNOTS[0]) // KNOT_GAP, len(KNOTS) - 2)
    t = code - KNOTS[at]
    tables = {name: table.astype(np.int64) for name, table in find_start(number).tables.items()}
    mixed = {name: ((KNOT_GAP - t) * table[at] + t * table[at + 1] + KNOT_GAP // 2) // KNOT_GAP for name, table in tables.items()}
    if (spec.channels, spec.levels) != (CHANNELS, LEVELS):
        mixed = _derived(mixed, spec)
    return {name: np.ascontiguousarray(mixed[name]) / float(1 << PRIOR_BITS) for name in spec.weight_shapes}


def _derived(tables: dict[str, npt.NDArray[np.int64]], spec: PyramidSpec) -> dict[str, npt.NDArray[np.int64]]:
    """The tables of a field with other channels or fewer levels than the trained one.

    Each of its grids is one of the trained field's: of the same level, and the first, second, ... there. Without colour there is the first
    alone, and one output: the mean of the three, rounded to the nearest. A grid of opacity is one like the first that only opacity is made
    of and only opacity is foreseen from, and the output of opacity is made of those grids alone.
    """
    trained, own = trained_spec(spec.step_code).grid_levels, spec.grid_levels
    planes = spec.grid_planes  # finest first, as all grids here
    opaque = np.array([spec.channels % 2 == 0 and plane == spec.channels - 1 for plane in planes])
    source = [trained.index(level) + (0 if opacity else plane) for level, plane, opacity in zip(own, planes, opaque, strict=True)]
    columns = [len(trained) - 1 - grid for grid in reversed(source)]  # of B and S, coarsest first
    found = dict(tables)
    mean = {name: (2 * tables[name].sum(0, keepdims=True) + CHANNELS) // (2 * CHANNELS) for name in ("W", "S", "b")}
    rows = {name: tables[name] if spec.channels >= CHANNELS else mean[name] for name in mean}
    found["B"] = np.where(opaque[::-1], 0, tables["B"][:, columns])
    found["S"] = np.where(opaque[::-1], 0, rows["S"][:, columns])
    found["W"], found["b"] = rows["W"], rows["b"]
    if spec.channels % 2 == 0:
        found["S"] = np.concatenate([found["S"], np.where(opaque[::-1], mean["S"][:, columns], 0)])
        found["W"] = np.concatenate([found["W"], np.zeros_like(mean["W"])])
        found["b"] = np.concatenate([found["b"], mean["b"]])
    found["up"] = tables["up"][: spec.levels - 1]
    for grid in range(spec.context.maps):
        after = [other - source[grid] - 1 for other in source[grid + 1 :]]
        foreseen = ~opaque[grid + 1 :] | opaque[grid]
        found[f"m{grid}"] = np.where(foreseen, tables[f"m{source[grid]}"][:, np.maximum(after, 0)], 0)
    return found
