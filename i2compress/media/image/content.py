"""An .i2 file of a picture: what it says of itself, and its values at any size or in any part."""

import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import BinaryIO

import numpy as np

from ... import container
from ...arrays import Float32Array
from ...config import Limits, View
from ...errors import MalformedError, UsageError
from ...header import MAX_AXIS, Header
from ...kinds import Kind
from ...planes import Cost, open_plane, plane_cost
from ...planes.outline import describe_field, field_facts, field_settings
from ...records import Json
from ...render.span import Span, Spans
from ...signal import Layout, Metadata
from ..protocol import Outline

_CHANNELS = {1: "Gray", 2: "GrayA", 3: "RGB", 4: "RGBA"}


class Picture:
    """A picture that was opened; see media.protocol.Content. `plane` holds its weights and latents."""

    def __init__(self, content: container.Container, *, threads: int | None) -> None:
        self.plane = open_plane(content, threads=threads)
        self.layout = _layout(content.header)
        self.metadata = _metadata(content.metadata)
        self.complete = content.complete

    def output(self, view: View) -> Layout:
        """See Content."""
        return output(self.layout, view)

    def blocks(self, view: View) -> Iterator[Float32Array]:
        """See Content: rows `[h, W, C]` in [0, 1], top to bottom."""
        for band in self.plane.renderer.bands(spans(self.layout.grid, view)):
            yield np.clip(band, 0, 1)


def start(file: BinaryIO) -> tuple[Layout, Metadata]:
    """What an .i2 file of a picture is and what travels with it; no more of it is read than that takes. Raises FormatError."""
    header, metadata = container.read_start(file)
    if header.kind != Kind.IMAGE:
        raise MalformedError(f"the file holds {Kind(header.kind).name.lower()}; expected a picture")
    return _layout(header), _metadata(metadata)


def output(layout: Layout, view: View) -> Layout:
    """What a view of a picture gives. Raises UsageError."""
    height, width = (span.out for span in spans(layout.grid, view))
    return replace(layout, grid=(height, width), bit_depth=view.bit_depth or layout.bit_depth)


def load(data: bytes, *, partial: bool, threads: int | None) -> Picture:
    """See Medium."""
    return Picture(container.read(data, allow_partial=partial), threads=threads)


def spans(grid: tuple[int, ...], view: View) -> Spans:
    """The rows and columns of a view of a picture of that height and width.

    Raises:
        UsageError: a crop that is not inside, or an output that is too large.
    """
    height, width = grid
    x, y, w, h = view.crop or (0, 0, width, height)
    if x + w > width or y + h > height:
        raise UsageError(f"crop is {x},{y},{w},{h}; expected X,Y,W,H inside the picture, which is {width}x{height}")
    columns, rows = _output_size(w, h, view)
    if max(columns, rows) > MAX_AXIS:
        raise UsageError(f"output would be {columns}x{rows}; expected at most {MAX_AXIS} samples a side: ask for a smaller one")
    return Span(start=y, size=h, out=rows), Span(start=x, size=w, out=columns)


def _output_size(width: int, height: int, view: View) -> tuple[int, int]:
    if view.size is not None:
        across, down = view.size
        # Integers, so that no aspect ratio rounds differently on another machine.
        across = max(1, (2 * width * (down or 0) + height) // (2 * height)) if across is None else across
        return across, max(1, (2 * height * across + width) // (2 * width)) if down is None else down
    if view.max_size is not None:
        longest = max(width, height)
        top = min(view.max_size, longest)
        return max(1, (2 * width * top + longest) // (2 * longest)), max(1, (2 * height * top + longest) // (2 * longest))
    scale = 1.0 if view.scale is None else min(view.scale, 2.0 * MAX_AXIS)
    return max(1, math.floor(width * scale + 0.5)), max(1, math.floor(height * scale + 0.5))


def cost(data: bytes, view: View) -> Cost:
    """See Medium."""
    header = container.read_start(io.BytesIO(data))[0]
    return plane_cost(header, spans(header.grid, view))


def describe(layout: Layout) -> str:
    """See Medium: 640x480 RGB8."""
    height, width = layout.grid
    return f"{width}x{height} {_CHANNELS[layout.channels]}{layout.bit_depth}"


def facts(layout: Layout) -> Mapping[str, Json]:
    """See Medium."""
    height, width = layout.grid
    return {"grid": [height, width], "width": width, "height": height, "channels": layout.channels, "bit_depth": layout.bit_depth}


def check_output(layout: Layout, limits: Limits) -> None:
    """See Medium."""
    if limits.max_pixels is not None and layout.samples > limits.max_pixels:
        height, width = layout.grid
        raise UsageError(f"the output has {width}x{height} pixels; expected at most {limits.max_pixels}: choose a smaller size or raise --max-pixels")


def outline(data: bytes) -> Outline:
    """See Medium."""
    header = container.read(data).header
    return Outline(layout=_layout(header), lam=header.lam, what=describe_field(header), facts=field_facts(header), settings=field_settings(header))


def output_format(head: bytes) -> str:
    """See Medium."""
    return "png"


def _metadata(blobs: Mapping[str, bytes]) -> Metadata:
    return Metadata(**{name: blob for name, blob in blobs.items() if name in vars(Metadata())})


def _layout(header: Header) -> Layout:
    return Layout(kind=Kind.IMAGE, grid=header.grid, channels=header.channels, bit_depth=header.bit_depth)
