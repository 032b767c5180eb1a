"""How many applications of the implicit layer a field needs."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ..arrays import Float32Array
from ..field.spec import MAX_CONTRACTION
from .blocks import UNSCALED, block_shape, blocks_of, with_halo
from .layer import ImplicitLayer
from .pyramid import Box, Pyramid

Errors: TypeAlias = npt.NDArray[np.float32]

_STAGES = (16, 32)  # how many applications stand for the limit, where they are seen to be enough
_REST = 1 / 64  # share of the tolerance: how far the limit may still be from the last application
_NOISE = 2.0**-20  # a move this small is rounding: it will not shrink any more


@dataclass(frozen=True, kw_only=True)
class Convergence:
    """How far a fixed point was iterated.

    Args:
        iterations: applications of the layer, the first from zero.
        residual: largest distance of the output from the limit after so many.
        converged: False where the limit itself was still moving, so that `residual` says little.
    """

    iterations: int
    residual: float
    converged: bool


def iterations_for(pyramid: Pyramid, weights: dict[str, Float32Array], *, tolerance: float, limit: int, threads: int) -> Convergence:
    """The smallest number of applications after which no output sample is farther than `tolerance` from the limit.

    The limit is the output after `limit` applications, or after fewer where the last ones, continued as a geometric
    series, would move it by no more than 1/64 of the tolerance. Measured at the source's own samples.
    """
    for count in [stage for stage in _STAGES if stage < limit] + [limit]:
        errors, moves = _path(pyramid, weights, count, threads)
        converged = _at_rest(moves, tolerance)
        if converged:
            break
    best = int(np.argmax(errors <= tolerance))
    return Convergence(iterations=best + 1, residual=float(errors[best]), converged=converged)


def _path(pyramid: Pyramid, weights: dict[str, Float32Array], count: int, threads: int) -> tuple[Errors, Errors]:
    """Largest distance of each output from the last of `count`, `[count]`, and of each from the next, `[count - 1]`."""
    layer = ImplicitLayer(weights, count)

    def measure(block: Box) -> tuple[Errors, Errors]:
        window, core = with_halo(block, pyramid.grid, layer.halo)
        path = layer.trajectory(pyramid.features(window), core).reshape(count, -1)
        return np.abs(path - path[-1]).max(axis=1), np.abs(np.diff(path, axis=0)).max(axis=1)

    depth, height, width = pyramid.grid
    errors, moves = np.zeros(count, np.float32), np.zeros(count - 1, np.float32)
    with ThreadPoolExecutor(threads) as pool:
        for far, move in pool.map(measure, blocks_of(pyramid.grid, block_shape(pyramid.grid, UNSCALED), ((0, depth), (0, height), (0, width)))):
            np.maximum(errors, far, out=errors)
            np.maximum(moves, move, out=moves)
    return errors, moves


def _at_rest(moves: Errors, tolerance: float) -> bool:
    """Whether the moves to come, judged by the last two, no longer matter."""
    if len(moves) < 2:
        return False
    before, last = float(moves[-2]), float(moves[-1])
    ratio = min(last / before, MAX_CONTRACTION) if before else MAX_CONTRACTION
    return last * ratio / (1 - ratio) <= _REST * tolerance or last <= min(_NOISE, tolerance / 16)
