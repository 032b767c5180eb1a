"""What is not supported, and what is damaged, is said in a sentence."""

import io
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import SRGB, XMP, codes_of, exif_block, noise, png, saved, written
from PIL import Image

from i2compress import media
from i2compress.errors import SignalError
from i2compress.media import Codes
from i2compress.media.image.files import decode_picture
from i2compress.media.image.png_write import chunk
from i2compress.media.table import medium_of
from i2compress.signal import Kind, Metadata, to_codes


def frames(form: str) -> bytes:
    """Two frames in one file."""
    first, second = (Image.fromarray(noise(8, 8, 3) + np.uint8(shift)) for shift in (0, 99))
    return saved(first, form, save_all=True, append_images=[second])


def tiff_of(values: npt.NDArray[np.generic], **options: object) -> bytes:
    """The TIFF that tifffile writes."""
    file = io.BytesIO()
    tifffile.imwrite(file, values, **options)  # type: ignore[arg-type]
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the file is empty"),
        (b"hello, this is text\n", "the file is text; expected one of png"),
        (b"\0\1\2\3\4", "the file is nothing that is known"),
        (b"\0\0\0\x1cftypheic\0\0", "a HEIC picture"),
        (b"\0\0\0\x1cftypisom\0\0", "an MP4 video or sound"),
        (b"%PDF-1.7", "a PDF document"),
        (b"PF\n1 1\n-1\n" + bytes(12), "floating-point PFM"),
        (b"P5 0 4 255\n", "0x4; expected at least 1x1"),
        (b"P5 99999 99999 255\n", "10000 megapixels; expected at most 1074, cut it into tiles"),
        (b"P5 2 2 70000\n", "maxval 70000; expected 1 to 65535"),
        (b"P5 2 2 255\nabc", "truncated: 3 of 4"),
        (b"P2 2 2 255\n1 2", "truncated: 2 of 4"),
        (b"P5 x", "header is damaged"),
        (b"P7\nWIDTH 2\n", "PAM header is damaged"),
        (b"P7\nWIDTH 1\nHEIGHT 1\nDEPTH 4\nMAXVAL 255\nTUPLTYPE CMYK\nENDHDR\n1234", "4 channels of type CMYK"),
        (b"P5 1 1 255\nxP5 1 1 255\nx", "several pictures"),
        (png(40000, 40000, 8, 2, b""), "1600 megapixels"),
        (png(1, 1, 16, 2, b"\0" * 7, chunk(b"cICP", b"\x09\x10\0\1")), r"HDR \(PQ transfer\)"),
    ],
)
def test_what_is_not_supported_is_said_in_a_sentence(data: bytes, words: str) -> None:
    with pytest.raises(SignalError, match=words) as caught:
        media.read(data)
    assert str(caught.value).startswith("the input: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_an_animation_is_no_picture_but_a_video(form: str) -> None:
    with pytest.raises(SignalError, match="an animation of 2 frames; expected a still picture"):
        decode_picture(frames(form), "moving")
    assert media.read(frames(form)).kind is Kind.VIDEO


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (tiff_of(np.zeros((4, 4), np.float32)), "32-bit floating-point numbers; expected 8 or 16-bit unsigned"),
        (tiff_of(np.zeros((4, 4), np.uint32)), "32-bit integers"),
        (tiff_of(np.zeros((4, 4), np.int16)), "16-bit signed integers"),
        (tiff_of(np.zeros((3, 4, 4), np.uint8), photometric="minisblack"), "3 pages; expected one"),
        (tiff_of(np.zeros((4, 4, 3), np.uint8), photometric="cielab"), "CIE Lab; expected gray or RGB"),
        (tiff_of(np.zeros((9, 9, 5), np.uint8), photometric="rgb"), "2 extra channels"),
        (tiff_of(np.zeros((9, 9, 5), np.uint16), photometric="rgb"), "2 extra channels"),
        (tiff_of(np.zeros((4, 4, 4), np.uint8), photometric="separated"), "CMYK"),
        (tiff_of(np.zeros((4, 4, 4), np.uint16), photometric="separated"), "CMYK"),
        (tiff_of(np.zeros((4, 4, 4), np.uint8), photometric="rgb", extrasamples=["unspecified"]), "1 extra channels"),
    ],
)
def test_a_tiff_of_other_samples_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(SignalError, match=words):
        media.read(data)


def test_cmyk_without_a_profile_is_refused() -> None:
    with pytest.raises(SignalError, match="CMYK inks without a CMYK profile"):
        media.read(saved(Image.new("CMYK", (8, 8), (10, 20, 30, 40)), "JPEG"))
    with pytest.raises(SignalError, match="CMYK inks without a CMYK profile"):
        media.read(saved(Image.new("CMYK", (8, 8)), "JPEG", icc_profile=SRGB))


def cmyk_profile() -> bytes:
    """The smallest CMYK profile: a table of 16 corners, white where there is no ink and black elsewhere."""
    corners = b"".join(b"\xff\x80\x80" if corner == 0 else b"\0\x80\x80" for corner in range(16))
    identity = struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    ramp = bytes(range(256))
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + identity + ramp * 4 + corners + ramp * 3
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    text = b"desc\0\0\0\0" + struct.pack(">I", 2) + b"x\0" + bytes(78)
    blobs = {b"A2B0": table, b"wtpt": white, b"desc": text + bytes(-len(text) % 4)}
    place, tags, body = 128 + 4 + 12 * len(blobs), b"", b""
    for name, blob in blobs.items():
        blob += bytes(-len(blob) % 4)
        tags += name + struct.pack(">II", place + len(body), len(blob))
        body += blob
    header = struct.pack(">I4s4s4s4s4s", place + len(body), b"lcms", b"\x02\x10\0\0", b"prtr", b"CMYK", b"Lab ") + bytes(12) + b"acsp"
    header += bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + struct.pack(">I", len(blobs)) + tags + body


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_cmyk_goes_through_its_profile_and_the_profile_goes(form: str) -> None:
    picture = Image.new("CMYK", (16, 8), (0, 0, 0, 0))
    picture.paste((255, 0, 0, 0), (8, 0, 16, 8))
    signal = media.read(saved(picture, form, icc_profile=cmyk_profile()))
    assert signal.metadata.icc is None
    codes = to_codes(signal.values, 8).astype(int)
    assert codes.shape == (8, 16, 3)
    assert codes[:, :8].min() >= 250
    assert codes[:, 8:].max() <= 5


def test_missing_files_and_directories_are_named(tmp_path: Path) -> None:
    with pytest.raises(SignalError, match=r"nothing\.png: no such file"):
        media.read(tmp_path / "nothing.png")
    with pytest.raises(SignalError, match="is a directory"):
        media.read(tmp_path)


def test_a_bad_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"text")
    with pytest.raises(SignalError, match=r"bad\.png: the file is text"):
        media.read(tmp_path / "bad.png")


def test_a_kind_that_is_not_there_yet_is_refused() -> None:
    missing = next((kind for kind in Kind if kind not in media.MEDIA), None)
    if missing is not None:
        with pytest.raises(SignalError, match="is not supported yet; expected a picture, sound and a video"):
            medium_of(missing)


def samples() -> dict[str, bytes]:
    """One small file of every kind that is read."""
    colour, deep = noise(12, 10, 3), noise(12, 10, 3, 16)
    metadata = Metadata(icc=SRGB, exif=exif_block(1), xmp=XMP)
    files = {f"{form} {codes.dtype}": written(codes, form, metadata) for form in ("png", "tiff", "pam", "ppm") for codes in (colour, deep)}
    files |= {form: written(colour, form, metadata) for form in ("jpeg", "webp", "bmp")}
    files["gif"] = saved(Image.fromarray(colour[..., 0]).convert("P"), "GIF")
    files["lossy webp"] = saved(Image.fromarray(colour), "WEBP")
    files["progressive jpeg"] = saved(Image.fromarray(colour), "JPEG", progressive=True)
    files["lzw tiff"] = saved(Image.fromarray(colour), "TIFF", compression="tiff_lzw")
    files["deep lzw tiff"] = saved(Image.fromarray(deep[..., 0]), "TIFF", compression="tiff_lzw")
    files["cicp png"] = files["png uint8"][:33] + chunk(b"cICP", b"\x0c\x0d\0\1") + chunk(b"gAMA", b"\0\1\x86\xa0") + files["png uint8"][33:]
    files["bigtiff"] = tiff_of(colour, photometric="rgb", bigtiff=True, extratags=[(34675, 7, len(SRGB), SRGB, True)])
    files |= {form: saved(Image.fromarray(colour), form) for form in ("TGA", "QOI", "JPEG2000", "AVIF")}
    return files


def read_or_refused(data: bytes) -> Codes | None:
    """The picture, or None where it is refused; anything but a SignalError fails the test."""
    try:
        return codes_of(data)
    except SignalError as error:
        assert "\n" not in str(error)
        return None


@pytest.mark.parametrize("name", samples())
def test_every_prefix_of_a_file_is_a_picture_or_a_sentence(name: str) -> None:
    data = samples()[name]
    whole = codes_of(data)
    for length in range(0, len(data), max(1, len(data) // 120)):
        part = read_or_refused(data[:length])
        if part is not None and not name.endswith(("jpeg", "webp", "gif")):
            np.testing.assert_array_equal(part, whole)  # nothing but what follows the samples may be missing


@pytest.mark.parametrize("name", samples())
def test_flipped_bytes_are_a_picture_or_a_sentence(name: str) -> None:
    data = samples()[name]
    for place in np.random.default_rng(0).integers(0, len(data), 60):
        damaged = bytearray(data)
        damaged[place] ^= 0xFF
        read_or_refused(bytes(damaged))


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"GIF89a", b"P5 ", b"P7\n", b"RIFF\0\0\0\0WEBP", b"BM"]),
    st.binary(max_size=80),
)
def test_random_bytes_behind_a_signature_are_a_sentence(magic: bytes, rest: bytes) -> None:
    read_or_refused(magic + rest)
