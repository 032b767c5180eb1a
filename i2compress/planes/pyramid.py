"""Planes in pyramid fields: values become weights and latents, and they become values again. Decoding needs numpy only."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from .. import checkpoints
from ..arrays import Float32Array
from ..coding.context import ContextWeights
from ..coding.latents import Grid, decode_latents, encode_latents, latent_bits
from ..coding.weights import WeightGroup, decode_weights, encode_weights
from ..config import AIM_ROOM, Aim
from ..container import Container, read, write
from ..errors import I2Error, MalformedError
from ..field.priors import find_prior
from ..field.spec import MAX_CONTRACTION, PRIOR_BITS, Arrays, PyramidSpec
from ..field.weights import context_weights, dequantise, rendering_weights
from ..header import MAX_STREAMS
from ..render import Renderer
from .plane import FittedPlane, Plane, PlaneJob

if TYPE_CHECKING:
    from ..fit import Result, Schedule, Start

SPLIT_BYTES = 4096  # latents of at least so many bytes are cut into streams, for partial decoding
STREAMS = 3
FRAMING = 6  # bytes of a chunk beside its payload
ITERATION_LIMIT = 64
AGAIN, HURRIED_AGAIN = 4, 1  # how often the last part of a fit that missed its aim is made once more, at most; and under a time limit

Settle: TypeAlias = Callable[[list[Grid], ContextWeights, Arrays, int], list[Grid]]
"""Changes the fitted latents before they are coded, given the context model, all weights and the bytes that they take."""


def fit_pyramid(
    job: PlaneJob,
    spec: PyramidSpec,
    *,
    part: tuple[int, ...],
    schedule: "Schedule | None" = None,
    start: "Start | None" = None,
    settle: Settle | None = None,
    base: Arrays | None = None,
) -> FittedPlane:
    """Fit a pyramid field and code it.

    Args:
        job: what to fit.
        spec: sizes of the field; how many iterations the decoder makes is found here.
        part: samples along each axis, from the first on, in which that is measured; more than there are are all.
        schedule: steps and rates; None: by the settings.
        start: weights and latents to begin with; None for the prior and zeros.
        settle: what becomes of the latents before they are coded; None: nothing.
        base: what the weights are coded as differences from, and begin at, multiples of 2**-PRIOR_BITS; None for prior 0. The reader must have it.
    """
    with checkpoints.part() as place:
        found = None if place is None else _finished(place, job, base)
        if found is not None:
            return found
        fitted = _fit(job, spec, part=part, schedule=schedule, start=start, settle=settle, base=base)
        if place is not None and place.long and not (job.stop is not None and job.stop()):
            work = json.dumps({"steps": fitted.steps, "passes": fitted.passes, "lam": fitted.lam})
            place.write(work.encode() + b"\n" + write(fitted.content))
        return fitted


def _finished(place: checkpoints.Place, job: PlaneJob, base: Arrays | None) -> FittedPlane | None:
    """What an interrupted run has made of the same job; None where it did not come to its end."""
    work, _, file = (place.read() or b"").partition(b"\n")
    try:
        done = json.loads(work)
        content = read(file)
        latents, weights = open_field(content, job.settings.threads or 1, base).latents, plane_weights(content, base)
    except (ValueError, I2Error):  # none, or damaged: it is made anew
        return None
    return FittedPlane(content=content, weights=weights, latents=latents, steps=done["steps"], passes=done["passes"], lam=done["lam"])


def _fit(
    job: PlaneJob,
    spec: PyramidSpec,
    *,
    part: tuple[int, ...],
    schedule: "Schedule | None",
    start: "Start | None",
    settle: Settle | None,
    base: Arrays | None,
) -> FittedPlane:
    from ..fit import Start, fit_signal, spec_left

    start, spec = Start() if start is None else start, spec_left(spec, job.settings.search)
    result = fit_signal(
        job.values,
        spec,
        job.settings,
        distortion=job.distortion,
        importance=job.importance,
        moves=job.moves,
        on_step=job.on_step,
        stop=job.stop,
        schedule=schedule,
        start=start,
        base=base,
        aim=job.aim,
        judge=job.judge,
    )
    base = find_prior(start.prior, spec) if base is None else base
    plane = best = _coded(job, spec, result, base, start.prior, part, settle)
    if (aim := job.aim) is None:
        return best
    found = nearest = _found(plane, job)
    left = AGAIN if job.settings.time_limit is None else HURRIED_AGAIN
    while left and _miss(found, aim) and result.again is not None and (again := result.again(found)) is not None:
        result, left = again, left - 1
        plane = _coded(job, spec, result, base, start.prior, part, settle)
        found = _found(plane, job)
        if _miss(found, aim) < _miss(nearest, aim):
            best, nearest = plane, found
    return replace(best, steps=plane.steps, passes=plane.passes)


def _found(plane: FittedPlane, job: PlaneJob) -> float:
    """What a plane has come to: its bytes, or the quality that the job's judge finds."""
    if job.judge is None:
        return float(len(write(plane.content)))
    return job.judge(open_field(plane.content, job.settings.threads or 1).renderer.render())


def _miss(found: float, aim: Aim) -> float:
    """How far off its aim a plane is, 0 where it is near; any that keeps to its target, a smaller or a better one, is before one that does not."""
    off = math.log(found / aim.value) if aim.measure == "size" else aim.value - found
    return 0.0 if abs(off) <= AIM_ROOM[aim.measure] else 1e6 + off if off > 0 else -off


def _coded(job: PlaneJob, spec: PyramidSpec, result: "Result", base: Arrays, prior: int, part: tuple[int, ...], settle: Settle | None) -> FittedPlane:
    """The chunks of what a fit found."""
    groups = result.groups
    spec = replace(spec, iterations=_iterations(spec, groups, base, result.latents, part, job.tolerance(result.squared_error)))
    context, weights = context_weights(spec, groups, base), dequantise(groups, base)
    coded = encode_weights(list(groups.values()))
    latents = result.latents if settle is None else settle(result.latents, context, weights, len(coded))
    lam = None if job.aim is None else result.lam
    streams = _streams(latents, context, spec)
    payloads = tuple(encode_latents(latents, context, tile=spec.tile, levels=grids) for grids in stream_grids(len(latents), streams))
    content = Container(header=job.header(spec, streams, prior=prior, lam=lam), weights=coded, latents=payloads)
    return FittedPlane(content=content, weights=weights, latents=latents, steps=result.steps, passes=result.passes, lam=lam)


def _iterations(spec: PyramidSpec, groups: dict[str, WeightGroup], base: Arrays, latents: list[Grid], part: tuple[int, ...], tolerance: float) -> int:
    """How many iterations bring the output close to the fixed point on a part of the plane that tells."""
    if spec.explicit:
        return 1
    small = replace(spec, grid=tuple(min(pair) for pair in zip(spec.grid, part, strict=True)))
    grids = [np.ascontiguousarray(grid[tuple(slice(0, size) for size in shape)]) for grid, shape in zip(latents, small.latent_shapes, strict=True)]
    renderer = Renderer(small, rendering_weights(small, groups, base), grids)
    return renderer.iterations_for(tolerance, limit=ITERATION_LIMIT).iterations


def _streams(latents: list[Grid], context: ContextWeights, spec: PyramidSpec) -> int:
    """In how many streams the latents are coded: those that decode parts need, and one for each of the finest grids that then takes no bytes."""
    bits = latent_bits(latents, context, tile=spec.tile)
    few = bits.sum() < 8 * SPLIT_BYTES
    # What each of the finest grids saves, or costs, in a stream of its own: a grid of zeros takes none of its bits there, others end in a byte more.
    saved = np.cumsum([(0 if grid.any() else bit) - 8 * (FRAMING + grid.any()) for grid, bit in zip(latents[:-1], bits, strict=False)])
    pays = int(saved.argmax()) + 1 if len(saved) and saved.max() > 0 else 0
    return min(max(1 if few else STREAMS, 1 + pays), len(latents), MAX_STREAMS)


def stream_grids(grids: int, streams: int) -> list[range]:
    """The latent grids in each stream, in the order of the file: the coarse ones together, then each of the finest alone.

    Raises:
        MalformedError: more streams than grids.
    """
    if streams > grids:
        raise MalformedError(f"file has {streams} latent streams for {grids} latent grids; expected no more streams than grids")
    return [range(streams - 1, grids), *(range(grid, grid + 1) for grid in reversed(range(streams - 1)))]


def open_field(content: Container, threads: int, base: Arrays | None = None) -> Plane:
    """See open_plane."""
    spec = PyramidSpec.from_header(content.header)
    base = find_prior(content.header.prior, spec) if base is None else base
    groups = _groups(content, spec, base)
    weights = rendering_weights(spec, groups, base)
    _check_contraction(spec, weights)
    latents = _read_latents(content, spec, context_weights(spec, groups, base))
    renderer = Renderer(spec, weights, latents, threads=threads)
    return Plane(header=content.header, spec=spec, weights={**weights}, latents=latents, renderer=renderer, complete=content.complete)


def plane_weights(content: Container, base: Arrays | None = None) -> Arrays:
    """The weights of a plane by name, float64, whose latents are not decoded; `base` as in open_plane. Raises FormatError."""
    spec = PyramidSpec.from_header(content.header)
    base = find_prior(content.header.prior, spec) if base is None else base
    return dequantise(_groups(content, spec, base), base)


def next_base(weights: Arrays) -> Arrays:
    """What another plane's weights can be coded as differences from: these, to the nearest multiple of 2**-PRIOR_BITS."""
    one = 2.0**PRIOR_BITS
    return {name: np.floor(values * one + 0.5) / one for name, values in weights.items()}


def _groups(content: Container, spec: PyramidSpec, base: Arrays) -> dict[str, WeightGroup]:
    shapes = spec.weight_shapes
    found = {name: values.shape for name, values in base.items()}
    if found != shapes:
        raise MalformedError("weights are coded as differences from some of other shapes; expected the same: the file was written wrongly")
    return dict(zip(shapes, decode_weights(content.weights, list(shapes.values())), strict=True))


def _check_contraction(spec: PyramidSpec, weights: dict[str, Float32Array]) -> None:
    if spec.explicit:
        return
    matrix, taps = weights["A"].astype(np.float64), weights["K"].astype(np.float64)
    bound = float(np.linalg.norm(matrix, 2) + np.abs(taps).reshape(len(taps), -1).sum(1).max())
    if not bound <= MAX_CONTRACTION:
        raise MalformedError(f"implicit layer has contraction bound {bound:.3f}; expected at most {MAX_CONTRACTION}: the file was written wrongly")


def _read_latents(content: Container, spec: PyramidSpec, context: ContextWeights) -> list[Grid]:
    """All grids, finest first; zeros where a partial file has none."""
    shapes = spec.latent_shapes
    known: list[Grid] = []
    for data, grids in zip(content.latents, stream_grids(len(shapes), content.header.streams), strict=False):
        known = [*decode_latents(data, shapes, context, tile=spec.tile, levels=grids, coarser=known), *known]
    return [np.zeros(shape, np.int32) for shape in shapes[: len(shapes) - len(known)]] + known
