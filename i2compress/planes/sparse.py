"""Planes in sparse pyramids: distances near a surface become weights and latents in active blocks, and distances again. Decoding needs numpy only."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..arrays import Float32Array, Int32Array
from ..coding.lattice import Lattice
from ..coding.occupancy import decode_occupancy, encode_occupancy
from ..coding.sparse_latents import decode_sparse, encode_sparse
from ..coding.weights import decode_weights, encode_weights
from ..config import EncodeSettings
from ..container import Container, Header, lambda_code
from ..errors import MalformedError
from ..field.sparse_spec import TRAINED, SparseSpec, check_contracts, sparse_prior, trained_for
from ..field.spec import MAX_CONTRACTION
from ..field.weights import context_weights, dequantise, rendering_weights
from ..kinds import Kind
from ..render.sparse import SparseRenderer
from .plane import TOLERANCE_ERROR, FittedPlane, Plane
from .pyramid import SPLIT_BYTES, STREAMS, stream_grids

if TYPE_CHECKING:
    from ..fit import Distances, StepInfo

ITERATION_LIMIT = 32
ITERATION_POINTS = 8192  # on which the decoder's iterations are counted
LEAST_TOLERANCE = 1e-3  # samples


@dataclass(frozen=True, kw_only=True)
class SparseJob:
    """A sparse plane to fit.

    Args:
        distances: at points, in samples.
        lattice: the cells that have latents.
        start: latents to begin with, `[N]` of each level, finest first.
        kind: of media, as the header says it.
        bit_depth: as the header says it.
        settings: lambda, steps, seed, device, threads, time limit.
        on_step: called after every step.
        stop: asked before every step; True ends the fit with the best state so far.
    """

    distances: "Distances"
    lattice: Lattice
    start: list[Float32Array]
    kind: Kind
    bit_depth: int
    settings: EncodeSettings
    on_step: "Callable[[StepInfo], None] | None" = None
    stop: Callable[[], bool] | None = None


def fit_sparse_plane(job: SparseJob, spec: SparseSpec) -> FittedPlane:
    """Fit a sparse pyramid and code it; how many iterations the decoder makes is found here."""
    from ..fit import Start, fit_sparse, spec_left

    spec = spec_left(spec, job.settings.search)
    start = Start(latents=job.start, prior=TRAINED if trained_for(spec) else 0)
    result = fit_sparse(job.distances, spec, job.lattice, job.settings, start=start, on_step=job.on_step, stop=job.stop)
    groups, base = result.groups, sparse_prior(start.prior, spec)
    context = context_weights(spec, groups, base)
    renderer = SparseRenderer(spec, job.lattice, rendering_weights(spec, groups, base), result.latents)
    tolerance = max(LEAST_TOLERANCE, TOLERANCE_ERROR * result.squared_error**0.5)
    points = job.distances.points[:: max(1, len(job.distances.points) // ITERATION_POINTS)]
    spec = replace(spec, iterations=renderer.iterations_for(points, tolerance, ITERATION_LIMIT))
    one = encode_sparse(result.latents, job.lattice, context)
    streams = 1 if len(one) < SPLIT_BYTES else min(STREAMS, spec.levels)
    payloads: tuple[bytes, ...] = (one,)
    if streams > 1:
        payloads = tuple(encode_sparse(result.latents, job.lattice, context, levels=grids) for grids in stream_grids(spec.levels, streams))
    header = Header(
        kind=int(job.kind),
        grid=spec.grid,
        channels=spec.channels,
        bit_depth=job.bit_depth,
        field=spec.field,
        params=spec.params,
        prior=start.prior,
        streams=streams,
        lam_code=lambda_code(job.settings.rate_weight),
    )
    weights, occupancy = encode_weights(list(groups.values())), encode_occupancy(job.lattice.active)
    content = Container(header=header, weights=weights, latents=payloads, occupancy=occupancy)
    return FittedPlane(content=content, weights=dequantise(groups, base), latents=result.latents, steps=result.steps, passes=result.passes)


def open_field(content: Container) -> Plane:
    """See open_plane."""
    spec = SparseSpec.from_header(content.header)
    active = decode_occupancy(content.occupancy, spec.blocks)
    if not active.any():
        raise MalformedError("no block is active; expected at least one: the file was written wrongly")
    return _on_lattice(content, spec, Lattice(grid=spec.grid, block=spec.block, active=active, depth=spec.levels))


def open_beside(content: Container, plane: Plane) -> Plane:
    """A plane without blocks of its own, on those of another one. Raises FormatError, also where that has no blocks like it."""
    spec, other = SparseSpec.from_header(content.header), plane.spec
    same = isinstance(other, SparseSpec) and (spec.grid, spec.block, spec.levels) == (other.grid, other.block, other.levels)
    if not same or not isinstance(plane.renderer, SparseRenderer):
        raise MalformedError("a plane is on the blocks of one that has other blocks, or none: the file was written wrongly")
    return _on_lattice(content, spec, plane.renderer.lattice)


def _on_lattice(content: Container, spec: SparseSpec, lattice: Lattice) -> Plane:
    base, shapes = sparse_prior(content.header.prior, spec), spec.weight_shapes
    groups = dict(zip(shapes, decode_weights(content.weights, list(shapes.values())), strict=True))
    weights = rendering_weights(spec, groups, base)
    check_contracts(weights.get("A"), MAX_CONTRACTION)
    context = context_weights(spec, groups, base)
    known: list[Int32Array] = []
    for data, grids in zip(content.latents, stream_grids(spec.levels, content.header.streams), strict=False):
        known = [*decode_sparse(data, lattice, context, levels=grids, coarser=known), *known]
    missing = [np.zeros(level.count, np.int32) for level in lattice.levels[: spec.levels - len(known)]]
    latents = [*missing, *known]
    renderer = SparseRenderer(spec, lattice, weights, latents)
    return Plane(header=content.header, spec=spec, weights={**weights}, latents=latents, renderer=renderer, complete=content.complete)
