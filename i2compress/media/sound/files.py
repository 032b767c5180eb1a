"""Sound files: which library reads one is known from its content, and everything is read to its true end.

What is applied: edit lists, priming and padding (MP4, WebM, Ogg, and of MP3 by its LAME header), the gain in an Opus header, the places of
channels (Ogg's order becomes WAV's). What is carried: tags of text. What is dropped: pictures, cue points, loops and chapters, the silence
before a track that begins late; ReplayGain is carried as a tag and not applied. An AAC stream without a container (ADTS) and MPEG layer II do
not say what is priming, which therefore stays.

The libraries are imported when they are needed.
"""

from fractions import Fraction
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from ...errors import SignalError
from ...kinds import MAX_RATE, SAMPLES, Kind
from ...signal import Layout, Metadata
from ..foreign import HEAD, recognise
from ..parts import Joined, read_at, size_of
from ..protocol import Format
from .sniff import for_libsndfile, sniff
from .stream import Stream
from .tags import join_tags

MAX_CHANNELS = SAMPLES[Kind.AUDIO].channels
_ALL = tuple(range(1, MAX_CHANNELS + 1))
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
_EXPECTED = "expected WAV, FLAC, Ogg, MP3, AIFF, CAF, AU, or M4A, AAC, WebM, WMA with sound only"


class SoundReader:
    """A sound file being read; see media.protocol.Source, whose properties are plain attributes here.

    Args:
        file: binary and seekable.
        name: what to call it in messages.

    Raises:
        SignalError: not a sound that can be read, a video, damaged, without samples, or with too many channels.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.name = name
        try:
            self._stream = self._opened(file)
        except SignalError as error:
            raise SignalError(f"{name}: {error}") from error
        facts = self._stream.facts
        if facts.samples < 1:
            raise SignalError(f"{name}: the sound has no samples; expected at least one")
        if not 1 <= facts.channels <= MAX_CHANNELS:
            raise SignalError(f"{name}: the sound has {facts.channels} channels; expected at most {MAX_CHANNELS}: mix it down first")
        if not 1 <= facts.rate <= MAX_RATE:
            raise SignalError(f"{name}: the sound has {facts.rate} samples a second; expected 1 to {MAX_RATE}: the header is damaged")
        self.metadata, self.format, self.notes = Metadata(tags=join_tags(facts.tags)), facts.source, tuple(facts.notes)
        self.layout = Layout(
            kind=Kind.AUDIO,
            grid=(facts.samples,),
            channels=facts.channels,
            bit_depth=facts.bit_depth,
            floating=facts.floating,
            rate=facts.rate,
        )

    def _opened(self, file: BinaryIO) -> Stream:
        return _opened(file)

    def read(self, start: int, count: int) -> npt.NDArray[np.float64]:
        """See Source: float64 `[n, C]`, full scale is [-1, 1), floating point may go beyond.

        Raises:
            SignalError: damaged, or NaN or infinite values.
        """
        count = max(0, min(count, self.layout.samples - start))
        try:
            values = self._stream.read(start, count) if count else np.zeros((0, self.layout.channels))
        except MemoryError:
            raise
        except Exception as error:  # both libraries have errors of many kinds, and the file object its own
            reason = getattr(error, "error_string", None) or getattr(error, "strerror", None) or error
            raise SignalError(f"{self.name}: the sound is damaged or truncated ({reason}); copy or download it again") from error
        if len(values) < count:
            raise SignalError(
                f"{self.name}: the sound ends after {start + len(values)} samples; expected {self.layout.samples}: copy or download it again"
            )
        if not np.isfinite(values).all():
            raise SignalError(f"{self.name}: the sound holds NaN or infinite values; replace them before encoding")
        return values


open = SoundReader


class TrackReader(SoundReader):
    """A track of sound in a video file; see SoundReader. `begins`: when its first sample is heard, in seconds of the file's clock.

    Args:
        file: binary and seekable.
        name: what to call it in messages.
        track: its number among the tracks of sound, from 0 on.

    Raises:
        SignalError: it cannot be decoded, or has too many channels.
    """

    def __init__(self, file: BinaryIO, name: str, track: int) -> None:
        self._number, self.begins = track, Fraction(0)
        try:
            super().__init__(file, name)
        except SignalError as error:
            raise SignalError(f"{error}; or leave the sound out with --no-audio") from error

    def _opened(self, file: BinaryIO) -> Stream:
        from . import ffmpeg

        try:
            stream = ffmpeg.Ffmpeg(file, track=self._number)
        except ffmpeg.Unknown as error:
            raise SignalError(f"it cannot be decoded ({error}); convert it to AAC first") from error
        self.begins = stream.begins
        return stream


def _opened(file: BinaryIO) -> Stream:
    """libsndfile first where it knows the file, which it reads to the sample; FFmpeg for all others and for what libsndfile refuses."""
    from . import ffmpeg, libsndfile, mpeg

    head = read_at(file, 0, HEAD)
    if not head:
        raise SignalError("the file is empty; expected a sound")
    tagged = mpeg.after_id3(file)
    if tagged and for_libsndfile(read_at(file, tagged, HEAD)):
        file, head = Joined([(file, tagged, size_of(file))]), read_at(file, tagged, HEAD)  # type: ignore[assignment]
    reason = ""
    if for_libsndfile(head):
        try:
            return libsndfile.open_stream(file)
        except libsndfile.Refused as error:
            reason = f" ({str(error).rstrip('.')})"
    try:
        return ffmpeg.Ffmpeg(file)
    except ffmpeg.Unknown as error:
        raise SignalError(_refusal(head, reason)) from error


def _refusal(head: bytes, reason: str) -> str:
    if sniff(head) and head[4:8] != b"ftyp":
        return (
            f"the file begins like a sound and cannot be read{reason}: it is damaged, cut short or of a rare kind; copy it again or convert it to WAV"
        )
    found = recognise(head)
    if found is None:
        return f"the file is no sound that can be read; {_EXPECTED}"
    return f"the file is {found.what}{', damaged or without a track of sound' if sniff(head) else ''}; {_EXPECTED}: {found.advice}"
