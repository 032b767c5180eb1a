"""An .i2 file of a picture: what it says of itself, and its values at any size or in any part."""

import io
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import BinaryIO

import numpy as np

from ... import container
from ...arrays import Float32Array
from ...config import TEXTURE, Limits, View
from ...errors import FormatError, MalformedError, UsageError
from ...field.priors import HASHED, find_start
from ...header import PYRAMIDS, Header
from ...kinds import Kind
from ...planes import Cost, open_plane, plane_cost
from ...planes.outline import describe_field, field_facts, field_settings
from ...records import Json
from ...render.renderer import GridRenderer
from ...signal import Layout, Metadata
from ..protocol import Outline
from ..rectangle import CHANNELS, spans
from .dither import dithered
from .grain import GRAIN, Grain, Grained


class Picture:
    """A picture that was opened; see media.protocol.Content. `plane` holds its weights and latents, `grain` is None where it has none."""

    def __init__(self, content: container.Container, *, threads: int | None) -> None:
        self.plane = open_plane(content, threads=threads)
        self.layout = _layout(content.header)
        self.metadata = _metadata(content.metadata)
        self.complete = content.complete
        self.grain = _grain(content)

    def output(self, view: View) -> Layout:
        """See Content."""
        return output(self.layout, view)

    def blocks(self, view: View) -> Iterator[Float32Array]:
        """See Content: rows `[h, W, C]` in [0, 1], top to bottom."""
        down, across = spans(self.layout.grid, view)
        row, column = (round(span.start * span.out / span.size) for span in (down, across))
        depth = view.bit_depth or self.layout.bit_depth
        renderer = self.plane.renderer
        if self.grain is not None and isinstance(renderer, GridRenderer) and not view.no_grain:
            renderer = renderer.over(partial(Grained, grain=self.grain, colours=self.layout.channels - (self.layout.channels % 2 == 0)))
        for band in renderer.bands((down, across)):
            values = np.clip(band, 0, 1)
            yield dithered(values, depth, row=row, column=column) if view.dither else values
            row += len(band)


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


def cost(data: bytes, view: View) -> Cost:
    """See Medium."""
    header = container.read_start(io.BytesIO(data))[0]
    return plane_cost(header, spans(header.grid, view))


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
    content = container.read(data)
    header = content.header
    tune: dict[str, Json] = {"tune": TEXTURE} if GRAIN in content.metadata else {}  # the only one that a file shows
    settings = {**field_settings(header), **_start_settings(header), **tune}
    return Outline(layout=_layout(header), lam=header.lam, what=describe_field(header), facts=field_facts(header), settings=settings)


def _start_settings(header: Header) -> dict[str, Json]:
    """The start that a picture's weights build on, where that is known and could have been another one."""
    if header.field not in PYRAMIDS:
        return {}
    if header.prior < HASHED:
        return {"start": "trained" if header.prior else "none"}
    try:
        return {"start": str(find_start(header.prior).path)}
    except (FormatError, OSError):  # said where it is needed
        return {}


def output_format(head: bytes) -> str:
    """See Medium."""
    return "png"


def _grain(content: container.Container) -> Grain | None:
    if GRAIN not in content.metadata:
        return None
    if content.header.field not in PYRAMIDS:
        raise MalformedError("the file has grain for a field that is no pyramid; it was written wrongly")
    height, width = content.header.grid
    return Grain.from_bytes(content.metadata[GRAIN], (height, width))


def _metadata(blobs: Mapping[str, bytes]) -> Metadata:
    return Metadata(**{name: blob for name, blob in blobs.items() if name in vars(Metadata())})


def _layout(header: Header) -> Layout:
    return Layout(kind=Kind.IMAGE, grid=header.grid, channels=header.channels, bit_depth=header.bit_depth)
