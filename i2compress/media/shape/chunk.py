"""The chunk 'G' of a shape: where its grid lies, and which format it came from."""

import math
import struct

from ...errors import MalformedError
from ...header import Header
from ...kinds import Kind
from ...signal import Frame, Layout

# By their numbers in the file; only to name outputs. 0 is also for what came from none.
SOURCES = ("ply", "obj", "stl", "glb", "off", "npz")
_SEPARATE = 16  # each axis has its own spacing


def encode_place(frame: Frame, source: str) -> bytes:
    """The payload."""
    number = SOURCES.index(source) if source in SOURCES else 0
    separate = len(set(frame.spacing)) > 1
    spacing = frame.spacing if separate else frame.spacing[:1]
    return bytes([number | _SEPARATE * separate]) + struct.pack(f"<{3 + len(spacing)}f", *frame.corner, *spacing)


def decode_place(payload: bytes | memoryview) -> tuple[Frame, str]:
    """Mirror of encode_place. Raises MalformedError."""
    flags = payload[0] if len(payload) else 0
    count = 6 if flags & _SEPARATE else 4
    if len(payload) != 1 + 4 * count or flags & ~(_SEPARATE | 15) or (flags & 15) >= len(SOURCES):
        raise MalformedError(f"the shape chunk has {len(payload)} bytes and flags {flags}; expected 17 or 25 bytes: the file was written wrongly")
    x, y, z, *spacing = struct.unpack(f"<{count}f", payload[1:])
    if not all(map(math.isfinite, (x, y, z, *spacing))) or min(spacing) <= 0:
        raise MalformedError(
            f"the grid has corner {(x, y, z)} and spacing {spacing}; expected numbers, spacings over 0: the file was written wrongly"
        )
    a, b, c = spacing * (1 if len(spacing) == 3 else 3)
    return Frame(corner=(x, y, z), spacing=(a, b, c)), SOURCES[flags & 15]


def layout_of(header: Header, frame: Frame) -> Layout:
    """The layout of a file's samples."""
    return Layout(kind=Kind.SHAPE, grid=header.grid, channels=header.channels, bit_depth=header.bit_depth, frame=frame)
