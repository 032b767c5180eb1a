"""An .i2 file of a picture: what it says of itself, and its values at any size or in any part."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from ... import container
from ...arrays import Float32Array
from ...config import Limits, View
from ...errors import UsageError
from ...header import Header
from ...kinds import Kind
from ...planes import open_plane
from ...planes.outline import describe_field, field_facts
from ...records import Json
from ...signal import Layout, Metadata
from ..protocol import Outline
from ..rectangle import CHANNELS, spans
from .dither import dithered


class Picture:
    """A picture that was opened; see media.protocol.Content. `plane` holds its weights and latents."""

    def __init__(self, content: container.Container, *, threads: int | None) -> None:
        self.plane = open_plane(content, threads=threads)
        self.layout = _layout(content.header)
        self.metadata = Metadata(**{name: blob for name, blob in content.metadata.items() if name in vars(Metadata())})
        self.complete = content.complete

    def output(self, view: View) -> Layout:
        """See Content."""
        height, width = (span.out for span in spans(self.layout.grid, view))
        return replace(self.layout, grid=(height, width), bit_depth=view.bit_depth or self.layout.bit_depth)

    def blocks(self, view: View) -> Iterator[Float32Array]:
        """See Content: rows `[h, W, C]` in [0, 1], top to bottom."""
        down, across = spans(self.layout.grid, view)
        row, column = (round(span.start * span.out / span.size) for span in (down, across))
        depth = view.bit_depth or self.layout.bit_depth
        for band in self.plane.renderer.bands((down, across)):
            values = np.clip(band, 0, 1)
            yield dithered(values, depth, row=row, column=column) if view.dither else values
            row += len(band)


def load(data: bytes, *, partial: bool, threads: int | None) -> Picture:
    """See Medium."""
    return Picture(container.read(data, allow_partial=partial), threads=threads)


def describe(layout: Layout) -> str:
    """See Medium: 640x480 RGB8."""
    height, width = layout.grid
    return f"{width}x{height} {CHANNELS[layout.channels]}{layout.bit_depth}"


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
    return Outline(layout=_layout(header), lam=header.lam, what=describe_field(header), facts=field_facts(header))


def output_format(head: bytes) -> str:
    """See Medium."""
    return "png"


def _layout(header: Header) -> Layout:
    return Layout(kind=Kind.IMAGE, grid=header.grid, channels=header.channels, bit_depth=header.bit_depth)
