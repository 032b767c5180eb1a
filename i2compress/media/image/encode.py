"""A picture becomes a file: one plane, in a pyramid field or in a coordinate field."""

import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from ... import container
from ...arrays import Float32Array
from ...config import DEFAULT_FIELD, SQUARES, STARTS, TEXTURE, Aim, EncodeSettings, View
from ...efforts import COMPENSATED_FROM, COMPENSATED_UP_TO, FEWEST_STEPS, effort_steps, lambda_of_quality
from ...errors import SignalError, UsageError
from ...field.priors import FEWEST_LEVELS, StartFile, fits, read_start, shipped
from ...field.spec import MAX_STEP_CODE, STEPS_PER_OCTAVE, PyramidSpec
from ...header import MAX_AXIS
from ...kinds import Kind
from ...planes import (
    MAX_SAMPLES,
    FittedPlane,
    PlaneJob,
    code_tolerance,
    fit_pyramid,
    open_plane,
)
from ...planes.coordinate import file_spec, fit_field
from ...signal import Layout, Values
from .. import estimates
from ..estimates import field_memory, field_seconds, pyramid_memory
from ..protocol import Coded, Content, Hooks, Source
from .foresee import lambda_of_bytes, lambda_of_psnr, lambda_of_ssimulacra2
from .grain import GRAIN, Grain, lost_grain
from .judge import judge_of

MAX_LEVELS = 6
DEFAULT_WIDTH = 16
STARTED_UP_TO = 3 << 19  # samples of the largest picture that "auto" begins at a start: how much larger ones gain is not measured yet
PLANES_FROM = 3 << 14  # samples of the smallest picture with a grid for each channel from nothing: smaller ones do not earn their weights
# Samples of pictures with opacity that "auto" leaves at one grid a level and no start: smaller ones gain by the start's weights, larger ones by
# its grids for each channel.
PLAIN_OPACITY = range(1 << 13, PLANES_FROM)
SPLIT = 2  # the first level with a grid for each channel: colours are smooth, and a single grid a level has no room for them
# At lambda 1e-3 a latent of 1 is worth 0.3 at first: with 1, latents overshoot before the weights have found their places. At other
# lambdas it goes with the square root, as the best step of a uniform quantiser does (D in proportion to its square, dD/dR = -lambda).
STEP_CODE, STEP_LAMBDA = 50, 1e-3
# Where lambda begins that is moved towards a size, in what is foreseen for the squared error.
MORE_LAMBDA = {SQUARES: 1.6, "visual": 1.0, "ssim": 0.9}
ITERATION_PART = (512, 512)  # rows and columns on which the decoder's iterations are counted
INPUT_SCALE = (256, 512)  # input scale of coordinate fields: (Implicit)^2's, and the side of the pictures that it is for


def encode(source: Source, settings: EncodeSettings, hooks: Hooks, *, planes_from: int | None = None, levels: int = MAX_LEVELS) -> Coded:
    """See Medium; for `planes_from` and `levels` see pyramid_spec. With None for `planes_from` it is what is best for the start."""
    layout = source.layout
    metadata = {} if settings.strip else {name: blob for name, blob in vars(source.metadata).items() if blob is not None}
    if max(layout.grid) > MAX_AXIS or layout.samples > MAX_SAMPLES:
        sides = "x".join(map(str, layout.grid[::-1]))
        raise SignalError(f"picture is {sides}; expected sides up to {MAX_AXIS} and {MAX_SAMPLES} samples in all: make it smaller")
    values = np.ascontiguousarray(source.read(0, layout.grid[0]), np.float32)
    aim, importance = settings.aim, opacity_importance(values, layout)
    if aim is not None and aim.measure == "size":
        if settings.tune == TEXTURE and (most := lost_grain(values, None, layout.channels in (2, 4))) is not None:
            metadata[GRAIN] = most.to_bytes()  # its place; what is lost is known after the fit
        aim = aim._replace(value=max(1.0, aim.value - len(container.write_metadata(metadata))))
    job = PlaneJob(
        values=values,
        kind=Kind.IMAGE,
        bit_depth=layout.bit_depth,
        settings=settings,
        tolerance=code_tolerance(layout.bit_depth),
        distortion=distortion_of(settings),
        importance=importance,
        aim=aim,
        judge=None if aim is None or aim.measure == "size" else judge_of(aim.measure, values, layout, importance),
        on_step=hooks.on_step,
        stop=hooks.stop,
    )
    if aim is not None and settings.lam is None:
        settings = replace(settings, lam=_first_lambda(values, aim, job.distortion))
        job = replace(job, settings=settings)
    if settings.field == DEFAULT_FIELD:
        spec = pyramid_spec(job.grid, job.channels, settings, planes_from=planes_from or 0, levels=levels)
        start = chosen_start(spec, settings)
        if start is None and planes_from is None:
            spec = pyramid_spec(job.grid, job.channels, settings, levels=levels)
        fitted, measured = _fit(job, settings, spec, start), partial(_measured, job, spec)
    else:
        fitted, measured = fit_field(job, file_spec(job.grid, job.channels, settings, scale=INPUT_SCALE)), None
    metadata.pop(GRAIN, None)
    if settings.tune == TEXTURE and (grain := _grain(fitted.content, values, settings)) is not None:
        metadata[GRAIN] = grain.to_bytes()
    data = container.write(replace(fitted.content, metadata=metadata))
    notes = () if hooks.stopped else hurried(fitted.steps, fitted.passes, settings, layout.samples)
    coded = Coded(
        data=data,
        steps=fitted.steps,
        passes=fitted.passes,
        converged=fitted.converged,
        notes=notes,
        lam=fitted.lam,
        first_lam=settings.lam if fitted.lam else None,
    )
    if measured is None or job.distortion == SQUARES:
        return replace(coded, rate_weight=settings.rate_weight if fitted.lam is None else fitted.lam)
    return replace(coded, distortion_of=measured)


def _grain(content: container.Container, values: Float32Array, settings: EncodeSettings) -> Grain | None:
    """What noise is to stand for, of the picture that a file has without it."""
    decoded = np.clip(open_plane(content, threads=settings.threads).renderer.render(), 0, 1)
    return lost_grain(values, decoded, values.shape[-1] in (2, 4))


def _first_lambda(values: Float32Array, aim: Aim, distortion: str) -> float:
    """Lambda at which a fit begins that is to come to an aim."""
    if aim.measure == "size":
        return lambda_of_bytes(values, aim.value) * MORE_LAMBDA[distortion]
    if aim.measure == "ssimulacra2":
        foreseen = lambda_of_ssimulacra2(aim.value)
    else:
        foreseen = lambda_of_psnr(values, aim.value) * MORE_LAMBDA[distortion] / MORE_LAMBDA[SQUARES]
    return min(max(foreseen, lambda_of_quality(100)), lambda_of_quality(0))


def encode_memory(source: Source, settings: EncodeSettings) -> float:
    """See Medium."""
    layout = source.layout
    if settings.field != DEFAULT_FIELD:
        return field_memory(layout.grid, layout.channels, settings)
    sample, windowed = estimates.PICTURE_MEMORY
    sample += estimates.AIMED_MEMORY * settings.target.given
    fit = pyramid_memory(layout.grid, settings.halvings, (sample, windowed))
    steps = effort_steps(settings.effort, layout.samples) if settings.steps is None else settings.steps
    if steps < COMPENSATED_FROM or layout.samples > COMPENSATED_UP_TO:
        return fit
    # Follows the fit, whose windows are gone then, and looks at so many samples at once at most.
    compensation = min(estimates.COMPENSATION_MEMORY, estimates.COMPENSATED_SAMPLE * layout.samples)
    return max(fit, estimates.FIT_MEMORY + sample * layout.samples + compensation)


def encode_seconds(source: Source, settings: EncodeSettings) -> float:
    """See Medium."""
    layout = source.layout
    if settings.field != DEFAULT_FIELD:
        return field_seconds(layout.grid, settings)
    steps = effort_steps(settings.effort, layout.samples) if settings.steps is None else settings.steps
    compensation = estimates.COMPENSATION if steps >= COMPENSATED_FROM and layout.samples <= COMPENSATED_UP_TO else 0.0
    return estimates.PICTURE[settings.tune_of(Kind.IMAGE)].seconds(steps, layout.samples) + compensation


def _measured(job: PlaneJob, spec: PyramidSpec, content: Content) -> float:
    from ...fit import measured_distortion

    decoded = np.concatenate([np.asarray(rows, np.float32) for rows in content.blocks(View(no_grain=True))])
    return measured_distortion(job.distortion, job.values, decoded, spec, job.importance)


def distortion_of(settings: EncodeSettings) -> str:
    """What is made small, by its name in fit.perceptual; in a coordinate field the squared error. Raises UsageError where it is asked for more."""
    if settings.field == DEFAULT_FIELD:
        tune = settings.tune_of(Kind.IMAGE)
        return "visual" if tune == TEXTURE else tune  # its grain follows the fit
    if settings.tune not in (None, SQUARES):
        raise UsageError(f"--tune {settings.tune} is for pyramid fields; a {settings.field} field takes {SQUARES}: leave --field or --tune out")
    return SQUARES


def _fit(job: PlaneJob, settings: EncodeSettings, spec: PyramidSpec, chosen: StartFile | None) -> FittedPlane:
    """A pyramid, from the start that was chosen."""
    from ...fit import trained_schedule, trained_start

    if chosen is None:
        return fit_pyramid(job, spec, part=ITERATION_PART)
    start = trained_start(job.values, spec, chosen)
    if settings.steps == 0 and not start.latents:
        raise UsageError("steps is 0, and the start has no network that guesses latents; expected at least 1")
    schedule = trained_schedule(settings) if start.latents else None
    return fit_pyramid(job, spec, part=ITERATION_PART, schedule=schedule, start=start)


def chosen_start(spec: PyramidSpec, settings: EncodeSettings) -> StartFile | None:
    """The trained start that a picture's fit begins with, if any.

    Raises:
        UsageError: one was asked for, and there is none for such a picture or no such file.
        MalformedError: the file is no start.
    """
    samples = math.prod(spec.grid)
    apt = fits(spec) and samples <= STARTED_UP_TO and not (spec.channels in (2, 4) and samples in PLAIN_OPACITY)
    if settings.start == "none" or (settings.start == "auto" and not apt):
        return None
    if not fits(spec):
        raise UsageError(f"start is for pictures of {1 << FEWEST_LEVELS} or more a side, in a field of the default sizes; leave it out")
    if settings.start in STARTS:
        start = shipped()
        if start is None and settings.start != "auto":
            raise UsageError("no trained start ships with this version; name the file of one")
        return start
    if not Path(settings.start).is_file():
        raise UsageError(f"start is {settings.start!r}; expected {', '.join(STARTS)} or the file of a start")
    return read_start(Path(settings.start))


def hurried(steps: int, passes: int, settings: EncodeSettings, samples: int) -> tuple[str, ...]:
    """What to say of a picture of so many samples whose time limit left so many steps, of them so many on each part; nothing if enough."""
    wanted = effort_steps(settings.effort, samples) if settings.steps is None else settings.steps
    if settings.time_limit is None or settings.field != DEFAULT_FIELD or passes >= min(wanted, FEWEST_STEPS):
        return ()
    made = f"{passes} steps" + (" on each part of the picture" if passes < steps else "")
    return (f"the time limit left {made}, and good pictures take {FEWEST_STEPS} or more; give more time, or encode a smaller picture",)


def pyramid_spec(
    grid: tuple[int, ...], channels: int, settings: EncodeSettings, *, planes_from: int = PLANES_FROM, levels: int = MAX_LEVELS
) -> PyramidSpec:
    """The sizes of the field that a picture is fitted with; the decoder's iterations are found after the fit.

    Args:
        grid: (H, W).
        channels: 1..4.
        settings: lambda, width and whether the field is explicit.
        planes_from: samples from which there is a grid for each channel.
        levels: most levels of latents.
    """
    planes = channels if math.prod(grid) >= planes_from else 1
    code = STEP_CODE + STEPS_PER_OCTAVE / 2 * math.log2(settings.rate_weight / STEP_LAMBDA)
    return PyramidSpec(
        grid=grid,
        channels=channels,
        explicit=settings.explicit,
        width=settings.width or DEFAULT_WIDTH,
        levels=levels_for(grid, levels),
        planes=planes,
        split=SPLIT if planes > 1 else 0,
        step_code=min(max(round(code), 0), MAX_STEP_CODE),
    )


def levels_for(grid: tuple[int, ...], most: int = MAX_LEVELS) -> int:
    """Levels of latent grids of a picture: as many as leave the coarsest two samples across, at most six."""
    return max(1, min(most, math.floor(math.log2(min(grid)))))


def opacity_importance(values: Values, layout: Layout) -> Float32Array | None:
    """Weights of the squared errors `[H, W, C]`: 0 for colour under full transparency, else 1; None where all are 1."""
    if layout.channels not in (2, 4):
        return None
    weights = np.ones(values.shape, np.float32)
    weights[..., :-1] = values[..., -1:] > 0
    return weights
