"""The header of an .i2 file: what it holds, in a dozen bytes, and the numbers (LEB128 varints) it is made of.

byte 0          kind (bits 0-1), grid axes - 1 (bits 2-3), depth 16 (bit 4), channels - 1 (bits 5-7)
byte 1          lambda code; 255 where the encoder did not say
varints         each grid axis, field, prior, streams, number of parameters, each parameter
"""

import math
from dataclasses import dataclass

from .errors import FormatError, LimitError, MalformedError, UnsupportedVersionError
from .kinds import SAMPLES, Kind

MAX_AXIS = 2**20
MAX_POINTS = 2**30
MAX_CHANNELS = 8
MAX_PARAMS = 16
MAX_VALUE = 2**32 - 1  # largest value of a parameter, a prior's number and a chunk's length
MAX_STREAMS = 16

FIELDS = {
    0: "implicit pyramid",
    1: "explicit pyramid",
    2: "implicit siren",
    3: "explicit siren",
    4: "implicit fourier",
    5: "explicit fourier",
    6: "implicit gabor",
    7: "explicit gabor",
    8: "implicit sparse pyramid",
    9: "explicit sparse pyramid",
}
SPARSE = (8, 9)  # the fields with latents in active blocks only
PYRAMIDS = (0, 1, *SPARSE)  # the fields with latents

_KINDS = {int(kind): kind.name.lower() for kind in Kind}
_LAMBDA_UNKNOWN = 255
_LAMBDA_STEPS = 16  # codes for each halving of lambda


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a file holds.

    Args:
        kind: a value of Kind.
        grid: points along each axis, each 1..2**20, their product at most 2**30; (H, W) for an image.
        channels: 1..8 (1..4 for an image).
        bit_depth: of the source's samples, 8 or 16.
        field: which field the weights and latents belong to; a key of FIELDS.
        params: at most 16 numbers below 2**32 whose meaning belongs to the field.
        prior: number of the weight prior, below 2**32.
        streams: number of 'Y' chunks, 1..16 for a pyramid, 0 for a coordinate field.
        lam_code: 0..254, round(-16 log2(lambda)) of the encoder, to show; None where it did not say.

    Raises:
        LimitError: a number beyond its limit.
        MalformedError: a kind, axis count or bit depth that does not exist.
        UnsupportedVersionError: a field this reader does not know.
    """

    kind: int
    grid: tuple[int, ...]
    channels: int
    bit_depth: int
    field: int
    params: tuple[int, ...]
    prior: int
    streams: int
    lam_code: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise MalformedError(f"signal kind is {self.kind}; expected {_choices(_KINDS)}")
        samples = SAMPLES[Kind(self.kind)]
        if len(self.grid) not in samples.plane_axes:
            raise MalformedError(f"{_KINDS[self.kind]} has {len(self.grid)} grid axes; expected {' or '.join(map(str, samples.plane_axes))}")
        for size in self.grid:
            _check_range("grid axis", size, 1, MAX_AXIS)
        _check_range("number of grid points", math.prod(self.grid), 1, MAX_POINTS)
        _check_range("number of channels", self.channels, 1, samples.channels)
        if self.bit_depth not in (8, 16):
            raise MalformedError(f"bit depth is {self.bit_depth}; expected 8 or 16")
        if self.field not in FIELDS:
            raise UnsupportedVersionError(f"field is number {self.field}; this version knows {_choices(FIELDS)}: update i2compress")
        _check_range("number of parameters", len(self.params), 0, MAX_PARAMS)
        for value in self.params:
            _check_range("parameter", value, 0, MAX_VALUE)
        _check_range("weight prior", self.prior, 0, MAX_VALUE)
        pyramid = self.field in PYRAMIDS
        _check_range("number of latent streams", self.streams, int(pyramid), MAX_STREAMS if pyramid else 0)
        if self.lam_code is not None:
            _check_range("lambda code", self.lam_code, 0, _LAMBDA_UNKNOWN - 1)

    @property
    def lam(self) -> float | None:
        """The encoder's lambda to within 3 % (2**-15.875 for anything smaller); None where it did not say."""
        return None if self.lam_code is None else 2 ** (-self.lam_code / _LAMBDA_STEPS)


def lambda_code(lam: float) -> int:
    """The code 0..254 of a rate weight `lam` > 0, clamped; Header.lam undoes it."""
    return min(max(round(-_LAMBDA_STEPS * math.log2(lam)), 0), _LAMBDA_UNKNOWN - 1)


def encode_header(header: Header) -> bytes:
    """The header's bytes; `decode_header` undoes it."""
    shape = header.kind | (len(header.grid) - 1) << 2 | (header.bit_depth == 16) << 4 | (header.channels - 1) << 5
    lam = _LAMBDA_UNKNOWN if header.lam_code is None else header.lam_code
    numbers = (*header.grid, header.field, header.prior, header.streams, len(header.params), *header.params)
    return bytes((shape, lam)) + b"".join(map(encode_varint, numbers))


def decode_header(payload: memoryview) -> Header:
    """The header from its bytes, every number checked. Raises FormatError."""
    cursor = Cursor(payload, 0, "the header", MalformedError, "the file was written wrongly")
    shape, lam = cursor.byte(), cursor.byte()
    header = Header(
        kind=shape & 3,
        grid=tuple(cursor.varint("grid axis", MAX_AXIS) for _ in range((shape >> 2 & 3) + 1)),
        channels=(shape >> 5) + 1,
        bit_depth=16 if shape >> 4 & 1 else 8,
        field=cursor.varint("field", MAX_VALUE),
        prior=cursor.varint("weight prior", MAX_VALUE),
        streams=cursor.varint("number of latent streams", MAX_STREAMS),
        params=tuple(cursor.varint("parameter", MAX_VALUE) for _ in range(cursor.varint("number of parameters", MAX_PARAMS))),
        lam_code=None if lam == _LAMBDA_UNKNOWN else lam,
    )
    if cursor.position != len(payload):
        raise MalformedError(f"the header has {len(payload)} bytes; expected {cursor.position}: the file was written wrongly")
    return header


def encode_varint(value: int) -> bytes:
    """Unsigned LEB128 of `value` >= 0, shortest form."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode_signed(value: int) -> bytes:
    """A varint, 2 n of n >= 0 and -2 n - 1 below 0; Cursor.signed undoes it."""
    return encode_varint(2 * value if value >= 0 else -2 * value - 1)


class Cursor:
    """Reads bytes and varints from `data`; running out raises `short`, with `advice` on what to do."""

    def __init__(self, data: memoryview, position: int, where: str, short: type[FormatError], advice: str) -> None:
        self.data = data
        self.position = position
        self.where = where
        self.short = short
        self.advice = advice

    def take(self, count: int) -> memoryview:
        """The next `count` bytes, not copied."""
        missing = count - (len(self.data) - self.position)
        if missing > 0:
            raise self.short(f"{self.where} ends early; expected {missing} more bytes: {self.advice}")
        self.position += count
        return self.data[self.position - count : self.position]

    def byte(self) -> int:
        """The next byte."""
        return self.take(1)[0]

    def varint(self, what: str, limit: int) -> int:
        """Unsigned LEB128 in its shortest form, at most `limit`."""
        value = 0
        for shift in range(0, limit.bit_length() + 7, 7):
            byte = self.byte()
            value |= (byte & 127) << shift
            _check_range(what, value, 0, limit)
            if byte < 128:
                if byte == 0 and shift:
                    break
                return value
        raise MalformedError(f"{what} {value} in {self.where} is written with too many bytes; expected the shortest form")

    def signed(self, what: str, limit: int) -> int:
        """A number from -`limit` to `limit`, as encode_signed has it."""
        zigzag = self.varint(what, 2 * limit)
        return -(zigzag + 1) // 2 if zigzag & 1 else zigzag // 2


def _check_range(what: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise LimitError(f"{what} is {value}; expected {low} to {high}")


def _choices(table: dict[int, str]) -> str:
    return ", ".join(f"{number} ({name})" for number, name in table.items())
