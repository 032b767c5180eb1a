"""How parts of frames move by themselves: found before the fit (fit.registration), as integers of a mesh."""

import math

import numpy as np

from ...arrays import Float32Array
from ...mesh import STEPS, Mesh, linear
from .. import estimates
from ..protocol import Hooks
from .mesh import FARTHEST, mesh_bytes
from .motion import Path, offsets

CELL = 32  # samples
PAYS = 0.8  # of the differences of frames, what may be left of them: where little more is gained, fits come out no better, and the mesh is paid for
MOMENTS = 7.5  # of a second, about
MOST_BITS = 0.1  # that it may take, as a share of those of a usual video at that lambda
SMALLEST = 48  # sides of the smallest frames that have a mesh
ITERATIONS = 8  # in which a displacement is inverted


def found_mesh(frames: Float32Array, path: Path, frequency: float, rate_weight: float, hooks: Hooks) -> Mesh | None:
    """How parts of frames move; None where it does not pay to let them.

    Args:
        frames: brightness `[n, H, W]`.
        path: where they lie in their plane.
        frequency: frames a second.
        rate_weight: lambda of the fit.
        hooks: what is told of it, and what may stop it.
    """
    if len(frames) < 2 or min(frames.shape[1:]) < SMALLEST:
        return None
    from ...fit import StepInfo  # it takes seconds to import, and they count
    from ...fit.registration import register

    if hooks.on_step is not None:
        hooks.on_step(StepInfo(phase="motion", step=0, steps=1, loss=math.nan, psnr=math.nan, bpp=math.nan, elapsed=math.nan, eta=math.nan))
    pace = max(1, round(frequency / MOMENTS))
    found = register(frames, offsets(path or ((0, 0),) * len(frames)), cell=CELL, pace=pace, stop=hooks.stop)
    moves = np.stack([of_frame(moment, CELL) for moment in found.moves])
    whole = np.rint(STEPS * moves).astype(np.int64).clip(-FARTHEST, FARTHEST)
    mesh = Mesh(cell=CELL, pace=pace, moves=whole)
    usual = estimates.moving_bits(rate_weight) * frames.size
    return mesh if found.left <= PAYS and whole.any() and 8 * len(mesh_bytes(mesh)) <= MOST_BITS * usual else None


def of_frame(moves: Float32Array, cell: int) -> Float32Array:
    """Where in its plane what a frame shows is, from where in the frame what the plane shows is; `[2, rows, columns]` of a mesh's points each.

    First rows, each where its column is after it has moved, then columns; see motion.moves.
    """
    rows, columns = (cell * np.arange(size, dtype=np.float32) for size in moves.shape[1:])
    down, across = np.meshgrid(rows, columns, indexing="ij")
    inverse = np.zeros_like(moves)
    for _ in range(ITERATIONS):
        inverse = -np.stack([_at(axis, down + inverse[0], across + inverse[1], cell) for axis in moves])
    begun = across
    for _ in range(ITERATIONS):
        begun = across - _at(inverse[1], down, begun, cell)
    return np.stack([_at(inverse[0], down, begun, cell), inverse[1]])


def _at(points: Float32Array, rows: Float32Array, columns: Float32Array, cell: int) -> Float32Array:
    """Bilinear values of a mesh's points `[rows, columns]` at places of any shape, beyond the outermost points theirs."""
    down, across = (linear(places.ravel(), cell, size) for places, size in zip((rows, columns), points.shape, strict=True))
    values: Float32Array = ((down @ points) * across).sum(1).reshape(rows.shape)
    return values
