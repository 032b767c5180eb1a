"""The field of one segment: its plane of coefficients is fitted, quantised and coded as a picture's is."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...coding.context import ContextWeights
from ...coding.context_model import MAGNITUDES
from ...coding.laplace import LIMIT
from ...coding.latents import Grid
from ...config import EncodeSettings
from ...container import Container
from ...field.spec import STEP_ORIGIN, STEPS_PER_OCTAVE, Arrays, PyramidSpec, prior
from ...kinds import Kind
from ...planes import TOLERANCE_ERROR, PlaneJob, fit_pyramid
from .format import PEAK_UNIT
from .trim import trim

if TYPE_CHECKING:
    from ...fit import StepInfo

LAMBDA = 1e-3  # the rate weight of every plane: what a sound asks for is in the gain that makes the plane
STEP_CODE = 35  # so that the squared step is 6.6 lambda
STEP = 2.0 ** ((STEP_CODE - STEP_ORIGIN) / STEPS_PER_OCTAVE)
WIDTH, HIDDEN, LEVELS, TILE_LOG2 = 4, 8, 1, 12
PART = 256  # frames on which the iterations of the decoder are counted


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """Header, weights and latents as chunks; the values of the weights; the latents and the heights of peaks `[C, F, bins]`; the steps made."""

    content: Container
    weights: Arrays
    latents: npt.NDArray[np.int32]
    peaks: npt.NDArray[np.int64]
    steps: int


def fit_plane(
    values: npt.NDArray[np.float64],
    importance: npt.NDArray[np.float64] | None,
    settings: EncodeSettings,
    *,
    weights: Arrays | None = None,
    budget: float | None = None,
    on_step: "Callable[[StepInfo], None] | None" = None,
    stop: Callable[[], bool] | None = None,
) -> Fitted:
    """The chunks of a plane.

    Args:
        values: `[C, F, bins]`, such that lambda is LAMBDA.
        importance: `[F, bins]`, of squared errors.
        settings: steps, seed, device, threads, time limit.
        weights: to begin with; None for the prior.
        budget: bytes of weights and latents, to be met.
        on_step, stop: see fit_signal.

    """
    from ...fit import Start, started_schedule

    peaks = np.where(np.abs(values) > PEAK_UNIT, np.rint(values / PEAK_UNIT), 0.0).astype(np.int64)
    values = values - PEAK_UNIT * peaks
    grid = values.shape[1:] if len(values) == 1 else values.shape
    spec = PyramidSpec(
        grid=grid,
        channels=1,
        explicit=settings.explicit,
        width=settings.width or WIDTH,
        levels=LEVELS,
        hidden=HIDDEN,
        tile_log2=TILE_LOG2,
        step_code=STEP_CODE,
        context_inputs=MAGNITUDES,
    )
    weighed = None if importance is None else np.broadcast_to(importance, values.shape).reshape(grid)
    job = PlaneJob(
        values=(values + 0.5).reshape(*grid, 1).astype(np.float32),
        kind=Kind.AUDIO,
        bit_depth=16,
        settings=settings,
        tolerance=lambda error: max(TOLERANCE_ERROR * math.sqrt(error), 1e-6),
        importance=None if weighed is None else weighed[..., None].astype(np.float32),
        say_lambda=False,
        on_step=on_step,
        stop=stop,
    )

    def settle(grids: list[Grid], context: ContextWeights, tensors: Arrays, taken: int) -> list[Grid]:
        """The latents, moved until they take what the weights leave of the budget."""
        if budget is None:
            return grids
        wanted = values.reshape(grid) / (STEP * float(tensors["S"][0, -1]))
        return [trim(grids[0], wanted, weighed, context, tile=spec.tile, bits=8 * (budget - taken))]

    base = prior(0, spec)
    first = weights or {"S": np.ones_like(base["S"]), "W": np.zeros_like(base["W"])}
    latents = np.clip(values / STEP, -LIMIT, LIMIT).reshape(grid).astype(np.float32)
    fitted = fit_pyramid(
        job,
        spec,
        part=(*grid[:-2], PART, grid[-1]),
        schedule=started_schedule(settings),
        start=Start(weights=first, latents=[latents]),
        settle=settle,
    )
    return Fitted(content=fitted.content, weights=fitted.weights, latents=fitted.latents[0].reshape(values.shape), peaks=peaks, steps=fitted.steps)
