"""From a signal to the integers of a file: the fit, then the quantisation of its weights."""

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from ..coding.weights import WeightGroup
from ..config import COORDINATE_STEPS, EFFORTS, Effort, EncodeSettings
from ..errors import ResourceError, UsageError
from ..field.coordinate_file import CoordinateFile
from ..field.spec import Arrays, PyramidSpec
from .compensate import quantise
from .coordinate import CoordinateFit, Points, Training, grid_points, quantise_coordinates, starting_field
from .driver import StepInfo
from .loop import Problem, Schedule, Start, fit
from .parallel import cpu_threads

__all__ = [
    "Arrays",
    "CoordinateResult",
    "Result",
    "Schedule",
    "Start",
    "StepInfo",
    "cpu_threads",
    "fit_coordinates",
    "fit_signal",
    "pick_device",
    "sound_schedule",
]

COORDINATE_OPTIMISER, COORDINATE_RATE = "soap", 1e-2  # in few steps well above Adam at 1e-3


@dataclass(frozen=True, kw_only=True)
class Result:
    """Integers ready for the entropy coder, the distortion they give, the steps made, and those of them on each window."""

    groups: dict[str, WeightGroup]
    latents: list[npt.NDArray[np.int32]]
    distortion: float
    steps: int
    passes: int


def fit_signal(
    values: npt.NDArray[np.float32],
    spec: PyramidSpec,
    settings: EncodeSettings,
    *,
    importance: npt.NDArray[np.float32] | None = None,
    on_step: Callable[[StepInfo], None] | None = None,
    stop: Callable[[], bool] | None = None,
    schedule: Schedule | None = None,
    start: Start | None = None,
) -> Result:
    """Fit and quantise.

    Args:
        values: `[*grid, D]` float32 in [0, 1].
        spec: sizes.
        settings: lambda, steps, seed, device, threads, time limit.
        importance: weights of the squared errors, of the shape of `values`.
        on_step: called after every step.
        stop: asked before every step; True ends the fit.
        schedule: steps and rates; None: by the settings.
        start: weights and latents to begin with; None for the prior and zeros.

    Raises:
        ResourceError: the device is not there or has not enough memory.
        UsageError: a device name that means nothing.
    """
    effort = EFFORTS[settings.effort]
    effort = Effort(settings.steps, effort.candidates) if settings.steps is not None else effort
    schedule = Schedule(steps=effort.steps, candidates=effort.candidates, time_limit=settings.time_limit) if schedule is None else schedule
    with _fitting(settings.threads):
        device = pick_device(settings.device)
        problem = Problem(values, spec, settings.rate_weight, device=device, importance=importance, schedule=schedule, start=start)
        fitted = fit(problem, seed=settings.seed, on_step=on_step, stop=stop)
        last = _Progress(on_step, fitted.steps, fitted.loss)
        quantised = quantise(problem, fitted, last)
        latents = [torch.from_numpy(grid.astype(np.float32))[None, None].to(problem.device) for grid in fitted.latents]
        distortion = problem.distortion_of(latents, problem.windows[len(problem.windows) // 2])
    passes = fitted.steps // len(problem.windows)
    return Result(groups=quantised.groups, latents=fitted.latents, distortion=distortion, steps=fitted.steps, passes=passes)


def sound_schedule(settings: EncodeSettings) -> Schedule:
    """Steps and rates for the plane of a sound, whose latents start at their places."""
    steps = settings.steps or EFFORTS[settings.effort].steps
    return Schedule(
        steps=steps,
        time_limit=settings.time_limit,
        latent_rate=1.5e-3,
        field_rate=0.05,
        recursion_rate=0.05,
        anneal_from=0.5,
        iterations=2,
    )


@dataclass(frozen=True, kw_only=True)
class CoordinateResult:
    """Integers ready for the entropy coder, the distortion they give and the steps made."""

    groups: dict[str, WeightGroup]
    distortion: float
    steps: int


def fit_coordinates(
    values: npt.NDArray[np.float32],
    spec: CoordinateFile,
    settings: EncodeSettings,
    *,
    gain: float,
    offset: float,
    importance: npt.NDArray[np.float32] | None = None,
    on_step: Callable[[StepInfo], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> CoordinateResult:
    """Fit a coordinate field and quantise it.

    Args:
        values: `[*grid, D]` float32, offset + gain * Phi.
        spec: sizes.
        settings: lambda, steps, seed, device, threads, time limit.
        gain, offset: as above.
        importance: weights of the squared errors, of the shape of `values`.
        on_step: called after every step.
        stop: asked before every step; True ends the fit.

    Raises:
        ResourceError: the device is not there or has not enough memory.
        UsageError: a device name that means nothing.
    """
    steps = COORDINATE_STEPS[settings.effort] if settings.steps is None else settings.steps
    training = Training(steps=steps, time_limit=settings.time_limit, rate=COORDINATE_RATE, optimiser=COORDINATE_OPTIMISER, anneal=True, unit=gain**2)
    with _fitting(settings.threads):
        device = pick_device(settings.device)
        y = torch.from_numpy((values.reshape(-1, spec.channels) - offset) / gain)
        weights = None if importance is None else torch.from_numpy(importance.reshape(-1, spec.channels)).to(device)
        points = Points(x=grid_points(spec.grid).to(device), y=y.to(device), importance=weights)
        run = CoordinateFit(starting_field(spec, device), points, training, seed=settings.seed, on_step=on_step, stop=stop)
        run.run()
        groups = quantise_coordinates(run, spec, settings.rate_weight, _Progress(on_step, run.done, run.best_loss))
        return CoordinateResult(groups=groups, distortion=run.check(), steps=run.done)


class _Progress:
    """Tells `on_step` of the quantisation."""

    def __init__(self, on_step: Callable[[StepInfo], None] | None, steps: int, loss: float) -> None:
        self.on_step, self.steps, self.loss = on_step, steps, loss

    def __call__(self, done: int, count: int) -> None:
        if self.on_step is not None:
            self.on_step(StepInfo(phase="quantise", step=done, steps=count, loss=self.loss, psnr=math.nan, bpp=math.nan, elapsed=math.nan, eta=0.0))


def pick_device(name: str) -> torch.device:
    """The torch device called "auto" (CUDA where there is one, else the CPU), "cpu", "cuda", "cuda:N" or "mps".

    Raises:
        ResourceError: it is not there.
        UsageError: no such name.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"device is '{name}'; expected auto, cpu, cuda, cuda:N or mps") from error
    here = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if device.type not in here:
        raise UsageError(f"device is '{name}'; expected auto, cpu, cuda, cuda:N or mps")
    if not here[device.type]:
        raise ResourceError(f"device '{name}' is not available on this machine; use --device auto or cpu")
    return device


@contextmanager
def _fitting(threads: int | None) -> Iterator[None]:
    """Threads, convolutions of a GPU as exact and repeatable as a CPU's, and a sentence where memory does not suffice."""
    exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    try:
        with cpu_threads(threads), exact:
            yield
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, (MemoryError, torch.OutOfMemoryError)) and not re.search("out of memory|can't allocate memory", str(error)):
            raise
        raise ResourceError("not enough memory for the fit; use --device cpu, or make the picture smaller") from error
