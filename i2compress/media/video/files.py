"""Video files as a Source: through FFmpeg (av), and animations (GIF, APNG, WebP) through Pillow.

What is applied: rotation, the range and matrix of colours, time stamps, the disposal of animations' frames. What is carried: the matrix, primaries
and transfer of colours. Every track of sound is one beside the video. What is dropped, with a note: every track of video but the first, subtitles,
and the shape of pixels that are not square.

The libraries are imported when they are needed.
"""

from collections.abc import Sequence
from typing import BinaryIO

import numpy as np

from ...arrays import Float32Array
from ...errors import I2Error, ResourceError, SignalError
from ...header import MAX_AXIS
from ...kinds import Kind
from ...signal import TICKS, Metadata
from ..foreign import HEAD, recognise
from ..parts import Forward, read_at
from ..protocol import Format, Track
from ..sound.files import TrackReader
from .stream import Stream

_ANY = (1, 2, 3, 4)
_SOUND = (Kind.AUDIO,)
FORMATS = (
    Format(name="mp4", kind=Kind.VIDEO, extensions=(".mp4", ".m4v", ".mov"), channels=(1, 3), depths=(8,), streamed=True, tracks=_SOUND),
    Format(name="mkv", kind=Kind.VIDEO, extensions=(".mkv",), channels=(1, 3, 4), streamed=True, tracks=_SOUND),
    Format(name="y4m", kind=Kind.VIDEO, extensions=(".y4m",), channels=(1, 3), streamed=True),
    Format(name="gif", kind=Kind.VIDEO, extensions=(".gif",), channels=_ANY, depths=(8,)),
    Format(name="webm", kind=Kind.VIDEO, extensions=(".webm",), write=False),
    Format(name="avi", kind=Kind.VIDEO, extensions=(".avi",), write=False),
    Format(name="mpeg", kind=Kind.VIDEO, extensions=(".mpg", ".mpeg", ".ts", ".m2ts", ".vob"), write=False),
    Format(name="h264", kind=Kind.VIDEO, extensions=(".h264", ".264", ".h265", ".265", ".hevc", ".ivf"), write=False),
    Format(name="flv", kind=Kind.VIDEO, extensions=(".flv", ".3gp", ".wmv", ".asf", ".rm", ".rmvb", ".ogv"), write=False),
)
HELD = 4  # frames before the last read that are kept


class VideoReader:
    """A video file being read; see media.protocol.Source, whose properties are plain attributes here. Opening it decodes all of it once.

    Args:
        file: binary and seekable.
        name: what to call it in messages.

    Raises:
        SignalError: not a video that can be read, damaged, without frames, or of changing size.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.name = name
        try:
            self._stream = opened(file)
        except I2Error as error:
            raise type(error)(f"{name}: {error}") from error
        except MemoryError as error:
            raise ResourceError(f"{name}: not enough memory for the video; free some or make it smaller") from error
        stream = self._stream
        self.layout, self.format, self.notes = stream.layout, stream.source, tuple(stream.notes)
        self._file, self._tracks = file, list[Track]()
        self.metadata = Metadata(colour=stream.colour.to_bytes())
        self._frames = Forward(stream.frames, np.zeros((0, *stream.layout.shape[1:]), np.float32), HELD)

    @property
    def tracks(self) -> Sequence[Track]:
        """See Accompanied: the tracks of sound, each decoded once to its end before it is given."""
        for number in range(len(self._tracks), self._stream.sounds):
            sound = TrackReader(self._file, f"{self.name}, sound track {number + 1}" if self._stream.sounds > 1 else f"{self.name}, sound", number)
            self._tracks.append(Track(source=sound, start=round((sound.begins - self._stream.begins) * TICKS)))
            self.notes += tuple(f"of its sound: {note}" for note in sound.notes)
        return tuple(self._tracks)

    def read(self, start: int, count: int) -> Float32Array:
        """See Source: frames `[n, H, W, C]`. Raises SignalError where the file has changed."""
        count = max(0, min(count, self.layout.grid[0] - start))
        try:
            values = self._frames.read(start, count)
        except MemoryError:
            raise
        except Exception as error:  # libraries and the file object have errors of many kinds
            raise SignalError(f"{self.name}: the video cannot be read any more ({error}); copy or download it again") from error
        if len(values) < count:
            raise SignalError(f"{self.name}: the video ends after {start + len(values)} frames; expected {self.layout.grid[0]}: has it changed?")
        return values


open = VideoReader


def opened(file: BinaryIO) -> Stream:
    """The frames of a file, by what it is. Raises SignalError."""
    from . import animation, ffmpeg

    head = read_at(file, 0, HEAD)
    if not head:
        raise SignalError("the file is empty; expected a video")
    file.seek(0)
    if animation.is_animation(head):
        stream: Stream = animation.Animation(file)
    else:
        try:
            stream = ffmpeg.Ffmpeg(file)
        except ffmpeg.Unknown as error:
            found = recognise(head)
            what = "no video that can be read" if found is None else found.what
            raise SignalError(f"the file is {what} ({error}); expected a video: it is damaged or cut short, or convert it to MKV first") from error
    if max(stream.layout.grid) > MAX_AXIS:
        raise SignalError(f"the video has {stream.layout.grid[0]} frames; expected at most {MAX_AXIS}: cut it first")
    return stream


def holds(file: BinaryIO) -> bool:
    """See Medium: an animation of several frames, or a container with a track of video that is no cover picture."""
    from . import animation, ffmpeg

    head = read_at(file, 0, HEAD)
    file.seek(0)
    return animation.moves(file) if animation.is_animation(head) else ffmpeg.has_video(file)
