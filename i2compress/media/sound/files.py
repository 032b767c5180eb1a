"""Sound files through libsndfile (soundfile): read and written in blocks, with their depth, rate and tags.

The library is imported when it is needed.
"""

import io
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from ...errors import I2Error, ResourceError, SignalError, UsageError
from ...kinds import SAMPLES
from ...signal import FloatArray, Kind, Metadata, Signal
from ..protocol import Format

MAX_SOUND_CHANNELS = SAMPLES[Kind.AUDIO].channels
_ALL = tuple(range(1, MAX_SOUND_CHANNELS + 1))
_PCM = (8, 16, 24, 32)


def _format(name: str, *extensions: str, channels: tuple[int, ...] = _ALL, depths: tuple[int, ...] = _PCM, tags: bool = False) -> Format:
    carries = ("tags",) if tags else ()
    return Format(name=name, kind=Kind.AUDIO, extensions=extensions, channels=channels, depths=depths, streamed=True, carries=carries)


FORMATS = (
    _format("wav", ".wav", ".wave", tags=True),
    _format("flac", ".flac", depths=(8, 16, 24), tags=True),
    _format("aiff", ".aiff", ".aif", ".aifc", tags=True),
    _format("caf", ".caf", tags=True),
    _format("au", ".au", ".snd"),
    _format("w64", ".w64"),
    _format("rf64", ".rf64", tags=True),
    _format("ogg", ".ogg", ".oga", tags=True),
    _format("opus", ".opus", tags=True),
    _format("mp3", ".mp3", channels=(1, 2), tags=True),
)
_LOSSY = {"ogg": ("OGG", "VORBIS"), "opus": ("OGG", "OPUS"), "mp3": ("MP3", "MPEG_LAYER_III")}
_SUBTYPES = {(8, False): ("PCM_U8", "PCM_S8"), (32, True): ("FLOAT", "PCM_24"), (64, True): ("DOUBLE", "FLOAT", "PCM_24")}
_DEPTHS = {"PCM_U8": 8, "PCM_S8": 8, "PCM_24": 24, "PCM_32": 32, "FLOAT": 32, "DOUBLE": 64}
_TAGS = ("title", "copyright", "software", "artist", "comment", "date", "album", "license", "tracknumber", "genre")
_OTHERS = ((b"ftyp", 4, "an MP4 or M4A file"), (b"\x1aE\xdf\xa3", 0, "a Matroska or WebM file"), (b"\x30\x26\xb2\x75", 0, "a WMA or WMV file"))


@dataclass(frozen=True, kw_only=True)
class SoundLayout:
    """What a sound is, or is to be when written.

    Args:
        rate: samples a second.
        channels: 1..8.
        bit_depth: 8, 16, 24, 32, or 32 or 64 where `floating`.
        floating: samples are floating point.
        metadata: tags.
    """

    rate: int
    channels: int
    bit_depth: int = 16
    floating: bool = False
    metadata: Metadata = field(default_factory=Metadata)


class SoundReader:
    """A sound file being read.

    Args:
        file: binary and seekable.
        name: what to call it in messages.

    Raises:
        SignalError: not a sound that libsndfile reads, without samples, or with too many channels.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.name = name
        library = _soundfile()
        try:
            self._file = library.SoundFile(file)
        except (library.LibsndfileError, TypeError, RuntimeError, ValueError) as error:
            raise SignalError(f"{name}: {_refusal(file, error)}") from error
        self.samples = int(self._file.frames)
        if self.samples < 1:
            raise SignalError(f"{name}: the sound has no samples; expected at least one")
        if self._file.channels > MAX_SOUND_CHANNELS:
            raise SignalError(f"{name}: the sound has {self._file.channels} channels; expected at most {MAX_SOUND_CHANNELS}")
        subtype = self._file.subtype
        self.layout = SoundLayout(
            rate=int(self._file.samplerate),
            channels=int(self._file.channels),
            bit_depth=_DEPTHS.get(subtype, 16),
            floating=subtype in ("FLOAT", "DOUBLE"),
            metadata=Metadata(tags=_tags(self._file)),
        )
        self.source = self._file.format.lower().replace("wavex", "wav")
        self._position = 0

    def read(self, start: int, count: int) -> npt.NDArray[np.float64]:
        """Samples `[C, n]` start .. start + count, as many as there are; full scale is [-1, 1).

        Raises:
            SignalError: damaged, or NaN or infinite values.
        """
        count = max(0, min(count, self.samples - start))
        try:
            if start != self._position:
                self._file.seek(start)
            values = self._file.read(count, dtype="float64", always_2d=True)
        except Exception as error:  # libsndfile's own, and what the file object raises
            raise SignalError(f"{self.name}: the sound is damaged or truncated ({error}); copy or download it again") from error
        self._position = start + len(values)
        if len(values) < count:
            raise SignalError(f"{self.name}: the sound ends after {self._position} samples; expected {self.samples}: copy or download it again")
        if not np.isfinite(values).all():
            raise SignalError(f"{self.name}: the sound holds NaN or infinite values; replace them before encoding")
        return np.ascontiguousarray(values.T)


def read(data: bytes, name: str) -> Signal:
    """The whole sound in the file `data`. Raises SignalError and ResourceError."""
    reader = SoundReader(io.BytesIO(data), name)
    try:
        values = reader.read(0, reader.samples).T.astype(np.float32)
    except MemoryError as error:
        raise ResourceError(f"{name}: not enough memory for the sound; give its path to i2c encode, which reads it in parts") from error
    layout = reader.layout
    return Signal(
        values=np.ascontiguousarray(values),
        kind=Kind.AUDIO,
        bit_depth=layout.bit_depth,
        floating=layout.floating,
        rate=layout.rate,
        metadata=layout.metadata,
    )


def sniff(data: bytes) -> bool:
    """True where the first bytes are those of a sound file that can be read."""
    return (
        data[:4] in (b"fLaC", b"OggS", b"FORM", b"caff", b".snd", b"RF64", b"riff") or data[:3] == b"ID3" or data[8:12] == b"WAVE" or _is_mpeg(data)
    )


def _is_mpeg(data: bytes) -> bool:
    """True at a frame of MPEG layer III: its sync word."""
    return len(data) > 1 and data[0] == 0xFF and data[1] & 0xE6 == 0xE2


def to_codes(values: FloatArray, bit_depth: int, floating: bool) -> FloatArray:
    """The values that a file of that depth holds, as float64 or float32: clipped and rounded to codes; floating point is kept."""
    if floating:
        return values
    top = 2.0 ** (bit_depth - 1)
    return np.asarray(np.clip(np.floor(values.astype(np.float64) * top + 0.5), -top, top - 1) / top)


class SoundWriter:
    """Takes blocks of one sound from start to end."""

    def __init__(self, file: Any, layout: SoundLayout) -> None:
        self._file, self.layout = file, layout

    def write(self, values: FloatArray) -> None:
        """Appends samples `[n, C]`, full scale [-1, 1); clipped and rounded where the file holds integers."""
        if self.layout.floating:
            self._file.write(values)
            return
        codes = to_codes(values, self.layout.bit_depth, False) * 2.0**31
        self._file.write(codes.astype(np.int64).astype(np.int32))


@contextmanager
def open_sound_writer(file: BinaryIO, form: Format, layout: SoundLayout) -> Iterator[SoundWriter]:
    """Writes one sound to `file`, which need not be seekable.

    Raises:
        UsageError: the format cannot hold this sound.
    """
    library = _soundfile()
    major, subtype, chosen = _chosen(library, form, layout)
    with _seekable(file) as place:
        try:
            out = library.SoundFile(place, "w", samplerate=layout.rate, channels=layout.channels, format=major, subtype=subtype)
        except (library.LibsndfileError, ValueError, TypeError) as error:
            raise UsageError(f"{form.name} cannot hold {layout.channels} channels at {layout.rate} Hz ({error}); choose wav") from error
        with out:
            for name, value in parse_tags(layout.metadata.tags).items():
                if "tags" in form.carries and name in _TAGS:
                    setattr(out, name, value)
            yield SoundWriter(out, chosen)


def parse_tags(tags: bytes | None) -> dict[str, str]:
    """Tags by name."""
    lines = (tags or b"").decode("utf-8", "replace").split("\n")
    return {name: value.replace("\\n", "\n") for name, mark, value in (line.partition("=") for line in lines) if mark}


def _tags(file: Any) -> bytes | None:
    found = {name: str(getattr(file, name, "") or "") for name in _TAGS}
    lines = [f"{name}={value}".replace("\n", "\\n") for name, value in sorted(found.items()) if value]
    return "\n".join(lines).encode() or None


def _chosen(library: ModuleType, form: Format, layout: SoundLayout) -> tuple[str, str, SoundLayout]:
    """libsndfile's names of the file format and of its samples, and what the samples become."""
    if layout.channels not in form.channels:
        raise UsageError(f"{form.name} cannot hold {layout.channels} channels; choose wav or flac")
    if form.name in _LOSSY:
        return *_LOSSY[form.name], SoundLayout(rate=layout.rate, channels=layout.channels, bit_depth=32, floating=True)
    major = form.name.upper()
    wanted = _SUBTYPES.get((layout.bit_depth, layout.floating), (f"PCM_{layout.bit_depth}", "PCM_24"))
    subtype = next((name for name in wanted if library.check_format(major, name)), "PCM_16")
    floating = subtype in ("FLOAT", "DOUBLE")
    return major, subtype, SoundLayout(rate=layout.rate, channels=layout.channels, bit_depth=_DEPTHS.get(subtype, 16), floating=floating)


@contextmanager
def _seekable(file: BinaryIO) -> Iterator[BinaryIO]:
    """`file`, or where it cannot seek a temporary one that is copied to it at the end."""
    if file.seekable():
        yield file
        return
    with tempfile.TemporaryFile() as place:
        yield place
        place.seek(0)
        shutil.copyfileobj(place, file)


def _soundfile() -> ModuleType:
    try:
        import soundfile
    except (ImportError, OSError) as error:
        raise I2Error(f"sound needs the package soundfile, which cannot be loaded ({error}); pip install soundfile") from error
    library: ModuleType = soundfile
    return library


def _refusal(file: BinaryIO, error: Exception) -> str:
    file.seek(0)
    head = file.read(16)
    if not head:
        return "the file is empty; expected a sound"
    for magic, place, what in _OTHERS:
        if head[place : place + len(magic)] == magic:
            return f"the file is {what}; expected WAV, FLAC, OGG, MP3, AIFF, CAF or AU, convert it first"
    known = "it is damaged or truncated" if sniff(head) else "expected WAV, FLAC, OGG, MP3, AIFF, CAF or AU"
    return f"the file is no sound that can be read ({str(error).rstrip('.')}): {known}"
