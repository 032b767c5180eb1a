"""A shape becomes a file: signed distances near its surface, and its colours, in sparse pyramids; or both on a grid in a coordinate field."""

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ... import container
from ...arrays import Float32Array, Shape
from ...coding.lattice import Lattice
from ...config import DEFAULT_FIELD, EncodeSettings
from ...efforts import CLOUD_BATCH, EFFORTS, coordinate_batch
from ...errors import SignalError
from ...field.sparse_spec import SparseSpec
from ...field.spec import MAX_STEP_CODE, STEP_ORIGIN, STEPS_PER_OCTAVE
from ...header import encode_header
from ...kinds import Kind
from ...planes import (
    MAX_SAMPLES,
    FittedPlane,
    SparseJob,
    fit_sparse_plane,
    open_plane,
)
from ...render.span import Span
from ...render.sparse import SparseRenderer
from ...signal import TRUNCATION, Frame, Layout
from .. import estimates
from ..course import Parts
from ..estimates import field_memory, field_seconds
from ..protocol import Coded, Hooks, Source
from .chunk import encode_place
from .colours import CHROMA_COST, PLANES, known, to_planes
from .coordinate import DEFAULT_GRID, NEAR_IMPORTANCE, colourless, fit_coordinates, label_count, wanted_surface
from .losses import lost_parts
from .measures import chamfer
from .sampling import MARGIN, active_blocks, coloured_points, crossed, frame_of, latents_of, near_points, starting_latents
from .score import errors
from .sharpen import ROUNDS, sharpened
from .solid import Solid
from .source import MeshSource
from .write import MeshSink

if TYPE_CHECKING:
    from ...fit import Distances

BLOCK = 2  # log2 of the side of blocks
MAX_LEVELS = 5
STEP = 80.0  # a latent of 1 is worth sqrt(STEP lambda) samples of distance; with the uniform quantiser's best, sqrt(9 lambda), files were larger
FOUND_LEVELS = 2  # levels that start at 0
LOOKED_AT = 2  # times as fine as the file's grid: the surface on which sharpening is tried
SHARPER = 0.97  # of the distance without it: less is not worth the decoder's time
# Quality -> samples along the longest side, geometric in between. A finer grid pays only once the coarser one's errors are small: so quality
# is for the most part that of the grid, and lambda moves little.
QUALITY_GRIDS = {0.0: 32, 25.0: 48, 50.0: 80, 75.0: 128, 90.0: 192, 100.0: 256}
QUALITY_LAMBDAS = {0.0: 2e-3, 50.0: 1.2e-3, 100.0: 6e-4}


def grid_of_quality(quality: float) -> int:
    """Samples along the longest side for a quality in 0..100."""
    return round(_between(QUALITY_GRIDS, quality))


def _between(table: Mapping[float, float], quality: float) -> float:
    """A table's value for a quality, geometric between its entries."""
    knots = sorted(table)
    return math.exp(float(np.interp(quality, knots, np.log([table[knot] for knot in knots]))))


def encode(source: Source, settings: EncodeSettings, hooks: Hooks) -> Coded:
    """See Medium. A mesh source takes the grid that its settings say, unless it is placed on that of a file that was made from it."""
    sparse = settings.field == DEFAULT_FIELD
    if sparse and settings.lam is None:
        settings = replace(settings, lam=_between(QUALITY_LAMBDAS, settings.quality))
    if isinstance(source, MeshSource) and source.placed:
        _check_placed(source)
    elif isinstance(source, MeshSource):
        grid, frame = frame_of(source.solid, _resolution(settings), BLOCK)
        source.layout = replace(source.layout, grid=grid, frame=frame)
    surface = "" if sparse else wanted_surface(source, settings)
    notes = colourless(source, surface) if surface else ()
    layout = source.layout
    if layout.channels not in (1, 4):
        raise SignalError(f"the shape has {layout.channels} channels; expected 1 of distances, or 4 with red, green and blue")
    if layout.samples > MAX_SAMPLES:
        raise SignalError(f"the grid is {'x'.join(map(str, layout.grid))}; expected at most {MAX_SAMPLES} samples: use a smaller --grid")
    planes = _fit_sparse(source, settings, hooks) if sparse else [fit_coordinates(source, surface, settings, hooks)]
    fitted, colours = planes[0], planes[1:]
    renderer, frame = open_plane(fitted.content).renderer, layout.frame._replace(sharpen=0)
    judged = settings.search is None or settings.search.share == 1  # a short fit only says where others begin
    if isinstance(source, MeshSource) and isinstance(renderer, SparseRenderer) and judged:
        if settings.search is None and not len(renderer.crossings()):  # a search for a target has others
            thin = f"nothing of the surface is left, which is too thin for {max(layout.grid)} samples along the longest side"
            raise SignalError(f"{thin}; use a larger --grid or a higher -q")
        notes = lost_parts(source, renderer)
        frame = frame._replace(sharpen=ROUNDS if sharpening_pays(source.solid, renderer, layout.grid, frame) else 0)
        source.layout = replace(layout, frame=frame)
    place = container.write_chunk("G", encode_place(frame, source.format, coloured=bool(colours)))
    content, start = container.write(fitted.content), len(container.SIGNATURE)
    data = content[:start] + place + content[start:] + b"".join(write_beside(plane.content) for plane in colours)
    steps = sum(plane.steps for plane in planes)
    measured = partial(errors, source, _weight(source, sparse=sparse))
    return Coded(data=data, steps=steps, passes=fitted.passes, converged=fitted.converged, distortion_of=measured, notes=notes)


def _check_placed(source: MeshSource) -> None:
    """Raises SignalError where a mesh's own grid of as fine samples is another one: what has that grid was made from another mesh."""
    layout = source.layout
    resolution = round(source.solid.size / layout.frame.sample) + 2 * MARGIN
    grid, frame = frame_of(source.solid, resolution, BLOCK)
    beside = np.abs(np.array(frame.corner) - np.array(layout.frame.corner)).max() / layout.frame.sample
    if grid != layout.grid or beside > 0.5:
        found, expected = ("x".join(map(str, of)) for of in (grid, layout.grid))
        raise SignalError(
            f"the source's grid is {found}, {beside:.3g} samples beside the file's of {expected}; expected the same: "
            "give the source that it was made from"
        )


def _weight(source: Source, *, sparse: bool) -> float:
    """What the error that `score` says counts beside lambda and the bits for each sample of the grid, as it does in the fit.

    A mesh's is the mean near its surface, a grid's that of all its samples, of which 2 TRUNCATION for each that the surface crosses differ from 1.
    """
    layout = source.layout
    share = crossed(source.solid, layout.frame) / layout.samples if isinstance(source, MeshSource) else 1 / (2 * TRUNCATION)
    return share * (TRUNCATION**2 if sparse else 2 * TRUNCATION * NEAR_IMPORTANCE)


def encode_memory(source: Source, settings: EncodeSettings) -> float:
    """See Medium: of a sparse pyramid, by the samples that its surface crosses."""
    if settings.field != DEFAULT_FIELD:
        return estimates.SHAPE_BESIDE + field_memory(_grid(source, settings), 1, settings)
    return estimates.FIT_MEMORY + estimates.SHAPE_MEMORY * _surface(source, settings)


def encode_seconds(source: Source, settings: EncodeSettings) -> float:
    """See Medium: of a sparse pyramid, by the samples that its surface crosses."""
    read = estimates.TRIANGLE * len(source.solid.faces) if isinstance(source, MeshSource) else 0.0
    if settings.field != DEFAULT_FIELD:
        grid = _grid(source, settings)
        sampled = estimates.DISTANCE * math.prod(grid) if isinstance(source, MeshSource) else 0.0
        surface = wanted_surface(source, settings)
        if surface == "points":
            return read + sampled + field_seconds(grid, settings, batch=2 * CLOUD_BATCH, pace=estimates.CLOUD)
        labels = label_count(math.prod(grid)) if surface == "occupancy" else None
        return read + sampled + field_seconds(grid, settings, batch=None if labels is None else coordinate_batch(labels))
    steps = EFFORTS[settings.effort].steps if settings.steps is None else settings.steps
    planes = 1 + PLANES * (source.layout.channels > 1)
    return read + estimates.SHAPE.seconds(steps, planes * _surface(source, settings), fits=planes)


def _surface(source: Source, settings: EncodeSettings) -> float:
    """Samples of the grid that the surface crosses, about."""
    if not isinstance(source, MeshSource):
        return estimates.GRID_SURFACE * max(source.layout.grid) ** 2
    if source.placed:
        return crossed(source.solid, source.layout.frame)
    return crossed(source.solid, frame_of(source.solid, _resolution(settings), BLOCK)[1])


def _grid(source: Source, settings: EncodeSettings) -> Shape:
    """That of the plane."""
    if not isinstance(source, MeshSource) or source.placed:
        return source.layout.grid
    return frame_of(source.solid, _resolution(settings), BLOCK)[0]


def _resolution(settings: EncodeSettings) -> int:
    """Samples along the longest side of a mesh's grid."""
    return settings.grid or (grid_of_quality(settings.quality) if settings.field == DEFAULT_FIELD else DEFAULT_GRID)


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


def sharpening_pays(solid: Solid, renderer: SparseRenderer, grid: Shape, frame: Frame) -> bool:
    """Whether the decoded surface, on a grid LOOKED_AT times as fine, comes closer to its source by the filter of sharpen.py."""
    x, y, z = (value / LOOKED_AT for value in frame.spacing)
    parts = tuple(Span(start=0, size=size, out=LOOKED_AT * size) for size in grid)
    fine = Frame(corner=frame.corner, spacing=(x, y, z))
    sink = MeshSink(Layout(kind=Kind.SHAPE, grid=tuple(part.out for part in parts), channels=1, bit_depth=16, frame=fine))
    for band in renderer.bands(parts):
        sink.write(np.clip(band * np.float32(LOOKED_AT / TRUNCATION), -1, 1))
    try:
        surface = sink.mesh()
    except SignalError:  # nothing is left of it
        return False
    filtered = sharpened(surface.vertices, surface.faces, LOOKED_AT * ROUNDS)
    plain, sharp = (chamfer(solid, vertices, surface.faces) for vertices in (surface.vertices, filtered))
    return sharp < SHARPER * plain


def write_beside(content: container.Container) -> bytes:
    """The chunks of a plane of colours, which is on the blocks of the distances."""
    return container.write_chunk("H", encode_header(content.header)) + container.write_plane(content, own_blocks=False)


def _fit_sparse(source: Source, settings: EncodeSettings, hooks: Hooks) -> list[FittedPlane]:
    """The plane of distances, and where the source has colours those of them."""
    count = 1 + PLANES * (source.layout.channels > 1)
    parts = Parts(hooks.on_step, [1.0] * count, ["{}"] * count)
    if settings.time_limit is not None:
        settings = replace(settings, time_limit=settings.time_limit / count)

    def hooks_of(number: int) -> Hooks:
        return replace(hooks, on_step=parts.of(number))

    fitted, lattice = _fit_distances(source, settings.of_part(0), hooks_of(0))
    planes = [fitted]
    for number in range(1, count):
        planes.append(_fit_colour(source, lattice, number - 1, settings.of_part(number), hooks_of(number)))
    return planes


def _fit_colour(source: Source, lattice: Lattice, plane: int, settings: EncodeSettings, hooks: Hooks) -> FittedPlane:
    """One plane of colours, fitted to points near the surface."""
    from ...fit import Distances

    if plane:
        settings = replace(settings, lam=settings.rate_weight * CHROMA_COST)
    layout, random = source.layout, np.random.default_rng(settings.seed)
    spec = spec_of(layout.grid, settings)
    start: list[Float32Array] = []
    if isinstance(source, MeshSource) and source.colours is not None:
        points, surface = coloured_points(source.solid, layout.frame, random)
        values = to_planes(source.colours.at(surface))[:, plane]
        count, colours = crossed(source.solid, layout.frame), source.colours
        start = latents_of(lambda points, _: to_planes(colours.at(points))[:, plane].astype(np.float64), lattice, layout.frame, spec.step)
    else:
        slab = np.asarray(source.read(0, layout.grid[0]), np.float32)
        cells = lattice.levels[0].cells
        cells = cells[(cells < np.array(layout.grid)).all(1)]
        cells = cells[known(slab[(*cells.T, slice(1, None))])]
        points, values = cells.astype(np.float32), to_planes(slab[(*cells.T, slice(1, None))].astype(np.float64))[:, plane]
        count = _crossing(slab[..., 0])
    if not len(points):  # no colour is known
        points, values = lattice.levels[0].cells[:1].astype(np.float32), np.zeros(1, np.float32)
    targets = Distances(points=points, values=values, importance=np.ones(len(values), np.float32), surface=count, band=math.inf)
    return fit_sparse_plane(_job(targets, lattice, start, source, settings, hooks), spec)


def _job(distances: "Distances", lattice: Lattice, start: list[Float32Array], source: Source, settings: EncodeSettings, hooks: Hooks) -> SparseJob:
    # What the finest levels are to hold, the fit finds out: started at all that is left, it would have to forget most of it.
    latents = [np.zeros_like(grid) if level < FOUND_LEVELS else grid for level, grid in enumerate(start)]
    return SparseJob(
        distances=distances,
        lattice=lattice,
        start=latents,
        kind=Kind.SHAPE,
        bit_depth=source.layout.bit_depth,
        settings=settings,
        on_step=hooks.on_step,
        stop=hooks.stop,
    )


def _fit_distances(source: Source, settings: EncodeSettings, hooks: Hooks) -> tuple[FittedPlane, Lattice]:
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
    return fit_sparse_plane(_job(distances, lattice, start, source, settings, hooks), spec), lattice


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
    importance = np.ones(len(wanted), np.float32)
    return Distances(points=points.astype(np.float32), values=wanted, importance=importance, surface=_crossing(values)), lattice


def _crossing(values: Float32Array) -> float:
    """How many samples of a distance grid the surface crosses, about."""
    return float(max(1, (np.abs(values) < 0.5 / TRUNCATION).sum()))
