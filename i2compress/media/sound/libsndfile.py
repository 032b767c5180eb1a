"""Sound through libsndfile (soundfile), which seeks to the sample: WAV and its kin, FLAC, Vorbis and Opus in Ogg."""

import struct
from dataclasses import replace
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np

from ...errors import I2Error, SignalError
from ..parts import Joined, read_at, size_of
from . import ogg
from .lengths import Wave, find_sound, mend
from .stream import Facts, Samples, Stream
from .tags import WRITTEN, clean

DEPTHS = {"PCM_U8": 8, "PCM_S8": 8, "PCM_24": 24, "PCM_32": 32, "ALAC_20": 24, "ALAC_24": 24, "ALAC_32": 32, "FLOAT": 32, "DOUBLE": 64}
_MPEG = (0x50, 0x55)  # in a WAV: libmpg123, which writes to standard error, is not asked
_COMPRESSED = ("ADPCM", "G721", "GSM")
_STANDARD_MASKS = {
    1: (0x4, 0x1), 2: (0x3,), 3: (0x7, 0xB), 4: (0x33, 0x603, 0x107), 5: (0x37, 0x607), 6: (0x3F, 0x60F), 7: (0x13F, 0x70F), 8: (0x63F, 0xFF),
}  # fmt: skip


class Refused(Exception):
    """libsndfile does not read the file."""


def library() -> ModuleType:
    """soundfile. Raises I2Error where it cannot be loaded."""
    try:
        import soundfile
    except (ImportError, OSError) as error:
        raise I2Error(f"sound needs the package soundfile, which cannot be loaded ({error}); pip install soundfile") from error
    found: ModuleType = soundfile
    return found


def open_stream(file: BinaryIO) -> Stream:
    """A file that libsndfile reads.

    Raises:
        Refused: it does not.
        SignalError: the parts of a chained file differ, or it holds video. The name of the file is not in the message.
    """
    head = read_at(file, 0, 16)
    if head[:4] == b"OggS":
        return _open_ogg(file)
    if head[:4] == b"fLaC":
        return _open_flac(file)
    place = find_sound(file)
    if place is None:
        return Sndfile(file)
    if place.wave.tag in _MPEG:
        raise Refused("MPEG audio in a WAV file")
    mended, notes = mend(file, place)
    return Sndfile(mended, notes=(*notes, *_mask_notes(place.wave)), wave=place.wave)


class Sndfile:
    """One file, or one link of a chained one.

    Args:
        file: to be read; its own position does not matter.
        notes: of its reading.
        tags: where another library has read them already.
        wave: the header of a WAV file.

    Raises:
        Refused: libsndfile does not read it.
    """

    def __init__(self, file: BinaryIO, *, notes: tuple[str, ...] = (), tags: dict[str, str] | None = None, wave: Wave | None = None) -> None:
        soundfile = library()
        try:
            self._file = soundfile.SoundFile(Joined([(file, 0, size_of(file))]))
        except soundfile.LibsndfileError as error:
            raise Refused(error.error_string) from error  # the whole message shows the file object
        except (TypeError, RuntimeError, ValueError, OSError) as error:
            raise Refused("the library cannot open it") from error
        found, wave = self._file, wave or Wave()
        subtype, form = found.subtype, found.format.lower().replace("wavex", "wav")
        if not found.seekable() or not 0 <= found.frames < 2**62 or "MPEG" in subtype:
            raise Refused("its length is not known")
        depth, channels = DEPTHS.get(subtype, 16), int(found.channels)
        if subtype == "PCM_32" and 16 < wave.valid_bits <= 24:
            depth = 24
        # Blocks of ADPCM are padded; the fact chunk says what is sound.
        short = wave.samples if subtype.endswith(_COMPRESSED) or "ADPCM" in subtype else 0
        self._order = ogg.to_wav_order(channels) if subtype in ("VORBIS", "OPUS") else list(range(channels))
        self._position = 0
        self.facts = Facts(
            samples=short if 0 < found.frames - short < 2**14 and short else int(found.frames),
            rate=int(found.samplerate),
            channels=channels,
            bit_depth=depth,
            floating=subtype in ("FLOAT", "DOUBLE"),
            source=form,
            tags=tags or _tags(found),
            notes=notes,
        )

    def read(self, start: int, count: int) -> Samples:
        """As Stream.read. Raises OSError, RuntimeError and what the file object raises where the file is damaged."""
        if start != self._position:
            self._file.seek(start)
        values = self._file.read(min(count, self.facts.samples - start), dtype="float64", always_2d=True)
        self._position = start + len(values)
        ordered: Samples = values[:, self._order]
        return ordered


class Chain:
    """Several streams one after the other. Raises SignalError where their rates or channels differ."""

    def __init__(self, links: list[Stream], facts: Facts) -> None:
        for number, link in enumerate(links, 1):
            found, wanted = (f"{f.rate} Hz and {f.channels} channels" for f in (link.facts, facts))
            if found != wanted:
                raise SignalError(
                    f"part {number} of the chained Ogg file has {found}; expected {wanted} as in the first: encode the parts one by one"
                )
        self._links, self.facts = links, facts

    def read(self, start: int, count: int) -> Samples:
        """As Stream.read."""
        parts, first = [np.zeros((0, self.facts.channels))], 0
        for link in self._links:
            begin, end = max(start - first, 0), min(start + count - first, link.facts.samples)
            if begin < end:
                parts.append(link.read(begin, end - begin))
            first += link.facts.samples
        return np.concatenate(parts)


def _open_ogg(file: BinaryIO) -> Stream:
    from .ffmpeg import read_tags

    pages = ogg.scan(file)
    codecs = [codec for link in pages.links for codec in link.codecs]
    if "video" in codecs:
        raise SignalError("the file is an Ogg video; expected sound: extract the sound (ffmpeg -i VIDEO -vn -c copy SOUND.ogg)")
    if not pages.links or any(codec not in ("vorbis", "opus", "flac") for codec in codecs):
        raise Refused("the Ogg file holds another codec")
    links: list[Stream] = [Sndfile(Joined([(file, link.start, link.stop)])) for link in pages.links]  # type: ignore[arg-type]
    notes = []
    if pages.cut:
        notes.append("the file ends inside an Ogg page: it is cut short, and what is whole is read")
    elif not pages.links[-1].ended:
        notes.append("the Ogg stream has no mark of its end: the file may be cut short, what is there is read")
    if pages.skipped:
        notes.append(f"{pages.skipped} bytes between the pages of the Ogg file are no Ogg and are left out: sound may be missing there")
    if any(len(link.codecs) > 1 for link in pages.links):
        notes.append("the Ogg file holds several streams at once: only the first is read")
    first = links[0].facts
    facts = replace(first, samples=sum(link.facts.samples for link in links), notes=tuple(notes), tags=read_tags(file) or first.tags)
    return Chain(links, facts)


def _open_flac(file: BinaryIO) -> Stream:
    """FLAC, with the number of samples that it has in its header: encoders that write to a pipe leave 0."""
    from .ffmpeg import count_flac, read_tags

    head = read_at(file, 0, 42)
    if len(head) < 42:
        raise Refused("its header is cut short")
    number = struct.unpack(">Q", head[18:26])[0]
    said, there = number & (2**36 - 1), count_flac(file)
    tags = read_tags(file)  # all comments: libsndfile knows ten names only, and FFmpeg moves the file's position
    if said > there:
        raise SignalError(f"the file is cut short or damaged: {there} samples are there; expected {said}, copy or download it again")
    if said == there:
        return Sndfile(file, tags=tags)
    notes = (f"the header promises {said} samples and {there} are there: all of them are read",) if said else ()
    mended = Joined([head[:18], struct.pack(">Q", number - said + there), bytes(16), (file, 42, size_of(file))])
    return Sndfile(mended, notes=notes, tags=tags)  # type: ignore[arg-type]


def _tags(file: Any) -> dict[str, str]:
    return clean({name: str(getattr(file, name, "") or "") for name in WRITTEN})


def _mask_notes(wave: Wave) -> tuple[str, ...]:
    if not wave.mask or wave.mask in _STANDARD_MASKS.get(wave.channels, ()):
        return ()
    return (f"the channels are for unusual places (mask {wave.mask:#x}): their order is kept, their places are not",)
