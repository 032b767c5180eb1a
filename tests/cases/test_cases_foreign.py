"""A file is called what it is, whatever its name says."""

import struct

import pytest
from pictures import noise, written

from i2compress.errors import SignalError
from i2compress.media.foreign import describe, recognise
from i2compress.media.image.files import decode_picture
from i2compress.media.image.sniff import is_picture


def iso(brand: bytes, *others: bytes) -> bytes:
    """The first box of an MP4 and its like."""
    return struct.pack(">I", 16 + 4 * len(others)) + b"ftyp" + brand + bytes(4) + b"".join(others) + b"\0\0\0\x08free"


SOUNDS = {
    "an M4A sound": iso(b"M4A ", b"mp42", b"isom"),
    "an AAC sound (ADTS)": b"\xff\xf1\x50\x80\x2e\x7f\xfc\x21",
    "an MP3 sound": b"\xff\xfb\x90\x64" + bytes(30),
    "a MIDI file (notes, not sound)": b"MThd\0\0\0\6\0\1",
    "a VOC sound": b"Creative Voice File\x1a\x1a\0",
    "a WAV sound": b"RIFF\x24\0\0\0WAVEfmt ",
    "a FLAC sound": b"fLaC\0\0\0\x22",
    "an Ogg sound": b"OggS\0\2",
    "an AIFF sound": b"FORM\0\0\0\x2eAIFFCOMM",
    "an AMR sound": b"#!AMR\n",
}
OTHERS = {
    "an MP4 video or sound": iso(b"isom", b"iso2", b"mp41"),
    "a QuickTime video": iso(b"qt  "),
    "a WebM video or sound": b"\x1aE\xdf\xa3\x9fB\x86\x81\1B\x82\x84webm",
    "a Matroska video or sound": b"\x1aE\xdf\xa3\x9fB\x86\x81\1B\x82\x88matroska",
    "an AVI video": b"RIFF\0\0\0\0AVI LIST",
    "a HEIC picture": iso(b"mif1", b"mif1", b"heic"),
    "an animated AVIF picture": iso(b"avis", b"avif"),
    "a PDF document": b"%PDF-1.7\n",
    "an SVG drawing": b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- x -->\n<svg xmlns="http://www.w3.org/2000/svg"/>',
    "a web page": b"<!DOCTYPE html><html>",
    "a ZIP archive (or an Office, EPUB or Krita document)": b"PK\3\4\x14\0",
    "a Photoshop document": b"8BPS\0\1",
    "an OpenEXR picture": b"v/1\1\2\0\0\0",
    "a Radiance HDR picture": b"#?RADIANCE\n",
    "a Canon camera raw file (CR2)": b"II*\0\x10\0\0\0CR\2\0",
    "a Canon camera raw file (CR3)": iso(b"crx "),
    "a Fujifilm camera raw file (RAF)": b"FUJIFILMCCD-RAW 0201",
    "an .i2 file": b"\xf1i2\1",
    "text": b"hello\n",
}


@pytest.mark.parametrize("what", SOUNDS)
def test_a_sound_is_called_sound(what: str) -> None:
    found = recognise(SOUNDS[what])
    assert found is not None
    assert (found.what, found.sound) == (what, True)
    with pytest.raises(SignalError) as caught:
        decode_picture(SOUNDS[what], "x.png")
    assert str(caught.value).startswith(f"x.png: the file is {what}, not a picture; expected one of PNG")
    assert str(caught.value).endswith(found.advice)


@pytest.mark.parametrize("what", OTHERS)
def test_any_other_file_is_named_with_what_to_do(what: str) -> None:
    found = recognise(OTHERS[what])
    assert found is not None
    assert (found.what, found.sound) == (what, False)
    with pytest.raises(SignalError) as caught:
        decode_picture(OTHERS[what], "x.png")
    assert str(caught.value).startswith(f"x.png: the file is {what}; expected one of PNG")
    assert str(caught.value).endswith(found.advice)


@pytest.mark.parametrize("form", ["png", "jpeg", "webp", "tiff", "bmp", "ppm"])
def test_a_picture_is_one_whatever_it_is_called(form: str) -> None:
    data = written(noise(4, 5, 3), form)
    assert is_picture(data)
    assert decode_picture(data, "sound.wav").codes.shape == (4, 5, 3)


def test_what_says_nothing_is_not_described() -> None:
    assert describe(b"") is None
    assert describe(b"\0\1\2\3\4") is None
    assert not is_picture(b"")
