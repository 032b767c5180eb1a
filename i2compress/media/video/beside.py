"""The sound of a video, encoded beside its frames: AAC in MP4, which players know; in Matroska FLAC or bare samples, which lose nothing."""

from fractions import Fraction
from typing import Any

import numpy as np

from ...errors import UsageError
from ...signal import TICKS, Layout, Values
from ..protocol import Format, Track
from ..sound.tags import parse_tags
from ..sound.write import to_codes

AT_ONCE = 8192  # samples that are read together
AAC_BITRATE = 128_000  # of each channel: far more than i2c keeps
AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
_PLACES = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}


class BesideEncoder:
    """Reads a track as far as the frames have come, so that memory does not grow with its length.

    Args:
        container: av's, to which nothing has been written yet.
        form: of the file.
        track: what is to be written.
        shift: seconds by which everything begins later than it says, so that no time is below 0.

    Raises:
        UsageError: FFmpeg has no encoder for it.
    """

    def __init__(self, container: Any, form: Format, track: Track, shift: Fraction) -> None:
        import av.error

        self._container, self._source, self.layout = container, track.source, track.source.layout
        codec, self._samples = _codec(form, self.layout)
        rate = self.layout.rate
        if codec == "aac":
            rate = min((known for known in AAC_RATES if known >= rate), default=AAC_RATES[-1])
        try:
            self._stream = container.add_stream(codec, rate=rate)
        except (av.error.FFmpegError, ValueError) as error:
            raise UsageError(f"this FFmpeg has no encoder for the sound of {form.name} ({error}); leave it out with --no-audio") from error
        self._stream.layout = _PLACES[self.layout.channels]
        self._stream.metadata.update(parse_tags(track.source.metadata.tags))
        if codec == "aac":
            self._stream.bit_rate = AAC_BITRATE * self.layout.channels
        begins = round((Fraction(track.start, TICKS) + shift) * self.layout.rate)
        # MP4 rounds a late begin to milliseconds, and not every player heeds it: silence says the same.
        self._silent = begins if form.name == "mp4" else 0
        self._begins, self._done, self._count = begins - self._silent, 0, self._silent + self.layout.samples

    def until(self, seconds: Fraction) -> None:
        """Writes what is heard before that time of the file."""
        stop = min(self._count, int(seconds * self.layout.rate) - self._begins)
        while self._done < stop:
            self._write(self._next())

    def finish(self) -> None:
        """Writes the rest."""
        while self._done < self._count:
            self._write(self._next())
        self._container.mux(self._stream.encode(None))

    def _next(self) -> Values:
        left = self._silent - self._done
        return np.zeros((min(left, AT_ONCE), self.layout.channels), np.float32) if left > 0 else self._source.read(-left, AT_ONCE)

    def _write(self, values: Values) -> None:
        import av

        # Interleaved, in one plane: of 8 channels in planes PyAV allots one too few.
        frame = av.AudioFrame(format=self._samples, layout=_PLACES[self.layout.channels], samples=len(values))
        frame.planes[0].update(_interleaved(np.asarray(values, np.float64), self._samples, self.layout))
        frame.sample_rate, frame.time_base = self.layout.rate, Fraction(1, self.layout.rate)
        frame.pts = self._begins + self._done
        self._done += len(values)
        self._container.mux(self._stream.encode(frame))


def _codec(form: Format, layout: Layout) -> tuple[str, str]:
    """FFmpeg's names of the codec and of its samples."""
    if form.name == "mp4":
        return "aac", "flt"
    if layout.floating:
        return "pcm_f32le", "flt"
    if layout.bit_depth == 32:
        return "pcm_s32le", "s32"
    return "flac", "s16" if layout.bit_depth <= 16 else "s32"


def _interleaved(values: np.ndarray[Any, np.dtype[np.float64]], samples: str, layout: Layout) -> bytes:
    """The bytes of samples `[n, C]`, rounded to the depth that the sound has."""
    if samples == "flt":
        return np.ascontiguousarray(values, np.float32).tobytes()
    bits = 16 if samples == "s16" else 32
    codes = to_codes(values, layout.bit_depth, False).astype(np.float64) * 2.0 ** (bits - 1)
    return np.ascontiguousarray(codes.astype(np.int64), f"int{bits}").tobytes()
