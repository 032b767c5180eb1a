"""An .i2 file of a shape: what it says of itself, and its distances on a grid of any resolution, of all of it or of a box."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from ... import container
from ...arrays import Float32Array
from ...config import Limits, View
from ...container import ChunkReader
from ...errors import FormatError, UsageError
from ...header import MAX_AXIS, SPARSE, decode_header
from ...planes import Cost, open_plane, plane_cost
from ...planes.outline import describe_field, field_facts
from ...records import Json
from ...render.span import Span, Spans
from ...signal import TRUNCATION, Frame, Layout, Metadata
from ..protocol import Outline
from .chunk import decode_place, layout_of

SECONDS, MEMORY = 5e-7, 30  # of one core, and bytes, for each distance of an output: a mesh of 13 million took 6.5 s and 380 MB
SMOOTH = 1.5  # samples of the file's grid: what distances are cut to before they are averaged for a coarser one


class Shape:
    """A shape that was opened; see media.protocol.Content. `plane` holds its weights and latents."""

    def __init__(self, content: container.Container, frame: Frame, *, threads: int | None) -> None:
        self.plane = open_plane(content, threads=threads)
        self.layout = layout_of(content.header, frame)
        self.metadata = Metadata()
        self.complete = content.complete
        # The values of a sparse pyramid are distances in samples; a coordinate field has them as a Signal does.
        self._unit = 1.0 if content.header.field in SPARSE else TRUNCATION

    def output(self, view: View) -> Layout:
        """See Content."""
        parts = spans(self.layout, view)
        corner = [c + part.start * s for c, s, part in zip(self.layout.frame.corner, self.layout.frame.spacing, parts, strict=True)]
        spacing = [s * part.size / part.out for s, part in zip(self.layout.frame.spacing, parts, strict=True)]
        frame = Frame(corner=(corner[0], corner[1], corner[2]), spacing=(spacing[0], spacing[1], spacing[2]))
        return replace(self.layout, grid=tuple(part.out for part in parts), frame=frame)

    def blocks(self, view: View) -> Iterator[Float32Array]:
        """See Content: slabs `[n, Y, Z, 1]` of distances in samples of the view, over TRUNCATION, cut to [-1, 1]."""
        parts = spans(self.layout, view)
        scale = self._unit * self.layout.frame.sample / self.output(view).frame.sample / TRUNCATION
        averaged = tuple(-(-part.size // part.out) for part in parts)
        fine = tuple(replace(part, out=part.out * ratio) for part, ratio in zip(parts, averaged, strict=True))
        bands = self.plane.renderer.bands(fine)
        if max(averaged) > 1:
            bands = _averaged(bands, averaged, SMOOTH / self._unit)
        for band in bands:
            yield np.clip(band * np.float32(scale), -1, 1)


def _averaged(bands: Iterator[Float32Array], ratios: tuple[int, ...], limit: float) -> Iterator[Float32Array]:
    """Means of `ratios` samples along each axis, of values cut to +-limit."""
    left: Float32Array | None = None
    for band in bands:
        rows = np.clip(band, -limit, limit)
        rows = rows if left is None else np.concatenate([left, rows])
        whole = len(rows) // ratios[0] * ratios[0]
        left = rows[whole:]
        if whole:
            x, y, z = (size // ratio for size, ratio in zip((whole, *rows.shape[1:3]), ratios, strict=True))
            yield rows[:whole].reshape(x, ratios[0], y, ratios[1], z, ratios[2], 1).mean((1, 3, 5))


def load(data: bytes, *, partial: bool, threads: int | None) -> Shape:
    """See Medium."""
    content, frame, _ = _parts(data, partial=partial)
    return Shape(content, frame, threads=threads)


def _parts(data: bytes, *, partial: bool = False) -> tuple[container.Container, Frame, str]:
    """The plane, where it lies and the source's format. Raises FormatError."""
    reader = ChunkReader(data, allow_partial=partial)
    frame, source = decode_place(reader.expect("G"))
    metadata, chunk = reader.metadata()
    header = decode_header(reader.accept(chunk, "H"))
    content = reader.plane(header, reader.chunk(), metadata=metadata, allow_partial=partial)
    if content.complete:
        reader.finish()
    return content, frame, source


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
    frame, _ = decode_place(reader.expect("G"))
    header = decode_header(reader.accept(reader.metadata()[1], "H"))
    parts = spans(layout_of(header, frame), view)
    if header.field not in SPARSE:
        return plane_cost(header, parts)
    distances = math.prod(max(part.size, part.out) for part in parts)
    return Cost(memory=MEMORY * distances, seconds=SECONDS * distances)


def describe(layout: Layout) -> str:
    """See Medium: 128x96x64 distances."""
    return f"{'x'.join(map(str, layout.grid))} distances"


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
    content, frame, _ = _parts(data)
    header = content.header
    return Outline(layout=layout_of(header, frame), lam=header.lam, what=describe_field(header), facts=field_facts(header))


def output_format(head: bytes) -> str:
    """See Medium: the format that the shape came from."""
    try:
        return decode_place(ChunkReader(head).expect("G"))[1]
    except FormatError:  # said when the file is decoded
        return "ply"
