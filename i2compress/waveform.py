"""What an .i2 file says of a waveform beside its header: the optional chunk 's', whose payload is the sampling rate and the source's depth.

varint          samples a second, 1..2**24
byte            depth / 8 - 1 (bits 0-2), floating (bit 3)
"""

from collections.abc import Mapping
from dataclasses import dataclass

from .container import SIGNATURE
from .errors import MalformedError
from .header import Cursor, encode_varint
from .signal import MAX_RATE, SOUND_DEPTHS, Kind, Signal

NAME = "waveform"  # of the chunk, in a container's metadata


@dataclass(frozen=True, kw_only=True)
class Waveform:
    """Sampling rate in Hz, and bits and kind of the source's samples."""

    rate: int
    bit_depth: int
    floating: bool


def blob(signal: Signal) -> bytes:
    """The chunk of a waveform; `parsed` undoes it."""
    return encode_varint(signal.rate) + bytes([signal.bit_depth // 8 - 1 | signal.floating << 3])


def parsed(metadata: Mapping[str, bytes]) -> Waveform:
    """What the chunk says; 44100 Hz and 16 bits where it was lost. Raises MalformedError and LimitError."""
    if NAME not in metadata:
        return Waveform(rate=44100, bit_depth=16, floating=False)
    cursor = Cursor(memoryview(metadata[NAME]), 0, "the waveform chunk", MalformedError, "the file was written wrongly")
    rate, shape = cursor.varint("sampling rate", MAX_RATE), cursor.byte()
    found = Waveform(rate=rate, bit_depth=8 * ((shape & 7) + 1), floating=bool(shape & 8))
    if rate < 1 or shape > 15 or found.bit_depth not in SOUND_DEPTHS[found.floating] or cursor.position != len(metadata[NAME]):
        raise MalformedError(f"the waveform chunk says {rate} Hz and shape {shape}; expected a rate from 1 and a depth that exists")
    return found


def is_waveform(data: bytes) -> bool:
    """True where the file's first chunk is the header of sound that is not in segments: a waveform."""
    start = len(SIGNATURE)
    # A header has fewer than 128 bytes, so its length is one byte.
    return data[: start + 1] == SIGNATURE + b"H" and len(data) > start + 2 and data[start + 2] & 3 == Kind.AUDIO
