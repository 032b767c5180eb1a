"""Sound through FFmpeg (av): MP3, and everything that libsndfile does not read, decoded from start to end in bounded memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO

import av
import av.error
import numpy as np

from ...errors import SignalError
from ...kinds import SAMPLES, Kind
from ..parts import Forward
from . import mpeg
from .stream import HELD, Facts, Samples
from .tags import clean

# Playlists are not among them: they open other files and addresses.
_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,asf,aac,mp3,loas,ac3,eac3,dts,truehd,amr,ape,wv,tta,tak,mpc,mpc8,dsf,iff,ogg,wav,w64,flac,aiff,caf,au,"
    "voc,gsm,avi,flv,mpegts,mpeg,nut,rm"
)
_LOSSLESS = ("pcm_", "wavpack", "tta")  # codecs whose floating point is the source's own
_TYPES = {"u8": np.uint8, "s16": np.int16, "s32": np.int32, "flt": np.float32, "dbl": np.float64}
_SCALES = {"u8": 2.0**-7, "s16": 2.0**-15, "s32": 2.0**-31}
_COARSE = 600  # ticks a second of the coarsest clock by which edit lists are written
_SLACK = {"matroska,webm": 0.05, "asf": 0.05}  # seconds by which the length in a header may be off: a packet where it is the last one's time
_LATE = 0.05  # seconds after which a sound begins late; encoders' delays are shorter
_LEAST_SLACK = 0.002  # seconds by which clocks of milliseconds are off
_EXACT = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "caf", "wav", "wv", "tta", "ape", "tak", "flac", "asf")  # have a length in their header
_NAMES = {"mov,mp4,m4a,3gp,3g2,mj2": "m4a", "matroska,webm": "webm", "asf": "wma"}


class Unknown(Exception):
    """FFmpeg finds no sound or video in the file."""


@dataclass
class _Found:
    """What one pass of decoding has seen: the end of the last packet by its time stamp, packets, and those that could not be decoded."""

    packets: int = 0
    end: int = 0
    bad: int = 0
    bad_at_end: int = 0
    low_bits: int = 0
    rate: int = 0
    channels: int = 0
    samples: int = 0
    begins: Fraction | None = None
    silent: int = 0


def read_tags(file: BinaryIO) -> dict[str, str]:
    """The tags of a file; none where it cannot be read."""
    try:
        with _open(file) as container:
            return _tags(container)
    except (av.error.FFmpegError, OSError, ValueError):
        return {}


def count_flac(file: BinaryIO) -> int:
    """Samples in the frames of a FLAC file, which are not decoded."""
    try:
        with _open(file) as container:
            stream = container.streams.audio[0]
            ticks = sum(packet.duration or 0 for packet in container.demux(stream))
            return round(ticks * (stream.time_base or 0) * (stream.codec_context.sample_rate or 0))
    except (av.error.FFmpegError, OSError, ValueError, IndexError):
        return 0


class Ffmpeg:
    """A file that FFmpeg reads. `begins`: when its first sample is heard, in seconds of the file's clock.

    Args:
        file: binary and seekable.
        track: which track of sound of a video it is; None for a file of sound. What of a track is missing in between is silent then, so
            that it stays in step with the pictures.

    Raises:
        Unknown: FFmpeg does not know it.
        SignalError: a video, damaged, or without sound. The name of the file is not in the message.
    """

    def __init__(self, file: BinaryIO, *, track: int | None = None) -> None:
        self._file, first = mpeg.without_junk(file) if track is None else (file, 0)
        promise = mpeg.promise(self._file, first) if track is None else None
        self._track = track
        try:
            with _open(self._file) as container:
                stream = self._stream(container)
                self._limit: int | None = None
                found = _Found()
                for _ in self._decode(container, stream, found):
                    pass
                if found.samples < 1:
                    raise SignalError("the file holds a track of sound that cannot be decoded; expected at least one sample: copy it again")
                self._limit, notes = _length(container, stream, found, promise) if track is None else _track_length(container, stream, found)
                depth, floating = _depth(stream, found)
                tags, name = _track_tags(stream) if track is not None else _tags(container), container.format.name
                self.begins = found.begins or Fraction(0)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise Unknown(error) from error
        samples = min(found.samples, self._limit)
        self.facts = Facts(
            samples=samples,
            rate=found.rate,
            channels=found.channels,
            bit_depth=depth,
            floating=floating,
            source=_NAMES.get(name, name),
            tags=tags,
            notes=tuple(notes),
        )
        self._samples = Forward(self._blocks, np.zeros((0, found.channels)), HELD)

    def read(self, start: int, count: int) -> Samples:
        """As Stream.read. Raises FFmpegError and OSError where the file has changed."""
        return self._samples.read(start, min(count, self.facts.samples - start))

    def _blocks(self) -> Iterator[Samples]:
        with _open(self._file) as container:
            yield from self._decode(container, self._stream(container), _Found())

    def _stream(self, container: "av.container.InputContainer") -> Any:
        return _sound_of(container) if self._track is None else container.streams.audio[self._track]

    def _decode(self, container: "av.container.InputContainer", stream: Any, found: _Found) -> Iterator[Samples]:
        """Samples `[n, C]` of every frame, up to the limit; what is seen goes into `found`."""
        for packet in container.demux(stream):
            if packet.size:
                found.packets += 1
                found.end = max(found.end, (packet.pts or 0) + (packet.duration or 0))
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                found.bad += 1
                found.bad_at_end += 1
                continue
            for frame in frames:
                found.bad_at_end = 0
                values = _samples_of(frame, found)
                _check_same(frame, found)
                if self._track is not None:
                    yield from _silence(frame, found)
                before = found.samples
                found.samples += len(values)
                yield values if self._limit is None else values[: max(0, self._limit - before)]


def _open(file: BinaryIO) -> "av.container.InputContainer":
    file.seek(0)
    return av.open(file, "r", container_options={"format_whitelist": _CONTAINERS}, metadata_errors="replace")


def _sound_of(container: "av.container.InputContainer") -> Any:
    """The first track of sound. Raises SignalError for a video, and Unknown where there is neither."""
    pictures = [stream for stream in container.streams.video if not stream.disposition & av.stream.Disposition.attached_pic]
    if pictures:
        if not container.streams.audio:
            raise SignalError("the file is a video without sound; expected sound")
        raise SignalError("the file is a video; expected sound: extract its sound (ffmpeg -i VIDEO -vn -c copy SOUND.mka)")
    if not container.streams.audio:
        raise Unknown("no track of sound")
    return container.streams.audio[0]


def _check_same(frame: av.AudioFrame, found: _Found) -> None:
    rate, channels = frame.sample_rate, frame.layout.nb_channels
    if (found.rate or rate, found.channels or channels) != (rate, channels):
        raise SignalError(
            f"the sound changes from {found.rate} Hz and {found.channels} channels to {rate} Hz and {channels} after {found.samples} samples; "
            "expected the same to the end: cut it there and encode the parts one by one"
        )
    found.rate, found.channels = rate, channels


def _samples_of(frame: av.AudioFrame, found: _Found) -> Samples:
    kind, channels = frame.format.name.removesuffix("p"), frame.layout.nb_channels
    if kind not in _TYPES:
        raise SignalError(f"the samples are {kind}; expected 8 to 32 bits or floating point: convert the sound to WAV first")
    if channels > SAMPLES[Kind.AUDIO].channels:
        raise SignalError(f"the sound has {channels} channels; expected at most {SAMPLES[Kind.AUDIO].channels}: mix it down first")
    # Frame.to_ndarray also reads a ninth plane of eight, which is not there.
    planes = frame.planes[: channels if frame.format.is_planar else 1]
    count = frame.samples * channels // len(planes)
    values = np.stack([np.frombuffer(plane, _TYPES[kind], count) for plane in planes])  # type: ignore[call-overload]
    values = values.T if frame.format.is_planar else values.reshape(-1, channels)
    if kind == "s32":
        found.low_bits |= int(np.bitwise_or.reduce(values, None)) & 0xFF
    wide: Samples = values.astype(np.float64)
    return (wide - 128 if kind == "u8" else wide) * _SCALES.get(kind, 1.0)


def _silence(frame: av.AudioFrame, found: _Found) -> Iterator[Samples]:
    """What is missing before a frame, by its time stamp, with less than a second at a time."""
    if frame.pts is None:
        return
    at = frame.pts * Fraction(frame.time_base or 0)
    found.begins = at if found.begins is None else found.begins
    missing = round((at - found.begins) * found.rate) - found.samples
    if missing <= _LATE * found.rate:  # within the rounding of time stamps
        return
    found.silent += missing
    found.samples += missing
    while missing > 0:
        yield np.zeros((min(missing, found.rate), found.channels))
        missing -= found.rate


def _track_length(container: "av.container.InputContainer", stream: Any, found: _Found) -> tuple[int, list[str]]:
    """How many samples of a track beside a video are sound, and what the user must be warned of."""
    notes = []
    if found.bad:
        notes.append(f"{found.bad} of {found.packets} packets cannot be decoded: the file may be cut short or damaged")
    if found.silent:
        notes.append(f"{found.silent / found.rate:.2f} s are missing in between and are silent")
    edited = container.format.name.startswith("mov") and not found.silent
    return min(found.samples, _edited(stream, found)) if edited else found.samples, notes


def _depth(stream: Any, found: _Found) -> tuple[int, bool]:
    """Bits and whether floating: of 32-bit integers 24 where no sample has more; of lossy codecs 16."""
    kind, codec = stream.codec_context.format.name.removesuffix("p"), stream.codec_context.name
    if kind == "u8":
        return 8, False
    if kind == "s32":
        return (32 if found.low_bits else 24), False
    if kind in ("flt", "dbl") and codec.startswith(_LOSSLESS):
        return (32 if kind == "flt" else 64), True
    return 16, False


def _length(container: "av.container.InputContainer", stream: Any, found: _Found, promise: mpeg.Promise | None) -> tuple[int, list[str]]:
    """How many samples are sound, and what the user must be warned of."""
    notes, limit, name = [], found.samples, container.format.name
    if len(container.streams.audio) > 1:
        notes.append(f"the file holds {len(container.streams.audio)} tracks of sound: only the first is read")
    if name == "mp3" and promise is not None:
        limit = _keep_promise(promise, found, notes)
    elif found.bad > found.bad_at_end and name not in ("mp3", "aac"):
        raise SignalError(f"the sound is damaged: {found.bad} of its {found.packets} packets cannot be decoded; copy or download it again")
    if found.bad and (name != "mp3" or promise is None):  # junk between frames that the header counts is none of the sound
        notes.append(f"{found.bad} of {found.packets} packets cannot be decoded and are left out: the file may be cut short or damaged")
    if name.startswith("mov"):
        limit = min(limit, _edited(stream, found))
    late = float((stream.start_time or 0) * (stream.time_base or 0))
    if late > _LATE:
        notes.append(f"the sound begins {late:.2f} s after the file does: that silence is left out")
    promised = (container.duration or 0) / 1e6 - max(0.0, late) if name in _EXACT else 0.0
    if promised - limit / found.rate > _SLACK.get(name, _LEAST_SLACK):
        notes.append(f"the header promises {promised:.2f} s of sound and {limit / found.rate:.2f} s are there: the file may be cut short")
    return limit, notes


def _keep_promise(promise: mpeg.Promise, found: _Found, notes: list[str]) -> int:
    good = found.packets - found.bad
    if good < promise.frames:
        notes.append(f"the header promises {promise.frames} frames of MPEG audio and {good} are there: the file may be cut short or damaged")
    elif good > promise.frames:
        notes.append(f"the header promises {promise.frames} frames of MPEG audio and {good} are there: all of them are read")
    elif promise.samples is not None:
        return min(found.samples, promise.samples)  # without the encoder's padding
    return found.samples


def _edited(stream: Any, found: _Found) -> int:
    """Samples of an MP4 without the padding of its last frame, by its edit list or, where that is in a coarse clock, by its last packet."""
    scale = (stream.time_base or 0) * found.rate
    edit, end = round((stream.duration or 0) * scale), round((found.end - (stream.start_time or 0)) * scale)
    if edit <= 0:
        return found.samples
    return end if 0 <= end - edit <= found.rate / _COARSE else edit


def _track_tags(stream: Any) -> dict[str, str]:
    """Those of a track beside a video, its language among them, by which players tell several of them apart."""
    language = stream.metadata.get("language", "und")
    return clean(stream.metadata) | ({} if language == "und" else {"language": language})


def _tags(container: "av.container.InputContainer") -> dict[str, str]:
    found = dict(container.metadata)
    for stream in container.streams.audio[:1]:
        found |= stream.metadata
    return clean(found)
