"""Video written frame by frame through FFmpeg (av): MP4 with H.264, Matroska with FFV1; y4m; animated GIF through Pillow."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from typing import Any, BinaryIO

import numpy as np

from ...arrays import Float32Array
from ...errors import UsageError
from ...signal import TICKS, Codes, Layout, Metadata, from_codes, to_codes
from ..protocol import Format, Sink, Track
from .beside import BesideEncoder
from .colour import BT709, UNSPECIFIED, YUV420, YUV422, YUV444, Colour, known_matrix, to_planes

CRF = 10  # of H.264 in MP4: 45 to 50 dB, so that what is lost is far less than what i2c lost
_SUFFIXES = {YUV420: "420", YUV422: "422", YUV444: "444"}
_MPEG_RANGE, _FULL_RANGE = 1, 2


def timing(layout: Layout) -> tuple[Fraction, list[int]]:
    """The clock of the time stamps in seconds, and the time stamp of each frame and of the end."""
    if layout.times:
        return Fraction(1, TICKS), list(layout.times)
    return Fraction(layout.rate_divisor, layout.rate), list(range(layout.grid[0] + 1))


@contextmanager
def create(file: BinaryIO, form: Format, layout: Layout, metadata: Metadata) -> Iterator[Sink]:
    """See Medium: one video. Raises UsageError where the format cannot hold it."""
    if layout.channels not in form.channels:
        raise UsageError(f"{form.name} cannot hold {layout.channels} channels; choose mkv or gif")
    layout = replace(layout, bit_depth=min(layout.bit_depth, max(form.depths)))
    if form.name == "gif":
        gif = GifSink(layout)
        yield gif
        gif.finish(file)
        return
    colour = held(Colour.from_bytes(metadata.colour), form, layout)
    if form.name == "y4m":
        raw = Y4mSink(file, layout, colour)
        yield raw
        raw.check()
        return
    sink = FfmpegSink(file, form, layout, colour)
    try:
        yield sink
        sink.finish()
    finally:
        sink.close()


class _Counted:
    """Counts frames, which must add up to what was announced."""

    def __init__(self, layout: Layout) -> None:
        self.layout, self.done = layout, 0
        self.notes: Sequence[str] = ()

    def write(self, values: Float32Array | Codes) -> None:
        """See Sink: frames `[n, H, W, C]`."""
        if values.shape[1:] != self.layout.shape[1:]:
            raise UsageError(f"frames are {values.shape[1:]}; expected {self.layout.shape[1:]}")
        for frame in values:
            if self.done == self.layout.grid[0]:
                raise UsageError(f"more than {self.done} frames were written; expected {self.layout.grid[0]}")
            self.frame(from_codes(frame) if values.dtype.kind == "u" else frame)
            self.done += 1

    def frame(self, values: Float32Array) -> None:
        """Takes the next frame `[H, W, C]`."""
        raise NotImplementedError

    def check(self) -> None:
        """All frames must be there."""
        if self.done != self.layout.grid[0]:
            raise UsageError(f"{self.done} frames were written; expected {self.layout.grid[0]}")


class FfmpegSink(_Counted):
    """A file that FFmpeg writes; see media.protocol.Sink.

    Args:
        file: binary, need not be seekable.
        form: mp4 or mkv.
        layout: what it holds.
        colour: how its samples are made of colours.
    """

    def __init__(self, file: BinaryIO, form: Format, layout: Layout, colour: Colour) -> None:
        import av

        super().__init__(layout)
        seekable = file.seekable()
        options = {} if seekable or form.name != "mp4" else {"movflags": "frag_keyframe+empty_moov"}
        container, codec = {"mp4": ("mp4", "libx264"), "mkv": ("matroska", "ffv1")}[form.name]
        self._colour, self._form, self._beside = colour, form, list[BesideEncoder]()
        self._clock, self._stamps = timing(layout)
        self._pixels = _pixel_format(layout, colour)
        self._container = av.open(file if seekable else _Forward(file), "w", format=container, options=options)
        rate = Fraction(layout.rate, layout.rate_divisor)
        self._stream: Any = self._container.add_stream(codec, rate=rate, options={"crf": str(CRF), "preset": "medium"} if form.name == "mp4" else {})
        context: Any = self._stream.codec_context
        context.height, context.width, context.pix_fmt = *layout.grid[1:], self._pixels
        context.time_base = self._clock
        self._stream.time_base = self._clock
        if self._colour.yuv:
            context.color_range = _FULL_RANGE if self._colour.full else _MPEG_RANGE
            context.colorspace, context.color_primaries, context.color_trc = self._colour.matrix, self._colour.primaries, self._colour.transfer
        self._open = True

    def accompany(self, tracks: Sequence[Track]) -> None:
        """See Accompanying. Where one begins before the first frame, everything is later by that: no time of a file is below 0."""
        shift = Fraction(max(0, *(-track.start for track in tracks), 0), TICKS)
        if shift:
            self._stamps = [round((stamp * self._clock + shift) * TICKS) for stamp in self._stamps]
            self._clock = self._stream.codec_context.time_base = self._stream.time_base = Fraction(1, TICKS)
        self._beside = [BesideEncoder(self._container, self._form, track, shift) for track in tracks]

    def frame(self, values: Float32Array) -> None:
        """See _Counted."""
        import av

        frame = av.VideoFrame(self.layout.grid[2], self.layout.grid[1], self._pixels)
        for plane, codes in zip(frame.planes, self._codes(values), strict=True):
            room = np.frombuffer(memoryview(plane), codes.dtype).reshape(-1, plane.line_size // codes.dtype.itemsize)
            room[: codes.shape[0], : codes.shape[1]] = codes
        frame.pts, frame.time_base = self._stamps[self.done], self._clock
        frame.duration = self._stamps[self.done + 1] - self._stamps[self.done]
        if self._colour.yuv:
            frame.color_range = _FULL_RANGE if self._colour.full else _MPEG_RANGE
            frame.colorspace = self._colour.matrix
        self._container.mux(self._stream.encode(frame))
        for beside in self._beside:
            beside.until(self._stamps[self.done + 1] * self._clock)

    def _codes(self, values: Float32Array) -> list[Codes]:
        """The planes of a frame `[H, W, C]` as its file has them."""
        if self._colour.yuv:
            return planes_of(values, self.layout.bit_depth, self._colour)
        codes = to_codes(values, self.layout.bit_depth)
        if self._pixels in ("bgr0", "bgra"):
            shown = np.zeros((*codes.shape[:2], 4), np.uint8)
            shown[..., :3] = codes[..., 2::-1]
            shown[..., 3] = codes[..., 3] if codes.shape[-1] == 4 else 0
            codes = shown
        return [codes.reshape(codes.shape[0], -1)]

    def finish(self) -> None:
        """Ends the file."""
        self.check()
        self._container.mux(self._stream.encode(None))
        for beside in self._beside:
            beside.finish()

    def close(self) -> None:
        """Lets go of the file."""
        if self._open:
            self._open = False
            self._container.close()


class _Forward:
    """A file that FFmpeg can only write from start to end."""

    def __init__(self, file: BinaryIO) -> None:
        self.write = file.write


def planes_of(values: Float32Array, depth: int, colour: Colour) -> list[Codes]:
    """Luma and chroma of a frame `[H, W, C]`; only luma, which is then gray, where there are no colours."""
    if not colour.yuv:
        return [to_codes(values[..., 0], depth)]
    return [plane[0] for plane in to_planes(values[None], depth, colour)]


def held(colour: Colour, form: Format, layout: Layout) -> Colour:
    """The colours that a file of that format has: those of the source, else luma and chroma where it has nothing but them."""
    if not colour.yuv:
        if form.name == "mkv" or layout.channels == 1:
            return Colour()
        if form.name == "y4m":  # which has no place for the matrix: the one that readers take
            return Colour(matrix=known_matrix(UNSPECIFIED, layout.grid[1]), full=False, chroma=YUV444)
        colour = Colour(matrix=BT709, primaries=BT709, transfer=BT709, full=False, chroma=YUV420)
    # H.264 has chroma of half the resolution for even sides only.
    odd = form.name == "mp4" and any(side % 2 for side in layout.grid[1:])
    return replace(colour, chroma=YUV444) if odd else colour


def _pixel_format(layout: Layout, colour: Colour) -> str:
    deep = layout.bit_depth == 16
    if colour.yuv:
        return f"yuv{_SUFFIXES[colour.chroma]}p" + ("16le" if deep else "")
    if layout.channels == 1:
        return "gray16le" if deep else "gray"
    return ("rgb48le" if layout.channels == 3 else "rgba64le") if deep else ("bgr0" if layout.channels == 3 else "bgra")


class Y4mSink(_Counted):
    """YUV4MPEG2: a line of text, then each frame's planes behind the line FRAME (mjpegtools' yuv4mpeg(5); FFmpeg's names for 16 bits)."""

    def __init__(self, file: BinaryIO, layout: Layout, colour: Colour) -> None:
        super().__init__(layout)
        self._file, self._colour = file, colour
        if layout.times:
            self.notes = ("y4m has no time stamps, so that frames are evenly spaced in it; choose mkv or mp4 to keep them, or give --fps",)
        deep = layout.bit_depth == 16
        name = (
            f"{_SUFFIXES[colour.chroma]}{'p16' if deep else 'jpeg' if colour.chroma == YUV420 else ''}"
            if colour.yuv
            else f"mono{'16' if deep else ''}"
        )
        full = colour.full or not colour.yuv
        size = f"W{layout.grid[2]} H{layout.grid[1]} F{layout.rate}:{layout.rate_divisor}"
        file.write(f"YUV4MPEG2 {size} Ip A1:1 C{name} XCOLORRANGE={'FULL' if full else 'LIMITED'}\n".encode("ascii"))

    def frame(self, values: Float32Array) -> None:
        """See _Counted."""
        self._file.write(b"FRAME\n")
        for plane in planes_of(values, self.layout.bit_depth, self._colour):
            self._file.write(plane.astype(plane.dtype.newbyteorder("<")).tobytes())


class GifSink(_Counted):
    """An animated GIF; its frames are held until the end, as palettes of up to 256 colours each."""

    def __init__(self, layout: Layout) -> None:
        from PIL import Image

        super().__init__(layout)
        self._image, self._frames = Image, []  # type: ignore[var-annotated]

    def frame(self, values: Float32Array) -> None:
        """See _Counted."""
        codes = to_codes(values, 8)
        mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[codes.shape[-1]]
        picture = self._image.fromarray(codes[..., 0] if codes.shape[-1] == 1 else codes, mode)
        self._frames.append(picture)

    def finish(self, file: BinaryIO) -> None:
        """Writes it."""
        self.check()
        clock, stamps = timing(self.layout)
        edges = [round(stamp * clock * 100) for stamp in stamps]  # in hundredths of a second, so that rounding does not add up
        lengths = [10 * max(2, after - before) for before, after in itertools.pairwise(edges)]
        first, *rest = self._frames
        first.save(file, format="GIF", save_all=True, append_images=rest, duration=lengths, loop=0, disposal=1, optimize=False)
