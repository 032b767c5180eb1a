"""Frames of a group that move over a plane larger than they are, as those of a camera do, and whose parts move by themselves.

Where each frame lies is in eighths of a sample, in the file as differences from frame to frame; section 15.5 of docs/format.md.
"""

from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ...arrays import Float32Array, Shape
from ...errors import MalformedError
from ...header import MAX_AXIS, Cursor, encode_signed
from ...mesh import Mesh
from ...planes import Plane
from ...render.renderer import GridRenderer
from ...render.span import Spans

STEPS = 8  # places of a sample
Path: TypeAlias = tuple[tuple[int, int], ...]  # the first row and column of each frame, in eighths; empty where none moves


@dataclass(frozen=True, kw_only=True)
class Motion:
    """How the frames of a group move.

    Args:
        path: where they lie in their plane; empty where they are all of it.
        mesh: how their parts move besides; None where none do.
    """

    path: Path = ()
    mesh: Mesh | None = None

    def __bool__(self) -> bool:
        """Whether anything moves."""
        return bool(self.path) or self.mesh is not None

    def places(self, frames: int) -> Path:
        """Those of the path, the first row and column of each of so many frames where there is none."""
        return self.path or ((0, 0),) * frames


STILL = Motion()


def plane_grid(grid: Shape, path: Path) -> Shape:
    """Samples along each axis of the plane under frames of `grid` (frames, rows, columns): as few as hold all of them."""
    most = [max((place[k] for place in path), default=0) for k in range(2)]
    return grid[0], grid[1] - (-most[0] // STEPS), grid[2] - (-most[1] // STEPS)


def path_bytes(path: Path) -> bytes:
    """`read_path` undoes it."""
    steps = [after[k] - before[k] for before, after in pairwise(path) for k in range(2)]
    return b"".join(map(encode_signed, steps))


def read_path(cursor: Cursor, frames: int) -> Path:
    """The places of so many frames; nothing where nothing is left to read. Raises MalformedError where they are not told as an encoder does."""
    if cursor.position == len(cursor.data):
        return ()
    steps = [tuple(cursor.signed("move of a frame", STEPS * MAX_AXIS) for _ in range(2)) for _ in range(frames - 1)]
    if cursor.position != len(cursor.data) or not any(map(any, steps)):
        raise MalformedError(f"{cursor.where} has moves of no frames; expected {frames - 1} pairs of them, not all 0: {cursor.advice}")
    return path_of([(0, 0), *accumulate(steps, lambda place, step: (place[0] + step[0], place[1] + step[1]))])


def path_of(places: list[tuple[int, ...]]) -> Path:
    """Places counted from the least row and column of all."""
    least = [min(place[k] for place in places) for k in range(2)]
    return tuple((row - least[0], column - least[1]) for row, column in places)


def offsets(path: Path) -> npt.NDArray[np.float64]:
    """`[frames, 2]`, in samples."""
    return np.array(path, np.float64) / STEPS


def nearest(path: Path) -> tuple[npt.NDArray[np.intp], Float32Array]:
    """The nearest samples to the places, and what is beyond them, in [-1/2, 1/2) samples; `[frames, 2]` each."""
    whole = np.floor(offsets(path) + 0.5)
    return whole.astype(np.intp), (offsets(path) - whole).astype(np.float32)


def laid(values: Float32Array, motion: Motion) -> Float32Array:
    """Frames `[n, H, W, C]` at the nearest samples of their plane, 0 where none lies."""
    path = motion.places(len(values))
    grid = plane_grid(values.shape[:3], path)
    plane = np.zeros((*grid, values.shape[3]), np.float32)
    for frame, room, (row, column) in zip(values, plane, nearest(path)[0], strict=True):
        room[row : row + frame.shape[0], column : column + frame.shape[1]] = frame
    return plane


def moves(grid: Shape, motion: Motion) -> Float32Array:
    """How far beside the samples at which `laid` puts the frames of `grid` what they show lies, `[2, *plane]`, in samples.

    Along rows first: at each of the plane's rows and columns, those of the frame that lie there. Then along columns; see moving.MovingSolver.
    """
    path = motion.places(grid[0])
    (_, height, width), (whole, part) = plane_grid(grid, path), nearest(path)
    found = np.empty((2, grid[0], height, width), np.float32)
    found[:] = part.T[:, :, None, None]
    if (mesh := motion.mesh) is not None:
        for frame, points in enumerate(mesh.at(np.arange(grid[0]))):
            rows, columns = (np.arange(size) - origin for size, origin in zip((height, width), whole[frame], strict=True))
            found[0, frame] += mesh.over(points[0], rows, columns - part[frame, 1])
            found[1, frame] += mesh.over(points[1], rows, columns)
    return found


def moved(plane: Plane, grid: Shape, motion: Motion) -> Plane:
    """A plane of a group as its frames of `grid` see it."""
    if not motion:
        return plane
    if not isinstance(plane.renderer, GridRenderer):
        raise MalformedError("frames move over a plane of a field that cannot be seen so; expected a dense one: the file was written wrongly")
    return replace(plane, renderer=plane.renderer.moved(grid, offsets(motion.places(grid[0])), motion.mesh))


def seen(rectangle: Spans, motion: Motion) -> Spans:
    """The rows and columns of a plane that hold those of its frames."""
    most = [-(-max((place[k] for place in motion.path), default=0) // STEPS) for k in range(2)]
    if motion.mesh is not None:
        most = [more + int(np.ceil(np.ptp(motion.mesh.values[:, k]))) for k, more in enumerate(most)]
    grown = [span.size + more for span, more in zip(rectangle, most, strict=True)]
    return tuple(replace(span, size=size, out=-(-span.out * size // span.size)) for span, size in zip(rectangle, grown, strict=True))
