"""An .i2 file of a shape: what it says of itself, and its distances and colours on a grid of any resolution, of all of it or of a box."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ... import container
from ...arrays import Float32Array
from ...config import Limits, View
from ...container import ChunkReader
from ...errors import ChecksumError, FormatError, MalformedError, TruncatedError, UsageError
from ...field.coordinate_file import CoordinateFile
from ...field.sparse_spec import SparseSpec
from ...field.spec import PyramidSpec
from ...header import MAX_AXIS, SPARSE, decode_header
from ...planes import Cost, open_beside, open_plane, plane_cost
from ...planes.outline import describe_field, field_facts, field_settings
from ...records import Json
from ...render.span import Span, Spans
from ...render.sparse import FAR, SparseRenderer
from ...signal import TRUNCATION, Frame, Layout, Metadata
from ..protocol import Outline
from .chunk import Place, decode_place, layout_of
from .colours import PLANES, from_planes, known

SECONDS = 5e-7  # of one core for each value of an output
# Bytes of the libraries of meshes, of the compiled loops of sparse pyramids, and for each sample of a side's square of a grid, of the file and of the
# output, as only what is near a surface is solved: tests/benchmarks/memory.py.
LIBRARIES, LOOPS, CODED, SOLVED = 60e6, 50e6, 3500.0, 4500.0
SMOOTH = 1.5  # samples of the file's grid: what distances are cut to before they are averaged for a coarser one


class Shape:
    """A shape that was opened; see media.protocol.Content. `plane` holds weights and latents of its distances, `colours` those of its colours."""

    def __init__(self, parts: "Parts", *, threads: int | None) -> None:
        content = parts.distances
        self.plane = open_plane(content, threads=threads)
        self.layout = layout_of(content.header, parts.place)
        self.metadata = Metadata()
        self.complete = parts.complete
        # Those that are missing of a file that was cut short are gray, or have no colour.
        self.colours = [open_beside(part, self.plane) for part in parts.colours]
        # The values of a sparse pyramid are distances in samples; a coordinate field has them as a Signal does, or says what they are.
        self._unit = 1.0 if isinstance(self.plane.spec, SparseSpec) else unit_of(self.plane.spec)

    def output(self, view: View) -> Layout:
        """See Content."""
        parts = spans(self.layout, view)
        corner = [c + part.start * s for c, s, part in zip(self.layout.frame.corner, self.layout.frame.spacing, parts, strict=True)]
        spacing = [s * part.size / part.out for s, part in zip(self.layout.frame.spacing, parts, strict=True)]
        frame = Frame(corner=(corner[0], corner[1], corner[2]), spacing=(spacing[0], spacing[1], spacing[2]))
        # A triangle is a sample of the view, and what is to be flat is as large as it was.
        rounds = round(self.layout.frame.sharpen * self.layout.frame.sample / frame.sample)
        return replace(self.layout, grid=tuple(part.out for part in parts), frame=frame._replace(sharpen=rounds, normals=view.normals))

    def blocks(self, view: View) -> Iterator[Float32Array]:
        """See Content: slabs `[n, Y, Z, 1]` of distances in samples of the view, over TRUNCATION, cut to [-1, 1]; with colours `[n, Y, Z, 4]`."""
        parts = spans(self.layout, view)
        scale = self._unit * self.layout.frame.sample / self.output(view).frame.sample / TRUNCATION
        averaged = tuple(-(-part.size // part.out) for part in parts)
        fine = tuple(replace(part, out=part.out * ratio) for part, ratio in zip(parts, averaged, strict=True))
        bands = self._bands(fine)
        if max(averaged) > 1:
            bands = _averaged(bands, averaged, SMOOTH / self._unit)
        for band in bands:
            yield np.concatenate([np.clip(band[..., :1] * np.float32(scale), -1, 1), band[..., 1:]], -1)

    def _bands(self, parts: Spans) -> Iterator[Float32Array]:
        """Distances as the plane has them, and colours as a Signal has them."""
        renderer = self.plane.renderer
        if not isinstance(renderer, SparseRenderer):
            for band in renderer.bands(parts):
                yield np.concatenate([band[..., :1], np.clip(band[..., 1:], 0, 1)], -1)
            return
        beside = [plane.renderer for plane in self.colours if isinstance(plane.renderer, SparseRenderer)]
        for band in renderer.bands(parts, beside):
            rgb = band[..., 1:]
            if self.layout.channels > 1:
                missing = np.where(np.abs(band[..., :1]) >= FAR, np.float32(np.nan), np.float32(0))
                rgb = from_planes(np.concatenate([rgb, *[missing] * (PLANES - rgb.shape[-1])], -1))
            yield np.concatenate([band[..., :1], rgb], -1)


def unit_of(spec: PyramidSpec | CoordinateFile) -> float:
    """Samples of distance that a value of 1 of a dense field is, near the surface."""
    slope = spec.slope if isinstance(spec, CoordinateFile) else None
    return TRUNCATION if slope is None else 1 / slope


def _averaged(bands: Iterator[Float32Array], ratios: tuple[int, ...], limit: float) -> Iterator[Float32Array]:
    """Means of `ratios` samples along each axis: of distances cut to +-limit, and of those colours that are known."""
    left: Float32Array | None = None
    for band in bands:
        rows = np.concatenate([np.clip(band[..., :1], -limit, limit), band[..., 1:]], -1)
        rows = rows if left is None else np.concatenate([left, rows])
        whole = len(rows) // ratios[0] * ratios[0]
        left = rows[whole:]
        if whole:
            x, y, z = (size // ratio for size, ratio in zip((whole, *rows.shape[1:3]), ratios, strict=True))
            parts = rows[:whole].reshape(x, ratios[0], y, ratios[1], z, ratios[2], -1)
            distance, rgb = parts[..., :1].mean((1, 3, 5)), parts[..., 1:]
            there = known(rgb)[..., None] if rgb.shape[-1] else np.zeros((*rgb.shape[:-1], 1), np.bool_)
            count = there.sum((1, 3, 5))
            colour = np.where(count > 0, np.where(there, rgb, 0).sum((1, 3, 5)) / np.maximum(count, 1), -1)
            yield np.concatenate([distance, colour], -1).astype(np.float32)


def load(data: bytes, *, partial: bool, threads: int | None) -> Shape:
    """See Medium."""
    return Shape(parts_of(data, partial=partial), threads=threads)


class Parts(NamedTuple):
    """A file, taken apart: the plane of distances, where it lies, and the planes of colours, which may be fewer where it was cut short."""

    distances: container.Container
    place: Place
    colours: Sequence[container.Container]

    @property
    def complete(self) -> bool:
        """True where nothing is missing."""
        planes = (self.distances, *self.colours)
        return all(plane.complete for plane in planes) and len(self.colours) == PLANES * self.place.coloured


def parts_of(data: bytes, *, partial: bool = False) -> Parts:
    """Takes a file apart. Raises FormatError."""
    reader = ChunkReader(data, allow_partial=partial)
    place = decode_place(reader.expect("G"))
    metadata, chunk = reader.metadata()
    header = decode_header(reader.accept(chunk, "H"))
    distances = reader.plane(header, reader.chunk(), metadata=metadata, allow_partial=partial)
    colours: list[container.Container] = []
    whole = distances.complete
    while whole and len(colours) < PLANES * place.coloured:
        try:
            colours.append(_colour_plane(reader, allow_partial=partial))
        except (TruncatedError, ChecksumError):
            if not partial:
                raise
            break
        whole = colours[-1].complete
    found = Parts(distances, place, colours)
    if found.complete:
        reader.finish()
    return found


def _colour_plane(reader: ChunkReader, *, allow_partial: bool) -> container.Container:
    header = decode_header(reader.expect("H"))
    if header.field not in SPARSE or header.channels != 1:
        raise MalformedError("a plane of colours is no sparse pyramid of one channel; expected that: the file was written wrongly")
    return reader.plane(header, reader.chunk(), metadata={}, allow_partial=allow_partial, own_blocks=False)


def spans(layout: Layout, view: View) -> Spans:
    """The samples of each axis of a view, and how many they become.

    Raises:
        UsageError: a box beside the shape, or an output that is too large.
    """
    frame, ratio = layout.frame, 1.0 if view.resolution is None else view.resolution / max(layout.grid)
    found = []
    for axis, size in enumerate(layout.grid):
        start, stop = 0, size
        if view.box is not None:
            low, high = ((view.box[axis + k] - frame.corner[axis]) / frame.spacing[axis] for k in (0, 3))
            start, stop = max(0, math.floor(low)), min(size, math.ceil(high))
            if start >= stop:
                ends = [c + at * s for at, c, s in zip((0, size), frame.corner[axis : axis + 1] * 2, frame.spacing[axis : axis + 1] * 2, strict=True)]
                raise UsageError(f"box is {view.box}; expected a part of the shape's, which along {'xyz'[axis]} is {ends[0]:.6g} to {ends[1]:.6g}")
        out = max(1, round((stop - start) * ratio))
        if out > MAX_AXIS:
            raise UsageError(f"output would have {out} samples a side; expected at most {MAX_AXIS}: ask for a smaller one")
        found.append(Span(start=start, size=stop - start, out=out))
    return tuple(found)


def cost(data: bytes, view: View) -> Cost:
    """See Medium. Only what is near the surface is solved; how much that is the header does not say, so all distances count the same."""
    reader = ChunkReader(data, allow_partial=True)
    place = decode_place(reader.expect("G"))
    header = decode_header(reader.accept(reader.metadata()[1], "H"))
    layout = layout_of(header, place)
    parts = spans(layout, view)
    if header.field not in SPARSE:
        found = plane_cost(header, parts)
        return replace(found, memory=LIBRARIES + found.memory)
    distances = math.prod(max(part.size, part.out) for part in parts)
    near = CODED * layout.samples ** (2 / 3) + SOLVED * distances ** (2 / 3)
    return Cost(memory=LIBRARIES + LOOPS + near * layout.channels, seconds=SECONDS * distances * layout.channels)


def describe(layout: Layout) -> str:
    """See Medium: 128x96x64 distances, or "distances and colours"."""
    return f"{'x'.join(map(str, layout.grid))} distances{' and colours' if layout.channels > 1 else ''}"


def facts(layout: Layout) -> Mapping[str, Json]:
    """See Medium."""
    frame = layout.frame
    return {"grid": list(layout.grid), "channels": layout.channels, "corner": list(frame.corner), "spacing": list(frame.spacing)}


def check_output(layout: Layout, limits: Limits) -> None:
    """See Medium."""
    if limits.max_pixels is not None and layout.samples > limits.max_pixels:
        sides = "x".join(map(str, layout.grid))
        raise UsageError(f"the output has {sides} distances; expected at most {limits.max_pixels}: use a lower --resolution or raise --max-pixels")


def outline(data: bytes) -> Outline:
    """See Medium."""
    parts = parts_of(data)
    header = parts.distances.header
    layout, settings = layout_of(header, parts.place), field_settings(header)
    if parts.place.source != "npz":  # which has a grid of its own
        settings["grid"] = max(layout.grid)
    if header.field not in SPARSE:
        spec = CoordinateFile.from_header(header)
        settings["surface"] = "occupancy" if spec.occupancy else "distances" if spec.slope is None else "points"
    return Outline(layout=layout, lam=header.lam, what=describe_field(header), facts=field_facts(header), settings=settings)


def output_format(head: bytes) -> str:
    """See Medium: the format that the shape came from."""
    try:
        return decode_place(ChunkReader(head).expect("G")).source
    except FormatError:  # said when the file is decoded
        return "ply"
