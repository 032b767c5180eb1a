"""What a file is that no reader here takes, from its first bytes, so that a refusal can name it.

One table for all kinds of media: a file is described for what it is, whatever it is called. The signatures are those of the formats'
own specifications; where several formats share a container (ISO base media, RIFF, EBML), its type field decides.
"""

import re
from dataclasses import dataclass
from typing import BinaryIO

HEAD = 4096  # bytes of a file that are enough to describe it

_TO_PICTURE = "convert it to PNG first"
_TO_SOUND = "convert it to FLAC or WAV first"
_RAW = "develop it to a 16-bit TIFF or PNG first"
_EXTRACT_FRAME = "extract one frame as PNG, or its sound as FLAC, first"
_TO_VIDEO = "give it as a video"
_EXPORT = "export the picture as PNG first"
_UNPACK = "unpack it and give the files in it"
_HDR = "map its tones to 8 or 16-bit RGB first"


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """A kind of file.

    Args:
        what: with its article, such as "an M4A sound".
        advice: what to do with it, an imperative without a full stop.
        sound: it is sound and nothing else.
    """

    what: str
    advice: str
    sound: bool = False


def _picture(what: str, advice: str = _TO_PICTURE) -> Foreign:
    return Foreign(what=what, advice=advice)


def _sound(what: str, advice: str = _TO_SOUND) -> Foreign:
    return Foreign(what=what, advice=advice, sound=True)


# The fourth to eighth bytes of ISO base media are "ftyp"; the brand behind it says what is inside (ISO/IEC 14496-12, mp4ra.org).
_BRANDS = {
    b"avif": _picture("an AVIF picture"),
    b"avis": _picture("an animated AVIF picture", _EXTRACT_FRAME),
    b"heic": _picture("a HEIC picture"),
    b"heix": _picture("a HEIC picture"),
    b"hevc": _picture("a HEIC picture sequence", _EXTRACT_FRAME),
    b"heim": _picture("a HEIC picture"),
    b"mif1": _picture("a HEIF picture"),
    b"msf1": _picture("a HEIF picture sequence", _EXTRACT_FRAME),
    b"crx ": _picture("a Canon camera raw file (CR3)", _RAW),
    b"jxl ": _picture("a JPEG XL picture"),
    b"M4A ": _sound("an M4A sound"),
    b"M4B ": _sound("an M4B sound (audio book)"),
    b"M4P ": _sound("a protected M4P sound"),
    b"F4A ": _sound("an F4A sound"),
    b"qt  ": _picture("a QuickTime video", _TO_VIDEO),
    b"M4V ": _picture("an M4V video", _TO_VIDEO),
}
_RIFFS = {
    b"WAVE": _sound("a WAV sound", "give it as sound"),
    b"AVI ": _picture("an AVI video", _TO_VIDEO),
    b"WEBP": _picture("a WebP picture", "give it as a picture"),
    b"RMID": _sound("a MIDI file (notes, not sound)", "render it to WAV first"),
    b"CDR ": _picture("a CorelDRAW drawing", _EXPORT),
}
_MAGICS: tuple[tuple[bytes, Foreign], ...] = (
    (b"\x89PNG\r\n\x1a\n", _picture("a PNG picture", "give it as a picture")),
    (b"\xff\xd8\xff", _picture("a JPEG picture", "give it as a picture")),
    (b"GIF8", _picture("a GIF picture", "give it as a picture")),
    (b"\xff\x0a", _picture("a JPEG XL picture")),
    (b"\0\0\0\x0cJXL ", _picture("a JPEG XL picture")),
    (b"\0\0\0\x0cjP  ", _picture("a JPEG 2000 picture")),
    (b"\xff\x4f\xff\x51", _picture("a JPEG 2000 picture")),
    (b"qoif", _picture("a QOI picture")),
    (b"II\xbc\x01", _picture("a JPEG XR picture")),
    (b"\x8aMNG", _picture("an MNG animation", _EXTRACT_FRAME)),
    (b"\x8bJNG", _picture("a JNG picture")),
    (b"v/1\x01", _picture("an OpenEXR picture", _HDR)),
    (b"#?RADIANCE", _picture("a Radiance HDR picture", _HDR)),
    (b"#?RGBE", _picture("a Radiance HDR picture", _HDR)),
    (b"Pf", _picture("a floating-point PFM picture", _HDR)),
    (b"PF", _picture("a floating-point PFM picture", _HDR)),
    (b"8BPS", _picture("a Photoshop document", _EXPORT)),
    (b"gimp xcf", _picture("a GIMP document", _EXPORT)),
    (b"8BPB", _picture("a large Photoshop document", _EXPORT)),
    (b"\0\0\1\0", _picture("an icon", _EXPORT)),
    (b"\0\0\2\0\1", _picture("a mouse cursor", _EXPORT)),
    (b"icns", _picture("an Apple icon", _EXPORT)),
    (b"DDS ", _picture("a DDS texture")),
    (b"\xabKTX", _picture("a KTX texture")),
    (b"SDPX", _picture("a DPX picture", _HDR)),
    (b"XPDS", _picture("a DPX picture", _HDR)),
    (b"\x01\xda", _picture("an SGI picture")),
    (b"\x59\xa6\x6a\x95", _picture("a Sun raster picture")),
    (b"\x0a\x05\x01", _picture("a PCX picture")),
    (b"BPG\xfb", _picture("a BPG picture")),
    (b"FLIF", _picture("a FLIF picture")),
    (b"SIMPLE  =", _picture("a FITS image of measured values")),
    (b"AT&TFORM", _picture("a DjVu document", _EXPORT)),
    (b"%PDF", _picture("a PDF document", "render its page as PNG first")),
    (b"%!PS", _picture("a PostScript document", "render its page as PNG first")),
    (b"\xc5\xd0\xd3\xc6", _picture("an EPS document", "render its page as PNG first")),
    (b"\xd7\xcd\xc6\x9a", _picture("a Windows metafile", _EXPORT)),
    (b"II*\0\x10\0\0\0CR", _picture("a Canon camera raw file (CR2)", _RAW)),
    (b"FUJIFILMCCD-RAW", _picture("a Fujifilm camera raw file (RAF)", _RAW)),
    (b"IIRO", _picture("an Olympus camera raw file (ORF)", _RAW)),
    (b"IIRS", _picture("an Olympus camera raw file (ORF)", _RAW)),
    (b"MMOR", _picture("an Olympus camera raw file (ORF)", _RAW)),
    (b"IIU\0", _picture("a Panasonic camera raw file (RW2)", _RAW)),
    (b"FOVb", _picture("a Sigma camera raw file (X3F)", _RAW)),
    (b"\0MRM", _picture("a Minolta camera raw file (MRW)", _RAW)),
    (b"II*\0", _picture("a TIFF picture", "give it as a picture")),
    (b"MM\0*", _picture("a TIFF picture", "give it as a picture")),
    (b"II+\0", _picture("a TIFF picture", "give it as a picture")),
    (b"MM\0+", _picture("a TIFF picture", "give it as a picture")),
    (b"ADIF", _sound("an AAC sound (ADIF)")),
    (b"fLaC", _sound("a FLAC sound", "give it as sound")),
    (b"OggS", _sound("an Ogg sound", "give it as sound")),
    (b"RF64", _sound("an RF64 sound", "give it as sound")),
    (b"BW64", _sound("a BW64 sound", "give it as sound")),
    (b"riff\x2e\x91\xcf\x11", _sound("a W64 sound", "give it as sound")),
    (b"caff", _sound("a CAF sound", "give it as sound")),
    (b".snd", _sound("an AU sound", "give it as sound")),
    (b"ID3", _sound("an MP3 sound", "give it as sound")),
    (b"Creative Voice File", _sound("a VOC sound")),
    (b"MThd", _sound("a MIDI file (notes, not sound)", "render it to WAV first")),
    (b"#!AMR", _sound("an AMR sound")),
    (b"MAC ", _sound("a Monkey's Audio sound (APE)")),
    (b"wvpk", _sound("a WavPack sound")),
    (b"TTA1", _sound("a TTA sound")),
    (b"MPCK", _sound("a Musepack sound")),
    (b"MP+", _sound("a Musepack sound")),
    (b"DSD ", _sound("a DSD sound (DSF)")),
    (b"FRM8", _sound("a DSD sound (DSDIFF)")),
    (b"\x0b\x77", _sound("an AC-3 sound")),
    (b"\x7f\xfe\x80\x01", _sound("a DTS sound")),
    (b"\x30\x26\xb2\x75", _picture("a Windows Media file (WMA or WMV)", _TO_VIDEO)),
    (b".RMF", _picture("a RealMedia file", _TO_VIDEO)),
    (b"FLV\x01", _picture("a Flash video", _TO_VIDEO)),
    (b"\0\0\1\xba", _picture("an MPEG video", _TO_VIDEO)),
    (b"\0\0\1\xb3", _picture("an MPEG video", _TO_VIDEO)),
    (b"PK\3\4", _picture("a ZIP archive (or an Office, EPUB or Krita document)", _UNPACK)),
    (b"\x1f\x8b", _picture("a gzip archive", _UNPACK)),
    (b"BZh", _picture("a bzip2 archive", _UNPACK)),
    (b"\xfd7zXZ\0", _picture("an xz archive", _UNPACK)),
    (b"\x28\xb5\x2f\xfd", _picture("a Zstandard archive", _UNPACK)),
    (b"7z\xbc\xaf\x27\x1c", _picture("a 7z archive", _UNPACK)),
    (b"Rar!", _picture("a RAR archive", _UNPACK)),
    (b"\xf1i2", _picture("an .i2 file", "decode it with i2c decode")),
)
_SVG = re.compile(rb"<svg[\s>]", re.IGNORECASE)


def recognise(head: bytes) -> Foreign | None:
    """What a file is that begins with `head` (HEAD bytes are enough, fewer will often do); None where nothing says so."""
    if head[4:8] == b"ftyp":
        return _iso_media(head)
    if head[:4] == b"RIFF":
        return _RIFFS.get(head[8:12], Foreign(what="a RIFF file of an unknown kind", advice="convert it to PNG or FLAC first"))
    if head[:4] == b"FORM":
        sound = head[8:12] in (b"AIFF", b"AIFC")
        return _sound("an AIFF sound", "give it as sound") if sound else _picture("an IFF file")
    if head[:4] == b"\x1aE\xdf\xa3":
        return _picture("a WebM video or sound" if b"webm" in head[:64] else "a Matroska video or sound", _TO_VIDEO)
    for magic, foreign in _MAGICS:
        if head.startswith(magic):
            return foreign
    return _mpeg_sound(head) or _text(head)


def beginning(file: BinaryIO) -> bytes:
    """The first bytes of a file, as many as tell what it is: of a GIF all, as only its second frame says that it moves."""
    file.seek(0)
    head = file.read(HEAD)
    return head + file.read() if head[:4] == b"GIF8" else head


def holds(file: BinaryIO) -> bool:
    """Medium.holds of a kind whose files are known from their first bytes."""
    return True


def describe(head: bytes) -> str | None:
    """A file in words, with its article, such as "an M4A sound"; None where it is not known."""
    foreign = recognise(head)
    return None if foreign is None else foreign.what


def _iso_media(head: bytes) -> Foreign:
    """By the major brand, or the first compatible one that is known: "mif1" and "isom" say little by themselves."""
    size = int.from_bytes(head[:4], "big")
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, min(size, len(head), 128), 4))]
    if brands[0] in (b"mif1", b"msf1"):
        brands = [*(brand for brand in brands[1:] if brand not in (b"mif1", b"msf1")), brands[0]]
    known = next((_BRANDS[brand] for brand in brands if brand in _BRANDS), None)
    return known or _picture("an MP4 video or sound" if brands[0][:2] != b"3g" else "a 3GP video or sound", _TO_VIDEO)


def _mpeg_sound(head: bytes) -> Foreign | None:
    """Frames without a header of the file."""
    if not is_mpeg(head):
        return None
    return _sound("an AAC sound (ADTS)") if head[1] & 0xF6 == 0xF0 else _sound("an MP3 sound", "give it as sound")


def is_mpeg(data: bytes) -> bool:
    """True at a frame of MPEG audio (ISO/IEC 11172-3), layers II and III, or of AAC (ADTS, 13818-7): the sync word, and no reserved value.

    Layer I, which nobody uses, begins like text in UTF-16.
    """
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return False
    if data[1] & 0xF6 == 0xF0:  # ADTS
        return data[2] >> 2 & 15 < 13
    return data[1] >> 3 & 3 != 1 and data[1] >> 1 & 3 in (1, 2) and data[2] >> 4 != 15 and data[2] >> 2 & 3 != 3 and data[3] & 3 != 2


def _text(head: bytes) -> Foreign | None:
    """Text in words; a drawing in XML is one."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start[:1] == b"<" and _SVG.search(head):
        return _picture("an SVG drawing", "render it as PNG first")
    if start[:14].lower() == b"<!doctype html" or start[:5].lower() == b"<html":
        return _picture("a web page", "download the picture itself, not the page around it")
    if head and b"\0" not in head[:256] and min(head[:256]) >= 9:
        return Foreign(what="text", advice="give a picture, a sound or a video")
    return None
