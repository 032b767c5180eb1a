"""What a file is, from its first bytes: a name lies more often than they do."""

from ...errors import SignalError

_MAGICS = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
)
# Pictures and other files that people will try, so that the message can name them.
_KNOWN = (
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (b"8BPS", "a Photoshop document"),
    (b"%PDF", "a PDF document"),
    (b"v/1\x01", "an OpenEXR picture"),
    (b"#?RADIANCE", "a Radiance HDR picture"),
    (b"Pf", "a floating-point PFM picture"),
    (b"PF", "a floating-point PFM picture"),
    (b"qoif", "a QOI picture"),
    (b"\0\0\1\0", "an icon"),
    (b"<svg", "an SVG drawing"),
    (b"RIFF", "a WAV or AVI file"),
    (b"OggS", "an Ogg file"),
    (b"fLaC", "a FLAC file"),
    (b"PK\3\4", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
)
_BRANDS = {b"avif": "an AVIF picture", b"avis": "an AVIF picture", b"heic": "a HEIC picture", b"mif1": "a HEIF picture"}


def sniff(data: bytes, expected: str) -> str:
    """The name of the picture format of `data`.

    Raises:
        SignalError: it is none of `expected` (their names, for the message).
    """
    if not data:
        raise SignalError("the file is empty; expected a picture")
    for magic, name in _MAGICS:
        if data.startswith(magic):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[:1] == b"P" and data[1:2] in tuple(b"1234567"[i : i + 1] for i in range(7)) and data[2:3].isspace():
        return "pnm"
    if data[:2] == b"BM" and len(data) >= 18 and data[14:18] in tuple(bytes([size, 0, 0, 0]) for size in (12, 16, 40, 52, 56, 64, 108, 124)):
        return "bmp"
    raise SignalError(f"the file is {_described(data)}; expected one of {expected}, convert it first")


def _described(data: bytes) -> str:
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "a video or HEIF file")
    for magic, name in _KNOWN:
        if data.startswith(magic):
            return name
    head = data[:256]
    if b"\0" not in head and sum(byte < 9 for byte in head) == 0:
        return "text or something else that is not a picture"
    return "no picture that is known"
