"""What an .i2 file says of a waveform beside its header: the optional chunk 's', whose payload is the sampling rate and the source's depth.

varint          samples a second, 1..2**24
byte            depth / 8 - 1 (bits 0-2), floating (bit 3)
"""

from collections.abc import Mapping

from ...errors import MalformedError
from ...header import Cursor, Header, encode_varint
from ...kinds import MAX_RATE
from ...signal import Layout
from .format import checked_layout

NAME = "waveform"  # the chunk's, in a container's metadata
_LOST = (44100, 16, False)  # rate and depth of a file that has lost its chunk


def blob(layout: Layout) -> bytes:
    """The chunk of a waveform; `layout_of` undoes it."""
    return encode_varint(layout.rate) + bytes([layout.bit_depth // 8 - 1 | layout.floating << 3])


def layout_of(header: Header, metadata: Mapping[str, bytes]) -> Layout:
    """What header and chunk say of a waveform; 44100 Hz and 16 bits where the chunk was lost. Raises MalformedError and LimitError."""
    rate, bit_depth, floating = _parsed(metadata[NAME]) if NAME in metadata else _LOST
    if len(header.grid) != 1:
        raise MalformedError(f"file holds sound on {len(header.grid)} axes outside a segment; expected 1: the file was written wrongly")
    return checked_layout(header.grid[0], channels=header.channels, bit_depth=bit_depth, floating=floating, rate=rate)


def _parsed(payload: bytes) -> tuple[int, int, bool]:
    cursor = Cursor(memoryview(payload), 0, "the waveform chunk", MalformedError, "the file was written wrongly")
    rate, shape = cursor.varint("sampling rate", MAX_RATE), cursor.byte()
    if rate < 1 or shape > 15 or cursor.position != len(payload):
        raise MalformedError(f"the waveform chunk says {rate} Hz and shape {shape}; expected a rate from 1 and a depth that exists")
    return rate, 8 * ((shape & 7) + 1), bool(shape & 8)
