"""The field of one segment: its plane of coefficients is fitted, quantised and coded as a picture's is."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...coding.context_model import MAGNITUDES
from ...coding.laplace import LIMIT
from ...coding.latents import encode_latents
from ...coding.weights import WeightGroup, encode_weights
from ...config import EncodeSettings
from ...container import Container, Header
from ...field.spec import STEP_ORIGIN, STEPS_PER_OCTAVE, Arrays, PyramidSpec, prior
from ...field.weights import context_weights, dequantise, rendering_weights
from ...render import Renderer
from .format import PEAK_UNIT
from .trim import trim

if TYPE_CHECKING:
    from ...fit import StepInfo

LAMBDA = 1e-3  # of every plane: what a sound asks for is in the gain that makes the plane
STEP_CODE = 35  # so that the squared step is 6.6 lambda
STEP = 2.0 ** ((STEP_CODE - STEP_ORIGIN) / STEPS_PER_OCTAVE)
WIDTH, HIDDEN, LEVELS, TILE_LOG2 = 4, 8, 1, 12
TOLERANCE_ERROR = 0.02  # of the fixed point, as a share of the root mean squared error
PART = 256  # frames on which that is measured
_PRIOR = 0


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
    from ...fit import Start, fit_signal, started_schedule

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
    base = prior(_PRIOR, spec)
    first = weights or {"S": np.ones_like(base["S"]), "W": np.zeros_like(base["W"])}
    latents = np.clip(values / STEP, -LIMIT, LIMIT).reshape(grid).astype(np.float32)
    result = fit_signal(
        (values + 0.5).reshape(*grid, 1).astype(np.float32),
        spec,
        settings,
        importance=None if importance is None else np.broadcast_to(importance, values.shape).reshape(*grid, 1).astype(np.float32),
        on_step=on_step,
        stop=stop,
        schedule=started_schedule(settings),
        start=Start(weights=first, latents=[latents]),
    )
    spec = replace(spec, iterations=_iterations(spec, result.groups, result.latents, result.distortion))
    context = context_weights(spec, result.groups, base)
    header = Header(kind=1, grid=grid, channels=1, bit_depth=16, field=spec.field, params=spec.params, prior=_PRIOR, streams=1, lam_code=None)
    coded_weights = encode_weights(list(result.groups.values()))
    grids = result.latents
    if budget is not None:
        wanted = values.reshape(grid) / (STEP * float(dequantise(result.groups, base)["S"][0, -1]))
        weighed = None if importance is None else np.broadcast_to(importance, values.shape).reshape(grid)
        grids = [trim(grids[0], wanted, weighed, context, tile=spec.tile, bits=8 * (budget - len(coded_weights)))]
    content = Container(header=header, weights=coded_weights, latents=(encode_latents(grids, context, tile=spec.tile),))
    return Fitted(content=content, weights=dequantise(result.groups, base), latents=grids[0].reshape(values.shape), peaks=peaks, steps=result.steps)


def _iterations(spec: PyramidSpec, groups: dict[str, WeightGroup], latents: list[npt.NDArray[np.int32]], distortion: float) -> int:
    """How many iterations bring the plane close to the fixed point, on its first frames."""
    if spec.explicit:
        return 1
    small = replace(spec, grid=(*spec.grid[:-2], min(PART, spec.grid[-2]), spec.grid[-1]))
    part = [np.ascontiguousarray(grid[..., : small.grid[-2], :]) for grid in latents]
    renderer = Renderer(small, rendering_weights(small, groups, prior(_PRIOR, small)), part)
    return renderer.iterations_for(max(TOLERANCE_ERROR * math.sqrt(distortion), 1e-6), limit=64).iterations
