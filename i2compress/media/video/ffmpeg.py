"""Video through FFmpeg (av): every frame decoded from start to end, as planes of luma and chroma or as red, green and blue."""

import itertools
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, BinaryIO

import av
import av.error
import numpy as np

from ...arrays import Float32Array
from ...errors import SignalError
from ...signal import Codes, from_codes
from .colour import RGB, YUV420, YUV422, YUV444, Colour, chroma_shape, known_matrix, of_planes
from .stream import DEFAULT_RATE, timed_layout

# Playlists and lists of pictures are not among them: they open other files and addresses.
_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,asf,mpeg,mpegts,mpegvideo,m4v,h264,hevc,av1,obu,ivf,ogg,yuv4mpegpipe,rm,nut"
_NAMES = {"matroska,webm": "mkv", "yuv4mpegpipe": "y4m"}
_PLANES = {"420": YUV420, "422": YUV422, "444": YUV444}
_PLANAR = re.compile(r"yuvj?(420|422|444)p(?:(9|10|12|14|16)le)?")
_FULL = 2  # the code of the whole range


class Unknown(Exception):
    """FFmpeg finds no video in the file."""


def _open(file: BinaryIO) -> "av.container.InputContainer":
    file.seek(0)
    return av.open(file, "r", container_options={"format_whitelist": _CONTAINERS}, metadata_errors="replace")


def _tracks(container: "av.container.InputContainer") -> list[Any]:
    """The tracks of video, covers left out."""
    return [stream for stream in container.streams.video if not stream.disposition & av.stream.Disposition.attached_pic]


def has_video(file: BinaryIO) -> bool:
    """Whether a file has a track of video that is no cover; False for what cannot be read."""
    try:
        with _open(file) as container:
            return bool(_tracks(container))
    except (av.error.FFmpegError, OSError, ValueError):
        return False


class Ffmpeg:
    """A file that FFmpeg reads; see stream.Stream.

    Raises:
        Unknown: FFmpeg does not know it.
        SignalError: damaged, without frames, or of changing size. The name of the file is not in the message.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._bad = file, 0
        stamps: list[Fraction | None] = []
        last = Fraction(0)
        try:
            with _open(file) as container:
                tracks = _tracks(container)
                if not tracks:
                    raise Unknown("there is no track of video in it")
                stream, self.source = tracks[0], _NAMES.get(container.format.name, "mp4")
                for frame in self._decode(container, stream):
                    if not stamps:
                        self._first(frame)
                    self._check(frame, len(stamps))
                    tick = Fraction(frame.time_base or 0)
                    stamps.append(None if frame.pts is None else frame.pts * tick)
                    last = (frame.duration or 0) * tick
                if not stamps:
                    raise SignalError("the file holds a track of video that cannot be decoded; expected at least one frame: copy it again")
                likely = [rate for rate in (stream.average_rate, stream.base_rate, stream.guessed_rate) if rate]
                clock = Fraction(stream.time_base or 0)
                self.sounds = len(container.streams.audio)
                self.notes = _notes(container, stream, self._bad, self.colour)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise Unknown(str(error)) from error
        shown, end = _times(stamps, likely[0] if likely else DEFAULT_RATE, last)
        self.begins = stamps[0] or Fraction(0)
        size = (*self._upright(), {RGB: 3}.get(self.colour.chroma, 3) if self._target not in ("gray", "gray16le") else 1)
        size = (*size[:2], 4) if self._target in ("rgba", "rgba64le") else size
        self.layout = timed_layout(shown, end, likely, clock, (size[0], size[1], size[2]), self._depth)

    def frames(self) -> Iterator[Float32Array]:
        """See Stream."""
        with _open(self._file) as container:
            for frame in self._decode(container, _tracks(container)[0]):
                yield self._values(frame)

    def _decode(self, container: "av.container.InputContainer", stream: Any) -> Iterator[av.VideoFrame]:
        """Every frame; packets that cannot be decoded are counted and left out."""
        self._bad, stream.thread_type = 0, "AUTO"
        for packet in container.demux(stream):
            try:
                yield from packet.decode()
            except av.error.InvalidDataError:
                self._bad += 1

    def _first(self, frame: av.VideoFrame) -> None:
        """What the first frame says of all."""
        form = frame.format
        self._size, self._form = (frame.height, frame.width), form.name
        self._turn = round(getattr(frame, "rotation", 0) / 90) % 4
        bits = max(component.bits for component in form.components)
        self._depth = 16 if bits > 8 else 8
        found = _PLANAR.fullmatch(form.name)
        full = form.name.startswith("yuvj") or int(frame.color_range) == _FULL
        codes = {"primaries": int(frame.color_primaries) & 255, "transfer": int(frame.color_trc) & 255}
        rgb = form.is_rgb or form.has_palette or (len(form.components) % 2 == 0) or any(c.is_alpha for c in form.components)
        if len(form.components) == 1 and not form.has_palette and not form.is_rgb:
            self._target, self._shift, self.colour = ("gray16le" if bits > 8 else "gray"), 0, Colour()
        elif rgb:
            alpha = form.has_palette or any(c.is_alpha for c in form.components)
            self._target = ("rgba64le" if alpha else "rgb48le") if bits > 8 else ("rgba" if alpha else "rgb24")
            self._shift, self.colour = 0, Colour()
        else:
            kind = found[1] if found else {(4, 4): "420", (4, 8): "422"}.get((form.chroma_width(8), form.chroma_height(8)), "444")
            self._target = form.name if found else f"yuv{kind}p" + ("16le" if bits > 8 else "")
            self._shift = 16 - int(found[2]) if found and found[2] else 0
            self.colour = Colour(matrix=known_matrix(int(frame.colorspace), frame.height), full=full, chroma=_PLANES[kind], **codes)

    def _upright(self) -> tuple[int, int]:
        return self._size if self._turn % 2 == 0 else (self._size[1], self._size[0])

    def _check(self, frame: av.VideoFrame, number: int) -> None:
        found, wanted = (frame.height, frame.width), self._size
        if found != wanted or (frame.format.name != self._form):
            raise SignalError(
                f"the video changes from {wanted[1]}x{wanted[0]} {self._form} to {found[1]}x{found[0]} {frame.format.name} at frame {number}; "
                "expected the same to the end: cut it there and encode the parts one by one"
            )

    def _values(self, frame: av.VideoFrame) -> Float32Array:
        """`[1, H, W, C]`, upright."""
        if frame.format.name != self._target:
            frame = frame.reformat(format=self._target)
        height, width = self._size
        if self.colour.yuv:
            small = chroma_shape(height, width, self.colour)
            planes = [_plane(frame, 0, (height, width), self._depth), *(_plane(frame, c, small, self._depth) for c in (1, 2))]
            upright = [np.rot90(plane << self._shift, self._turn)[None] for plane in planes]
            return of_planes([np.ascontiguousarray(plane) for plane in upright], self._depth, self.colour)
        values = _plane(frame, 0, (height, width * self.channels), self._depth).reshape(height, width, self.channels)
        return np.ascontiguousarray(from_codes(np.rot90(values, self._turn))[None])

    @property
    def channels(self) -> int:
        """Of the frames as they are decoded."""
        return {"gray": 1, "gray16le": 1, "rgba": 4, "rgba64le": 4}.get(self._target, 3)


def _plane(frame: av.VideoFrame, number: int, shape: tuple[int, int], depth: int) -> Codes:
    """A plane of a frame without the padding of its lines."""
    plane, size = frame.planes[number], depth // 8
    codes: Codes = np.frombuffer(memoryview(plane), np.uint8) if depth == 8 else np.frombuffer(memoryview(plane), np.uint16)
    return codes.reshape(-1, plane.line_size // size)[: shape[0], : shape[1]]


def _times(stamps: list[Fraction | None], rate: Fraction, last: Fraction) -> tuple[list[Fraction], Fraction]:
    """When frames begin and the last one ends; evenly, where time stamps are missing or go back."""
    known = [stamp for stamp in stamps if stamp is not None]
    if len(known) < len(stamps) or any(b <= a for a, b in itertools.pairwise(known)):
        return [number / rate for number in range(len(stamps))], len(stamps) / rate
    steps = sorted(b - a for a, b in itertools.pairwise(known))
    usual = steps[len(steps) // 2] if steps else (last or 1 / rate)
    return known, known[-1] + (last if 0 < last < 10 * usual else usual)


def _notes(container: "av.container.InputContainer", stream: Any, bad: int, colour: Colour) -> list[str]:
    notes = []
    if len(_tracks(container)) > 1:
        notes.append(f"the file holds {len(_tracks(container))} tracks of video: only the first is read")
    if container.streams.subtitles:
        notes.append("the subtitles of the video are left out")
    if bad:
        notes.append(f"{bad} packets cannot be decoded and are left out: the file may be cut short or damaged")
    shape = stream.sample_aspect_ratio
    if shape and shape != 1:
        notes.append(f"pixels of the video are not square ({shape.numerator}:{shape.denominator}), which is not kept: stretch the output")
    if colour.transfer in (16, 18):
        notes.append("the video is HDR: its code values are coded as they are")
    return notes
