"""The header of a JPEG XL: its depth, orientation and whether it moves (ISO/IEC 18181-1 annex D, 18181-2 for the boxes)."""

from dataclasses import dataclass

from ...errors import SignalError
from .boxes import boxes

_SIZES = (9, 13, 18, 30)
_DEPTHS = (8, 10, 12)


@dataclass(frozen=True, kw_only=True)
class JxlHeader:
    """What the header says.

    Args:
        bits: of a sample.
        floating: the samples are floating point.
        orientation: 1 to 8, which the decoder applies.
        animated: it has frames.
    """

    bits: int = 8
    floating: bool = False
    orientation: int = 1
    animated: bool = False


class _Bits:
    """Reads numbers from the lowest bit of the first byte on."""

    def __init__(self, data: bytes) -> None:
        self._value, self._size = int.from_bytes(data[:64], "little"), 8 * min(64, len(data))

    def take(self, count: int) -> int:
        """The next `count` bits. Raises SignalError where they are not there."""
        if count > self._size:
            raise SignalError("the JPEG XL is truncated: its header is not whole; copy or download it again")
        value = self._value & (1 << count) - 1
        self._value, self._size = self._value >> count, self._size - count
        return value


def codestream(data: bytes) -> bytes:
    """The first bytes of the codestream, in its boxes or without."""
    if data[:2] == b"\xff\x0a":
        return data[2:66]
    for kind, payload in boxes(data):
        if kind in (b"jxlc", b"jxlp"):
            start = payload[4:] if kind == b"jxlp" else payload
            return start[2:66]
    raise SignalError("the JPEG XL is truncated: its codestream is not there; copy or download it again")


def jxl_header(data: bytes) -> JxlHeader:
    """The header of the JPEG XL `data`. Raises SignalError where it is cut short."""
    bits = _Bits(codestream(data))
    _size(bits, _SIZES)
    if bits.take(1):
        return JxlHeader()  # everything has its default
    orientation, animated = 1, False
    if bits.take(1):
        orientation = bits.take(3) + 1
        if bits.take(1):
            _size(bits, _SIZES)  # the size that it is to be shown at
        if bits.take(1):
            _preview(bits)
        animated = bool(bits.take(1))
        if animated:
            return JxlHeader(orientation=orientation, animated=True)
    floating = bool(bits.take(1))
    selector = bits.take(2)
    if floating:
        return JxlHeader(bits=(32, 16, 24)[selector] if selector < 3 else bits.take(6) + 1, floating=True, orientation=orientation)
    return JxlHeader(bits=_DEPTHS[selector] if selector < 3 else bits.take(6) + 1, orientation=orientation)


def _size(bits: _Bits, sizes: tuple[int, ...]) -> None:
    """SizeHeader: height, and width or its ratio to the height."""
    small = bits.take(1)
    for index in range(2):
        if index and bits.take(3):
            return  # a ratio
        bits.take(5 if small else sizes[bits.take(2)])


def _preview(bits: _Bits) -> None:
    """PreviewHeader, whose numbers have other lengths."""
    eighths = bits.take(1)
    for index in range(2):
        if index and bits.take(3):
            return
        selector = bits.take(2)
        bits.take(((0, 0, 5, 9) if eighths else (6, 8, 10, 12))[selector])
