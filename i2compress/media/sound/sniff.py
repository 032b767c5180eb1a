"""Which library reads a sound file, known from its first bytes and never from its name."""

from ..foreign import is_mpeg

_LIBSNDFILE = (
    (0, b"fLaC"), (0, b"OggS"), (0, b"caff"), (0, b".snd"), (0, b"dns."), (0, b"riff\x2e\x91\xcf\x11"),
    (8, b"AIFF"), (8, b"AIFC"), (8, b"8SVX"), (8, b"16SV"), (0, b"Creative Voice F"), (0, b"NIST_1A"), (0, b"2BIT"),
    (0, b"PVF1\n"), (0, b" paf"), (0, b"fap "), (0, b"\x64\xa3\x01"), (0, b"\x64\xa3\x02"), (0, b"\x64\xa3\x03"), (0, b"ALawSoundFile**"),
)  # fmt: skip
_FFMPEG = (
    (4, b"ftyp"), (0, b"\x1aE\xdf\xa3"), (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"), (0, b"ADIF"), (0, b"#!AMR"), (0, b"MAC "), (0, b"wvpk"),
    (0, b"TTA1"), (0, b"tBaK"), (0, b"MPCK"), (0, b"MP+"), (0, b"DSD "), (0, b"FRM8"), (0, b"\x0bw"), (0, b"\x7f\xfe\x80\x01"),
)  # fmt: skip
_WAVES = (b"RIFF", b"RIFX", b"RF64", b"BW64")
_PICTURES = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis", b"jxl ", b"crx ")


def sniff(data: bytes) -> bool:
    """True where the first bytes (16 suffice) are those of a sound file that can be read, or of a container that usually holds sound."""
    return data[:3] == b"ID3" or for_libsndfile(data) or _for_ffmpeg(data)


def for_libsndfile(data: bytes) -> bool:
    """True at the first bytes of a file that libsndfile reads."""
    return (data[:4] in _WAVES and data[8:12] == b"WAVE") or _has(data, _LIBSNDFILE)


def _for_ffmpeg(data: bytes) -> bool:
    return (_has(data, _FFMPEG) and not (data[4:8] == b"ftyp" and data[8:12] in _PICTURES)) or is_mpeg(data)


def _has(data: bytes, magics: tuple[tuple[int, bytes], ...]) -> bool:
    return any(data[place : place + len(magic)] == magic for place, magic in magics)
