"""The chunk 'G' of a shape: where its grid lies, which format it came from, and whether planes of colours follow."""

import math
import struct
from typing import NamedTuple

import numpy as np

from ...errors import MalformedError
from ...header import Header
from ...kinds import Kind
from ...signal import Frame, Layout
from .sharpen import ROUNDS

# By their numbers in the file; only to name outputs. 0 is also for what came from none.
SOURCES = ("ply", "obj", "stl", "glb", "off", "npz")
_SEPARATE = 16  # each axis has its own spacing
_COLOURED = 32  # planes of colours follow that of distances
_SHARP = 64  # the surface is to be filtered
_PRECISE = 128  # the corner is in double precision: the shape is small and far from the origin


class Place(NamedTuple):
    """What the chunk says: where the grid lies, the source's format, and whether planes of colours follow."""

    frame: Frame
    source: str
    coloured: bool = False


def encode_place(frame: Frame, source: str, *, coloured: bool) -> bytes:
    """The payload."""
    number = SOURCES.index(source) if source in SOURCES else 0
    separate = len(set(frame.spacing)) > 1
    spacing = frame.spacing if separate else frame.spacing[:1]
    precise = any(float(np.float32(value)) != value for value in frame.corner)
    flags = _SEPARATE * separate | _COLOURED * coloured | _SHARP * (frame.sharpen > 0) | _PRECISE * precise
    return bytes([number | flags]) + struct.pack(f"<3{'fd'[precise]}{len(spacing)}f", *frame.corner, *spacing)


def decode_place(payload: bytes | memoryview) -> Place:
    """Mirror of encode_place. Raises MalformedError."""
    flags = payload[0] if len(payload) else 0
    form = f"<3{'d' if flags & _PRECISE else 'f'}{3 if flags & _SEPARATE else 1}f"
    if len(payload) != 1 + struct.calcsize(form) or (flags & 15) >= len(SOURCES):
        raise MalformedError(f"the shape chunk has {len(payload)} bytes and flags {flags}; expected 17 to 37 bytes: the file was written wrongly")
    x, y, z, *spacing = struct.unpack(form, payload[1:])
    if not all(map(math.isfinite, (x, y, z, *spacing))) or min(spacing) <= 0:
        raise MalformedError(
            f"the grid has corner {(x, y, z)} and spacing {spacing}; expected numbers, spacings over 0: the file was written wrongly"
        )
    a, b, c = spacing * (1 if len(spacing) == 3 else 3)
    frame = Frame(corner=(x, y, z), spacing=(a, b, c), sharpen=ROUNDS if flags & _SHARP else 0)
    return Place(frame, SOURCES[flags & 15], bool(flags & _COLOURED))


def layout_of(header: Header, place: Place) -> Layout:
    """The layout of a file's samples, of the header of its distances. Raises MalformedError."""
    channels = 4 if place.coloured else header.channels
    if channels not in (1, 4):
        raise MalformedError(f"the shape has {channels} channels; expected 1, or 4 with colours: the file was written wrongly")
    return Layout(kind=Kind.SHAPE, grid=header.grid, channels=channels, bit_depth=header.bit_depth, frame=place.frame)
