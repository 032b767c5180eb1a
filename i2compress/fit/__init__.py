"""From a signal to the integers of a file: the fit, then the quantisation of its weights.

fit_signal, fit_sparse, fit_coordinates: both, of a pyramid, of a sparse pyramid and of a coordinate field.
schedule: how a fit goes: a pyramid from nothing, one whose latents start at their places, a coordinate field.
distortion: what is made small beside the rate; perceptual: what people see of it (by ssimulacra2 and ms_ssim, on blur and pairs).
rate, network_bits: the context model in floats, and the bits under it.
training_loop: the loop of every fit. pyramid (of a problem: signal, networks, windows) and coordinate: their steps.
last_part: the end of a fit, made once more by another one. silent: grids that are 0. allot: its weights once more, in a share of their bits.
wanted: what a coordinate field is fitted to. eikonal: the steps of one that is fitted to points with normals.
quantise: weights to integers tensor by tensor. compensate: with errors made up for, by means of loss_terms.
parallel: two terms at once. soap: the weights' optimiser. graphs, numbers, places, batched: what makes a step quick on a GPU.
"""

import math
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..arrays import Float32Array, Int32Array
from ..coding.lattice import Lattice
from ..coding.weights import WeightGroup
from ..config import SQUARES, Aim, EncodeSettings
from ..errors import ResourceError, UsageError
from ..field.coordinate_file import CoordinateFile
from ..field.sparse_spec import SparseSpec
from ..field.spec import Arrays, PyramidSpec
from ..field.tiles import known
from .allot import allotted
from .analysis import trained_start
from .compensate import PyramidTrial, quantise
from .coordinate import quantise_coordinates, starting_field
from .distortion import SquaredError
from .last_part import End, end_left, leave_end, spec_left
from .moved import MovedError
from .parallel import cpu_threads
from .perceptual import DISTORTIONS
from .problem import FittedPyramid, Problem, Start
from .quantise import Quantised, Trial, search
from .schedule import CoordinateSchedule, Schedule, coordinate_schedule, pyramid_schedule, started_schedule, trained_schedule
from .sparse import Distances, SparseTrial, sparse_problem
from .ssimulacra2 import Ssimulacra2
from .stages import fit_pyramid
from .steering import QualitySteering, SizeSteering
from .training_loop import StepInfo
from .wanted import Asked, Cloud, Labels, Samples, Wanted
from .windows import cut, cut_all, windows

__all__ = [
    "Arrays",
    "Cloud",
    "CoordinateResult",
    "CoordinateSchedule",
    "Distances",
    "Labels",
    "Result",
    "Samples",
    "Schedule",
    "Start",
    "StepInfo",
    "Wanted",
    "cpu_threads",
    "exact",
    "fit_coordinates",
    "fit_signal",
    "fit_sparse",
    "gpus",
    "known",
    "measured_distortion",
    "pick_device",
    "pyramid_schedule",
    "spec_left",
    "ssimulacra2",
    "started_schedule",
    "trained_schedule",
    "trained_start",
]


COUNTED_FROM_BASE = (
    1.0  # share of the bits of weights that counts where they are differences from another fit's of the same video; docs/results/video.md
)


@dataclass(frozen=True, kw_only=True)
class Result:
    """Integers ready for the entropy coder, and the work that they took.

    Args:
        groups, latents: weights by name, and grids, finest first.
        squared_error: the mean that they give.
        steps: made in all.
        passes: those of them on each window.
        lam: at the end.
        again: makes the last part of a fit that was steered, and came to that size or quality, once more; gives None where that cannot be done.
    """

    groups: dict[str, WeightGroup]
    latents: list[Int32Array]
    squared_error: float
    steps: int
    passes: int
    lam: float
    again: "Callable[[float], Result | None] | None" = None


def fit_signal(
    values: Float32Array,
    spec: PyramidSpec,
    settings: EncodeSettings,
    *,
    distortion: str = SQUARES,
    importance: Float32Array | None = None,
    moves: Float32Array | None = None,
    on_step: Callable[[StepInfo], None] | None = None,
    stop: Callable[[], bool] | None = None,
    schedule: Schedule | None = None,
    start: Start | None = None,
    base: Arrays | None = None,
    aim: Aim | None = None,
    judge: Callable[[Float32Array], float] | None = None,
) -> Result:
    """Fit and quantise.

    Args:
        values: `[*grid, D]` float32 in [0, 1].
        spec: sizes.
        settings: lambda, steps, seed, device, threads, time limit.
        distortion: what is made small beside the rate, a name in perceptual.DISTORTIONS.
        importance: weights of the squared errors, of the shape of `values`.
        moves: `[2, *grid]`, how far beside each sample what it shows lies; see moved.MovedError. None where none does. For SQUARES alone.
        on_step: called after every step.
        stop: asked before every step; True ends the fit.
        schedule: steps and rates; None: those of a pyramid from nothing, by the settings.
        start: weights and latents to begin with; None for the prior and zeros.
        base: what the weights are coded as differences from; None for prior 0.
        aim: what their file is to come to, about; lambda is where it begins then.
        judge: of decoded values `[*grid, D]`, the quality that is aimed at; None where that is a size.

    Raises:
        ResourceError: the device is not there or has not enough memory.
        UsageError: a device name that means nothing.
    """
    if schedule is None:
        schedule = pyramid_schedule(settings, spec.grid, trained=start is not None and start.prior > 0)
    schedule = schedule.shortened(settings.search)
    with _fitting(settings.threads):
        device = pick_device(settings.device)
        if on_step is not None and device.type == "cpu" and not known():
            on_step(StepInfo(phase="compile", step=0, steps=1, loss=math.nan, psnr=math.nan, bpp=math.nan, elapsed=math.nan, eta=math.nan))
        squares = SquaredError(values, importance, device=device)
        measure = DISTORTIONS[distortion](values, importance, device=device)
        if moves is not None:
            measure = squares = MovedError(values, importance, moves, device=device)
        problem = Problem(measure, spec, settings.rate_weight, device=device, schedule=schedule, start=start, base=base)
        problem.search = settings.search
        if base is not None:
            problem.counted = COUNTED_FROM_BASE
        if aim is not None:
            problem.steering = SizeSteering(problem, aim.value) if judge is None else QualitySteering(problem, aim, judge)
        end = end_left(problem)
        fitted = fit_pyramid(problem, seed=settings.seed, on_step=on_step, stop=stop) if end is None else end.fitted
    return _result(problem, fitted, squares, settings, on_step, end)


def _result(
    problem: Problem,
    fitted: FittedPyramid,
    squares: SquaredError,
    settings: EncodeSettings,
    on_step: Callable[[StepInfo], None] | None,
    end: End | None = None,
) -> Result:
    """A fit quantised; where it is an `end` that was left, once more."""
    with _fitting(settings.threads):
        last = _Progress(on_step, fitted.steps, fitted.loss)
        if end is None:
            quantised = quantise(problem, fitted, last)
            leave_end(problem, fitted, quantised)
        else:
            quantised = _coded_again(problem, PyramidTrial(problem, fitted, windows=None), end, last)
        latents = [torch.from_numpy(grid.astype(np.float32))[None, None].to(problem.device) for grid in fitted.latents]
        telling = problem.telling(problem.windows)
        window = telling[len(telling) // 2]
        with torch.no_grad():
            error = float(squares(problem.values_on(cut_all(latents, window), window), window))
        passes = fitted.steps // len(problem.windows)
        result = Result(groups=quantised.groups, latents=fitted.latents, squared_error=error, steps=fitted.steps, passes=passes, lam=problem.lam)
        if problem.steering is None:
            return result

        def again(found: float) -> Result | None:
            with _fitting(settings.threads):
                more = None if fitted.again is None else fitted.again(found)
            return None if more is None else _result(problem, more, squares, settings, on_step)

        return replace(result, again=again)


def fit_sparse(
    distances: Distances,
    spec: SparseSpec,
    lattice: Lattice,
    settings: EncodeSettings,
    *,
    start: Start | None = None,
    on_step: Callable[[StepInfo], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Result:
    """Fit a sparse pyramid and quantise it.

    Args:
        distances: near a surface.
        spec: sizes.
        lattice: its cells.
        settings: lambda, steps, seed, device, threads, time limit.
        start: weights and latents to begin with; None for the prior and zeros.
        on_step: called after every step.
        stop: asked before every step; True ends the fit.

    Raises:
        ResourceError: the device is not there or has not enough memory.
        UsageError: a device name that means nothing.
    """
    with _fitting(settings.threads):
        problem = sparse_problem(distances, spec, lattice, settings, device=pick_device(settings.device), start=start)
        end = end_left(problem)
        fitted = fit_pyramid(problem, seed=settings.seed, on_step=on_step, stop=stop) if end is None else end.fitted
        trial, last = SparseTrial(problem, fitted), _Progress(on_step, fitted.steps, fitted.loss)
        if end is None:
            quantised = search(trial, last, until=fitted.until)
            leave_end(problem, fitted, quantised)
        else:
            quantised = _coded_again(problem, trial, end, last)
    return Result(
        groups=quantised.groups, latents=fitted.latents, squared_error=trial.loss("S"), steps=fitted.steps, passes=fitted.steps, lam=problem.lam
    )


def _coded_again(problem: Problem, trial: Trial, end: End, last: "_Progress") -> Quantised:
    """The weights of a fit that was quantised before."""
    return allotted(trial, end.exponents, end.budget, is_context=problem.spec.is_context, on_tensor=last)


@dataclass(frozen=True, kw_only=True)
class CoordinateResult:
    """Integers ready for the entropy coder, the distortion they give and the steps made."""

    groups: dict[str, WeightGroup]
    distortion: float
    steps: int


def fit_coordinates(
    wanted: Wanted,
    spec: CoordinateFile,
    settings: EncodeSettings,
    *,
    on_step: Callable[[StepInfo], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> CoordinateResult:
    """Fit a coordinate field and quantise it.

    Args:
        wanted: to what.
        spec: sizes.
        settings: lambda, steps, seed, device, threads, time limit.
        on_step: called after every step.
        stop: asked before every step; True ends the fit.

    Raises:
        ResourceError: the device is not there or has not enough memory.
        UsageError: a device name that means nothing.
    """
    with _fitting(settings.threads):
        field = starting_field(spec, pick_device(settings.device))
        asked = Asked(schedule=coordinate_schedule(settings), seed=settings.seed, on_step=on_step, stop=stop)
        run = wanted.begin(field, spec.grid, asked)
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


def ssimulacra2(source: Float32Array, decoded: Float32Array) -> float:
    """SSIMULACRA 2 of a decoded picture, both `[H, W, C]` in [0, 1] with 1 or 3 channels and sides of at least 8."""
    first, second = (torch.from_numpy(np.ascontiguousarray(np.moveaxis(np.broadcast_to(v, (*v.shape[:2], 3)), -1, 0))) for v in (source, decoded))
    with torch.no_grad():
        return float(Ssimulacra2(first)(second))


def measured_distortion(name: str, values: Float32Array, decoded: Float32Array, spec: PyramidSpec, importance: Float32Array | None = None) -> float:
    """D, called `name` in DISTORTIONS, of a decoded signal `[*grid, D]`: the mean over the windows in which it would be fitted."""
    measure = DISTORTIONS[name](values, importance, device=torch.device("cpu"))
    output = torch.from_numpy(np.ascontiguousarray(np.moveaxis(decoded, -1, 0)))[None]
    parts = windows(spec, Schedule(steps=1).window_side(spec.axes))
    with torch.no_grad():
        return float(np.mean([float(measure(cut(output, window.whole[0]), window)) for window in parts]))


def gpus(name: str) -> list[str]:
    """The accelerators that a device name leaves to choose from, by their own names; none where it means the CPU. Errors are those of pick_device."""
    if pick_device(name).type == "cpu":
        return []
    return [f"cuda:{number}" for number in range(torch.cuda.device_count())] if name in ("auto", "cuda") else [name]


@contextmanager
def _fitting(threads: int | None) -> Iterator[None]:
    """Threads, convolutions of a GPU as exact and repeatable as a CPU's, and a sentence where memory does not suffice."""
    try:
        with cpu_threads(threads), exact():
            yield
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, (MemoryError, torch.OutOfMemoryError)) and not re.search("out of memory|can't allocate memory", str(error)):
            raise
        raise ResourceError("not enough memory for the fit; use --device cpu, or make the signal smaller") from error


def exact() -> AbstractContextManager[None]:
    """Convolutions of a GPU are as exact and repeatable as a CPU's."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
