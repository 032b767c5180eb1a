"""The container: golden bytes, one rejection per rule, and no way to damage a file unnoticed."""

import tracemalloc
import zlib
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from i2compress import container as c
from i2compress.container import Container, Header, chunk_sizes, lambda_code, read, write
from i2compress.errors import (
    BadMagicError,
    ChecksumError,
    FormatError,
    LimitError,
    MalformedError,
    SignalError,
    TruncatedError,
    UnsupportedVersionError,
)
from i2compress.header import encode_header, encode_varint

HEADER = Header(kind=0, grid=(512, 768), channels=3, bit_depth=8, field=0, params=(16, 6, 9), prior=1, streams=2, lam_code=160)
SMALL = Container(header=HEADER, weights=b"weights", latents=(b"coarse", b""))
GOLDEN = bytes.fromhex(
    """
    f16932 01
    48 0d 44 a0 8004 8006 00 01 02 03 10 06 09 3784202e
    57 07 77656967687473 2e9d417d
    59 06 636f61727365 6c0cbc34
    59 00 e2f4a02a
    """
)


def chunk(letter: str, payload: bytes) -> bytes:
    """A chunk with its right checksum."""
    body = letter.encode("latin-1") + encode_varint(len(payload)) + payload
    return body + zlib.crc32(body).to_bytes(4, "little")


def i2_file(*chunks: bytes) -> bytes:
    """A file of these chunks."""
    return b"\xf1i2\x01" + b"".join(chunks)


H = chunk("H", encode_header(HEADER))
W = chunk("W", b"weights")
Y1 = chunk("Y", b"coarse")
Y2 = chunk("Y", b"")


def test_the_bytes_of_a_file_are_the_golden_ones() -> None:
    assert write(SMALL).hex() == GOLDEN.hex()
    assert read(GOLDEN) == SMALL


def test_metadata_travels_between_header_and_weights() -> None:
    metadata = {"icc": b"profile" * 40, "exif": b"II*\0", "xmp": b"<x/>"}
    data = write(replace(SMALL, metadata=metadata))
    assert read(data).metadata == metadata
    assert [s.type for s in chunk_sizes(data)] == ["", "H", "c", "e", "x", "W", "Y", "Y"]


def test_chunk_sizes_add_up_to_the_file() -> None:
    sizes = chunk_sizes(GOLDEN)
    assert sum(s.size for s in sizes) == len(GOLDEN)
    assert sizes[0] == ("", "signature", 4)
    assert sizes[2] == ("W", "weights", 13)


def test_an_unknown_optional_chunk_is_skipped() -> None:
    data = i2_file(H, chunk("q", b"from the future"), W, Y1, Y2)
    assert read(data) == SMALL
    assert chunk_sizes(data)[2].name == "unknown"


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (b"\x89PNG\r\n", BadMagicError, "not an .i2 file"),
        (b"\xf1", TruncatedError, "1 bytes"),
        (b"\xf1i2\x02" + H, UnsupportedVersionError, "update i2compress"),
        (i2_file(H, chunk("Q", b""), W, Y1, Y2), UnsupportedVersionError, "unknown type 'Q'"),
        (i2_file(H, W, Y1, chunk("Q", b"")), UnsupportedVersionError, "unknown type 'Q'"),
        (i2_file(W, H, Y1, Y2), MalformedError, "expected 'H'"),
        (i2_file(H, Y1, Y2), MalformedError, "expected 'W'"),
        (i2_file(H, W, W, Y1, Y2), MalformedError, "expected 'Y'"),
        (i2_file(H, W, chunk("q", b""), Y1, Y2), MalformedError, "expected 'Y'"),
        (i2_file(H, chunk("1", b""), W, Y1, Y2), MalformedError, "expected a letter"),
        (i2_file(H, chunk("\xe9", b""), W, Y1, Y2), MalformedError, "expected a letter"),
        (i2_file(H, W, Y1, Y2, Y2), MalformedError, "follow the last chunk"),
        (i2_file(H, W, Y1, Y2[:-1] + b"\0"), ChecksumError, "damaged"),
        (i2_file(H, chunk("e", zlib.compress(b"a")), chunk("e", zlib.compress(b"b")), W, Y1, Y2), MalformedError, "second exif"),
        (i2_file(H, chunk("e", b"not zlib"), W, Y1, Y2), MalformedError, "not a zlib stream"),
        (i2_file(H, chunk("e", zlib.compress(b"abc")[:-1]), W, Y1, Y2), MalformedError, "not one whole zlib stream"),
        (i2_file(H, chunk("e", zlib.compress(b"abc") + b"x"), W, Y1, Y2), MalformedError, "not one whole zlib stream"),
        (i2_file(H, chunk("e", zlib.compress(bytes(c.MAX_METADATA + 1))), W, Y1, Y2), LimitError, "more than 16777216"),
        (i2_file(H, b"W\x87\x00weights"), MalformedError, "too many bytes"),
        (i2_file(H, b"W\xff\xff\xff\xff\x1f"), LimitError, "chunk length"),
        (i2_file(H, b"W\x80\x80\x80\x80\x80\x80"), MalformedError, "too many bytes"),
        (i2_file(chunk("H", encode_header(HEADER)[:-1])), MalformedError, "header ends early"),
        (i2_file(chunk("H", encode_header(HEADER) + b"\0")), MalformedError, "header has"),
        (i2_file(chunk("H", bytes.fromhex("4ca080048006010100010203100609"))), MalformedError, "image has 4 grid axes"),
        (i2_file(chunk("H", bytes.fromhex("44a0808000800600010203100609"))), MalformedError, "too many bytes"),
        (i2_file(chunk("H", bytes.fromhex("44a000800600010203100609"))), LimitError, "grid axis is 0"),
        (i2_file(chunk("H", bytes.fromhex("44a080808001800600010203100609"))), LimitError, "grid axis"),
        (i2_file(chunk("H", bytes.fromhex("44a08004800632010203100609"))), UnsupportedVersionError, "field is number 50"),
        (i2_file(chunk("H", bytes.fromhex("44a08004800600010003100609"))), LimitError, "latent streams is 0"),
        (i2_file(chunk("H", bytes.fromhex("44a08004800600011103100609"))), LimitError, "latent streams is 17"),
        (i2_file(chunk("H", bytes.fromhex("44a08004800600010211100609"))), LimitError, "number of parameters is 17"),
    ],
)
def test_a_broken_rule_is_named(data: bytes, error: type[FormatError], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        read(data)
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"kind": 4}, MalformedError),
        ({"grid": (5,)}, MalformedError),
        ({"grid": (5, 5, 5)}, MalformedError),
        ({"kind": 2, "grid": (5, 5)}, MalformedError),
        ({"grid": (0, 5)}, LimitError),
        ({"grid": (2**20 + 1, 1)}, LimitError),
        ({"grid": (2**16, 2**15)}, LimitError),
        ({"channels": 0}, LimitError),
        ({"channels": 5}, LimitError),
        ({"kind": 1, "channels": 9}, LimitError),
        ({"bit_depth": 12}, MalformedError),
        ({"field": 10}, UnsupportedVersionError),
        ({"params": (0,) * 17}, LimitError),
        ({"params": (2**32,)}, LimitError),
        ({"prior": 2**32}, LimitError),
        ({"streams": 0}, LimitError),
        ({"streams": 17}, LimitError),
        ({"lam_code": 255}, LimitError),
    ],
)
def test_a_header_outside_its_limits_is_refused(change: dict[str, object], error: type[FormatError]) -> None:
    fields = {name: getattr(HEADER, name) for name in HEADER.__dataclass_fields__}
    with pytest.raises(error):
        Header(**{**fields, **change})


def test_what_cannot_be_written_is_refused() -> None:
    with pytest.raises(MalformedError, match="header says 2"):
        write(replace(SMALL, latents=(b"one",)))
    with pytest.raises(MalformedError, match="header says 2"):
        replace(SMALL, latents=(b"",) * 3)
    with pytest.raises(MalformedError, match="'comment'"):
        replace(SMALL, metadata={"comment": b""})
    with pytest.raises(SignalError, match="--strip"):
        write(replace(SMALL, metadata={"icc": bytes(c.MAX_METADATA + 1)}))


FULL = write(replace(SMALL, metadata={"icc": b"profile", "exif": b"II*\0", "xmp": b"<x/>"}))


def test_every_strict_prefix_is_truncated() -> None:
    for length in range(len(FULL)):
        with pytest.raises(TruncatedError):
            read(FULL[:length])


def test_every_changed_byte_is_found() -> None:
    for place in range(len(FULL)):
        for mask in range(1, 256):
            damaged = bytearray(FULL)
            damaged[place] ^= mask
            with pytest.raises(FormatError):
                read(bytes(damaged))


def test_a_partial_file_gives_the_latents_that_are_whole() -> None:
    upto_weights = len(GOLDEN) - len(Y1) - len(Y2)
    for length in range(upto_weights, len(GOLDEN)):
        partial = read(GOLDEN[:length], allow_partial=True)
        assert not partial.complete
        assert partial.latents == ((b"coarse",) if length >= upto_weights + len(Y1) else ())
    for length in range(upto_weights):
        with pytest.raises(TruncatedError):
            read(GOLDEN[:length], allow_partial=True)
    assert read(GOLDEN, allow_partial=True).complete


def test_a_damaged_latents_chunk_ends_a_partial_file() -> None:
    damaged = bytearray(GOLDEN)
    damaged[-1] ^= 1
    assert read(bytes(damaged), allow_partial=True).latents == (b"coarse",)


def test_a_file_that_claims_huge_sizes_costs_no_memory() -> None:
    bomb = zlib.compress(bytes(4 * c.MAX_METADATA))
    tracemalloc.start()
    for data in (
        i2_file(H, b"W\xff\xff\xff\xff\x0f"),
        i2_file(H, W, b"Y\xff\xff\xff\xff\x0f" + b"x" * 100),
        i2_file(chunk("H", b"\x44\xa0" + b"\xff" * 9)),
    ):
        with pytest.raises(FormatError):
            read(data)
    small = tracemalloc.get_traced_memory()[1]
    with pytest.raises(LimitError):
        read(i2_file(H, chunk("x", bomb), W, Y1, Y2))
    large = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert small < 2**20
    assert large < 3 * c.MAX_METADATA


@pytest.mark.parametrize("lam", [1.0, 2e-2, 1e-3, 5e-5])
def test_lambda_is_kept_to_within_three_percent(lam: float) -> None:
    shown = replace(HEADER, lam_code=lambda_code(lam)).lam
    assert shown is not None and abs(shown / lam - 1) < 0.03


def test_lambda_is_clamped_and_may_be_unknown() -> None:
    assert (lambda_code(4.0), lambda_code(1e-9)) == (0, 254)
    unknown = replace(SMALL, header=replace(HEADER, lam_code=None))
    assert read(write(unknown)).header.lam is None


@st.composite
def headers(draw: st.DrawFn) -> Header:
    """Any valid header."""
    kind = draw(st.integers(0, 3))
    field = draw(st.integers(0, 9))
    axes = draw(st.sampled_from({0: [2], 1: [1, 2], 2: [3], 3: [3]}[kind]))
    return Header(
        kind=kind,
        grid=tuple(draw(st.lists(st.integers(1, 2**20 if axes == 1 else 2**10), min_size=axes, max_size=axes))),
        channels=draw(st.integers(1, (4, 8, 4, 1)[kind])),
        bit_depth=draw(st.sampled_from([8, 16])),
        field=field,
        params=tuple(draw(st.lists(st.integers(0, 2**32 - 1), max_size=16))),
        prior=draw(st.integers(0, 2**32 - 1)),
        streams=draw(st.integers(1, 16)) if field in (0, 1, 8, 9) else 0,
        lam_code=draw(st.none() | st.integers(0, 254)),
    )


@st.composite
def containers(draw: st.DrawFn) -> Container:
    """Any valid container."""
    header = draw(headers())
    latents = draw(st.lists(st.binary(max_size=300), min_size=header.streams, max_size=header.streams))
    metadata = draw(st.dictionaries(st.sampled_from(["icc", "exif", "xmp"]), st.binary(max_size=50)))
    occupancy = draw(st.binary(max_size=50)) if header.field in (8, 9) else b""
    return Container(header=header, weights=draw(st.binary(max_size=50)), latents=tuple(latents), metadata=metadata, occupancy=occupancy)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure
@given(containers())
def test_what_is_written_is_read(container: Container) -> None:
    data = write(container)
    assert read(data) == container
    assert sum(s.size for s in chunk_sizes(data)) == len(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_format_error(data: bytes) -> None:
    with pytest.raises(FormatError):
        read(data)
    with pytest.raises(FormatError):
        read(b"\xf1i2\x01" + data)
