"""PBM, PGM, PPM and PAM: read in every variant and depth, written as rows come."""

import re
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from ...errors import SignalError, UsageError
from ...signal import Codes
from .decoded import Decoded
from .limits import check_pixels
from .target import Target

_NUMBER = re.compile(rb"(?:\s|#[^\n\r]*[\n\r])*(\d+)")
_PAM_LINE = re.compile(rb"[ \t]*(?:#[^\n]*|([A-Z]+)(?:[ \t]+([^\n]*?))?)?[ \t\r]*\n")
_PAM_TYPES = {1: ("GRAYSCALE", "BLACKANDWHITE"), 2: ("GRAYSCALE_ALPHA", "BLACKANDWHITE_ALPHA"), 3: ("RGB",), 4: ("RGB_ALPHA",)}

_Shape = tuple[int, int, int]
_Samples = npt.NDArray[np.integer[Any]]


def read_pnm(data: bytes) -> Decoded:
    """Code values `[H, W, C]` of a PBM, PGM, PPM or PAM; 8 bit up to maxval 255, else 16, stretched to the full range."""
    shape, top, start = _pam_header(data) if data[:2] == b"P7" else _header(data)
    check_pixels(shape[1], shape[0])
    if not 1 <= top <= 65535:
        raise SignalError(f"the picture has maxval {top}; expected 1 to 65535")
    kind = data[:2]
    if kind == b"P1":
        samples, rest = _bits_in_text(data, start, shape)
    elif kind in (b"P2", b"P3"):
        samples, rest = _numbers_in_text(data, start, shape)
    elif kind == b"P4":
        samples, rest = _packed_bits(data, start, shape)
    else:
        samples, rest = _binary(data, start, shape, top)
    if re.match(rb"\s*P[1-7]\s", rest[:64]):
        raise SignalError("the file holds several pictures; expected one, split it first, for example with pamsplit")
    notes = (f"{len(rest)} bytes follow the end of the picture; they were left out.",) if rest.strip() else ()
    return Decoded(codes=_stretched(samples, top), notes=notes)


def _header(data: bytes) -> tuple[_Shape, int, int]:
    """Shape, maxval and the offset of the samples of P1 to P6."""
    bitmap, colour = data[:2] in (b"P1", b"P4"), data[:2] in (b"P3", b"P6")
    numbers, position = [], 2
    for _ in range(2 if bitmap else 3):
        found = _NUMBER.match(data, position)
        if found is None:
            raise SignalError("the header is damaged; expected width, height and maxval as numbers")
        numbers.append(int(found[1][:12]))
        position = found.end()
    width, height, top = (*numbers, 1) if bitmap else numbers
    return (height, width, 3 if colour else 1), top, position + 1


def _pam_header(data: bytes) -> tuple[_Shape, int, int]:
    """Shape, maxval and the offset of the samples of P7."""
    fields: dict[str, str] = {}
    position = data.find(b"\n") + 1 or len(data)
    while "ENDHDR" not in fields:
        found = _PAM_LINE.match(data, position)
        if found is None:
            raise SignalError("the PAM header is damaged; expected lines such as WIDTH 768, up to ENDHDR")
        if found[1] is not None:
            fields[found[1].decode("ascii")] = (found[2] or b"").decode("latin-1")
        position = found.end()
    try:
        height, width, channels, top = (int(fields[key]) for key in ("HEIGHT", "WIDTH", "DEPTH", "MAXVAL"))
    except (KeyError, ValueError) as error:
        raise SignalError("the PAM header is damaged; expected WIDTH, HEIGHT, DEPTH and MAXVAL") from error
    kind = fields.get("TUPLTYPE") or _PAM_TYPES.get(channels, ("",))[0]
    if kind not in _PAM_TYPES.get(channels, ()):
        raise SignalError(f"the PAM holds {channels} channels of type {kind or 'unknown'}; expected gray or RGB, with or without alpha")
    return (height, width, channels), top, position


def _truncated(found: int, expected: int) -> SignalError:
    return SignalError(f"the picture is truncated: {found} of {expected} bytes or numbers of samples are there; copy or download it again")


def _binary(data: bytes, start: int, shape: _Shape, top: int) -> tuple[_Samples, bytes]:
    dtype: np.dtype[np.integer[Any]] = np.dtype(np.uint8) if top < 256 else np.dtype(">u2")
    count = shape[0] * shape[1] * shape[2]
    end = start + count * dtype.itemsize
    if len(data) < end:
        raise _truncated(max(0, len(data) - start), end - start)
    return np.frombuffer(data, dtype, count, start).reshape(shape), data[end:]


def _packed_bits(data: bytes, start: int, shape: _Shape) -> tuple[_Samples, bytes]:
    """Rows padded to whole bytes; a set bit is black."""
    height, width, _ = shape
    stride = (width + 7) // 8
    end = start + height * stride
    if len(data) < end:
        raise _truncated(max(0, len(data) - start), end - start)
    rows = np.frombuffer(data, np.uint8, height * stride, start).reshape(height, stride)
    samples: npt.NDArray[np.uint8] = 1 - np.unpackbits(rows, axis=1, count=width).reshape(shape)
    return samples, data[end:]


def _bits_in_text(data: bytes, start: int, shape: _Shape) -> tuple[_Samples, bytes]:
    """Digits that need no space between them; 1 is black."""
    text = _without_comments(data, start)
    body = np.frombuffer(text, np.uint8)
    places = np.flatnonzero((body == ord("0")) | (body == ord("1")))
    count = shape[0] * shape[1]
    if places.size < count:
        raise _truncated(places.size, count)
    samples: _Samples = (ord("1") - body[places[:count]]).reshape(shape)
    return samples, text[int(places[count - 1]) + 1 :]


def _numbers_in_text(data: bytes, start: int, shape: _Shape) -> tuple[_Samples, bytes]:
    count = shape[0] * shape[1] * shape[2]
    words = _without_comments(data, start).split(None, count)
    if len(words) < count:
        raise _truncated(len(words), count)
    return np.array(words[:count], dtype="S6").astype(np.int64).reshape(shape), b"".join(words[count:])


def _without_comments(data: bytes, start: int) -> bytes:
    return re.sub(rb"#[^\n\r]*", b"", data[start - 1 :])


def _stretched(samples: _Samples, top: int) -> Codes:
    full = 255 if top < 256 else 65535
    if top != full or samples.dtype.kind != "u":
        wide = np.clip(samples.astype(np.int64), 0, top)
        samples = (wide * full + top // 2) // top
    return samples.astype(np.uint8) if top < 256 else samples.astype(np.uint16)


class PnmSink:
    """Writes PGM (gray), PPM (RGB) or, as PAM, anything; 8 or 16 bit."""

    def __init__(self, file: BinaryIO, layout: Target, *, pam: bool) -> None:
        height, width, channels = layout.shape
        if not pam and channels in (2, 4):
            raise UsageError("PGM and PPM hold no alpha; choose pam or png")
        top = 2**layout.bit_depth - 1
        if pam:
            header = f"P7\nWIDTH {width}\nHEIGHT {height}\nDEPTH {channels}\nMAXVAL {top}\nTUPLTYPE {_PAM_TYPES[channels][0]}\nENDHDR\n"
        else:
            header = f"P{5 if channels == 1 else 6}\n{width} {height}\n{top}\n"
        self._file = file
        file.write(header.encode("ascii"))

    def write(self, rows: Codes) -> None:
        """Appends rows `[h, W, C]`."""
        self._file.write(rows.astype(rows.dtype.newbyteorder(">"), copy=False).tobytes())

    def finish(self) -> None:
        """Nothing follows the last row."""
