"""A shape becomes a file: signed distances near its surface in a sparse pyramid, or a distance grid in a coordinate field."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ... import container
from ...arrays import Float32Array
from ...coding.lattice import Lattice
from ...config import DEFAULT_FIELD, EFFORTS, EncodeSettings
from ...errors import SignalError
from ...field.sparse_spec import SparseSpec
from ...field.spec import MAX_STEP_CODE, STEP_ORIGIN, STEPS_PER_OCTAVE
from ...kinds import Kind
from ...planes import (
    FIT_MEMORY,
    FIT_SECONDS,
    MAX_SAMPLES,
    FittedPlane,
    PlaneJob,
    SparseJob,
    code_tolerance,
    field_memory,
    field_seconds,
    fit_sparse_plane,
    open_plane,
)
from ...planes.coordinate import file_spec, fit_field
from ...render.sparse import SparseRenderer
from ...signal import TRUNCATION, Layout
from ..protocol import Coded, Hooks, Source
from .chunk import encode_place
from .losses import lost_parts
from .sampling import active_blocks, crossed, frame_of, near_points, starting_latents
from .source import MeshSource

if TYPE_CHECKING:
    from ...fit import Distances

SURFACE_MEMORY = 18000.0  # bytes of a fit for each square of the resolution: tests/benchmarks/memory.py
BLOCK = 2  # log2 of the side of blocks
MAX_LEVELS = 5
STEP = 80.0  # a latent of 1 is worth sqrt(STEP lambda) samples of distance; with the uniform quantiser's best, sqrt(9 lambda), files were larger
FOUND_LEVELS = 2  # levels that start at 0
COORDINATE_GRID = 64
INPUT_SCALE = (60, 64)  # input scale of coordinate fields, and the samples along the longest axis that it is for
NEAR_IMPORTANCE = 16.0  # in coordinate fields, of samples less than TRUNCATION from the surface; 1 for the others
# Quality -> samples along the longest side, geometric in between. A finer grid pays only once the coarser one's errors are small: so quality
# is for the most part that of the grid, and lambda moves little.
QUALITY_GRIDS = {0.0: 32, 25.0: 48, 50.0: 80, 75.0: 128, 90.0: 192, 100.0: 256}
QUALITY_LAMBDAS = {0.0: 2e-3, 50.0: 1.2e-3, 100.0: 6e-4}


def grid_of_quality(quality: float) -> int:
    """Samples along the longest side for a quality in 0..100."""
    return round(_between(QUALITY_GRIDS, quality))


STEP_SECONDS, SURFACE_STEP, SURFACE_SECONDS = (
    0.01,
    4e-6,
    2e-4,
)  # of a step, for the square of the grid's side; and of that in all


def _between(table: Mapping[float, float], quality: float) -> float:
    """A table's value for a quality, geometric between its entries."""
    knots = sorted(table)
    return math.exp(float(np.interp(quality, knots, np.log([table[knot] for knot in knots]))))


def encode(source: Source, settings: EncodeSettings, hooks: Hooks) -> Coded:
    """See Medium. A mesh source takes the grid that its file has."""
    sparse = settings.field == DEFAULT_FIELD
    if sparse and settings.lam is None:
        settings = replace(settings, lam=_between(QUALITY_LAMBDAS, settings.quality))
    if isinstance(source, MeshSource):
        grid, frame = frame_of(source.solid, _resolution(settings), BLOCK)
        source.layout = Layout(kind=Kind.SHAPE, grid=grid, channels=1, bit_depth=16, frame=frame)
    layout = source.layout
    if layout.samples > MAX_SAMPLES:
        raise SignalError(f"the grid is {'x'.join(map(str, layout.grid))}; expected at most {MAX_SAMPLES} samples: use a smaller --grid")
    fitted = _fit_sparse(source, settings, hooks) if sparse else _fit_coordinates(source, settings, hooks)
    content = container.write(fitted.content)
    start = len(container.SIGNATURE)
    data = content[:start] + container.write_chunk("G", encode_place(layout.frame, source.format)) + content[start:]
    renderer = open_plane(fitted.content).renderer
    notes = lost_parts(source, renderer) if isinstance(source, MeshSource) and isinstance(renderer, SparseRenderer) else ()
    return Coded(data=data, steps=fitted.steps, passes=fitted.passes, converged=fitted.converged, notes=notes)


def encode_memory(source: Source, settings: EncodeSettings) -> float:
    """See Medium: of a sparse pyramid, by the square of its resolution, as a surface is."""
    if settings.field != DEFAULT_FIELD:
        return field_memory((_resolution(settings),) * 3 if isinstance(source, MeshSource) else source.layout.grid, 1, settings)
    side = _resolution(settings) if isinstance(source, MeshSource) else max(source.layout.grid)
    return FIT_MEMORY + SURFACE_MEMORY * side**2


def encode_seconds(source: Source, settings: EncodeSettings) -> float:
    """See Medium: of a sparse pyramid, by the square of its resolution, as a surface is."""
    side = _resolution(settings) if isinstance(source, MeshSource) else max(source.layout.grid)
    if settings.field != DEFAULT_FIELD:
        return field_seconds((side,) * 3 if isinstance(source, MeshSource) else source.layout.grid, 1, settings)
    steps = EFFORTS[settings.effort].steps if settings.steps is None else settings.steps
    return FIT_SECONDS + SURFACE_SECONDS * side**2 + steps * (STEP_SECONDS + SURFACE_STEP * side**2)


def _resolution(settings: EncodeSettings) -> int:
    """Samples along the longest side of a mesh's grid."""
    return settings.grid or (grid_of_quality(settings.quality) if settings.field == DEFAULT_FIELD else COORDINATE_GRID)


def spec_of(grid: tuple[int, ...], settings: EncodeSettings) -> SparseSpec:
    """The sizes of the field that a shape is fitted with; the decoder's iterations are found after the fit."""
    step = math.sqrt(STEP * settings.rate_weight)
    code = round(STEP_ORIGIN + STEPS_PER_OCTAVE * math.log2(step))
    levels = max(1, min(MAX_LEVELS, math.floor(math.log2(max(grid)))))
    return SparseSpec(
        grid=grid,
        explicit=settings.explicit,
        width=settings.width or SparseSpec.width,
        levels=levels,
        block=BLOCK,
        step_code=min(max(code, 0), MAX_STEP_CODE),
    )


def _fit_sparse(source: Source, settings: EncodeSettings, hooks: Hooks) -> FittedPlane:
    from ...fit import Distances

    layout, random = source.layout, np.random.default_rng(settings.seed)
    spec = spec_of(layout.grid, settings)
    if isinstance(source, MeshSource):
        solid, frame = source.solid, layout.frame
        active = active_blocks(solid, layout.grid, frame, BLOCK, random)
        lattice = Lattice(grid=layout.grid, block=BLOCK, active=active, depth=spec.levels)
        points, values, importance = near_points(solid, lattice, frame, random)
        distances = Distances(points=points, values=values, importance=importance, surface=crossed(solid, frame))
        start = starting_latents(solid, lattice, frame, spec.step)
    else:
        distances, lattice = _of_grid(np.asarray(source.read(0, layout.grid[0]), np.float32)[..., 0], spec)
        start = []
    # What the finest levels are to hold, the fit finds out: started at all that is left, it would have to forget most of it.
    job = SparseJob(
        distances=distances,
        lattice=lattice,
        start=[np.zeros_like(grid) if level < FOUND_LEVELS else grid for level, grid in enumerate(start)],
        kind=Kind.SHAPE,
        bit_depth=layout.bit_depth,
        settings=settings,
        on_step=hooks.on_step,
        stop=hooks.stop,
    )
    return fit_sparse_plane(job, spec)


def _of_grid(values: Float32Array, spec: SparseSpec) -> "tuple[Distances, Lattice]":
    """What a distance grid `[X, Y, Z]` of truncated values is fitted to: its samples that are not cut off, and those beside them."""
    from ...fit import Distances

    near = np.abs(values) < 1
    signs = values < 0
    for axis in range(3):
        changes = np.diff(signs, axis=axis)
        both = [tuple(slice(at, at + size) if a == axis else slice(None) for a, size in enumerate(changes.shape)) for at in (0, 1)]
        for part in both:
            near[part] |= changes
    if not near.any():
        near[...] = True
    cells = np.argwhere(near)
    side = 1 << spec.block
    active = np.zeros(spec.blocks, np.bool_)
    for corner in np.ndindex(3, 3, 3):
        around = (cells + np.array(corner) - 1) // side
        inside = ((around >= 0) & (around < np.array(active.shape))).all(1)
        active[tuple(around[inside].T)] = True
    lattice = Lattice(grid=spec.grid, block=spec.block, active=active, depth=spec.levels)
    finest = lattice.levels[0].cells
    points = finest[(finest < np.array(spec.grid)).all(1)]
    wanted = values[tuple(points.T)] * np.float32(TRUNCATION)
    crossing = float(max(1, (np.abs(wanted) < 0.5).sum()))
    return Distances(points=points.astype(np.float32), values=wanted, importance=np.ones(len(wanted), np.float32), surface=crossing), lattice


def _fit_coordinates(source: Source, settings: EncodeSettings, hooks: Hooks) -> FittedPlane:
    layout = source.layout
    values = np.ascontiguousarray(source.read(0, layout.grid[0]), np.float32)
    job = PlaneJob(
        values=values,
        kind=Kind.SHAPE,
        bit_depth=layout.bit_depth,
        settings=settings,
        tolerance=code_tolerance(layout.bit_depth),
        importance=np.where(np.abs(values) < 1, np.float32(NEAR_IMPORTANCE), np.float32(1)),
        on_step=hooks.on_step,
        stop=hooks.stop,
    )
    return fit_field(job, file_spec(job.grid, job.channels, settings, scale=INPUT_SCALE))
