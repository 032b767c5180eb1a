"""Video: x264, x265 and SVT-AV1 through PyAV beside i2c, and the PSNR of the planes that all of them code.

A peer's file is its bare stream, without a container, which is the kindest measure of it; i2c's is the whole .i2 file.
"""

import io
import os
from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np

from ..errors import I2Error
from ..metrics import Comparison
from . import plots
from .benchmark import Benchmark, CodedFiles, Metric, Point, Rate, Source
from .codec import Clip, Codec, Coded, Work
from .i2c import VIDEO as I2C
from .i2c import read_video

PEAK = 255


def _encode_av(clip: Clip, work: Work, *, codec: str, container: str, options: dict[str, str], worst: int) -> Coded:
    import av

    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream: Any = out.add_stream(codec, rate=Fraction(clip.rate, clip.rate_divisor), options={**options, "crf": str(round(worst - work.quality))})
        stream.height, stream.width, stream.pix_fmt = *clip.planes[0].shape[1:], "yuv420p"
        stream.codec_context.thread_count = work.threads or 0
        for number in range(len(clip.planes[0])):
            frame = av.VideoFrame(stream.width, stream.height, "yuv420p")
            for plane, codes in zip(frame.planes, clip.planes, strict=True):
                room = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
                room[: codes.shape[1], : codes.shape[2]] = codes[number]
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return Coded(file.getvalue())


def _decode_av(data: bytes, threads: int | None) -> Clip:
    import av

    frames = []
    with av.open(io.BytesIO(data), "r") as file:
        for frame in file.decode(video=0):
            planes = [np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size) for plane in frame.planes]
            sizes = [(frame.height, frame.width), *[(-(-frame.height // 2), -(-frame.width // 2))] * 2]
            frames.append([plane[:height, :width] for plane, (height, width) in zip(planes, sizes, strict=True)])
    return Clip(planes=tuple(np.stack(parts) for parts in zip(*frames, strict=True)), rate=1, rate_divisor=1, colour=b"")


def comparable(source: Clip, decoded: Clip) -> Clip:
    """What came back, as many frames of one size as there were. Raises I2Error."""
    found, wanted = ([plane.shape for plane in clip.planes] for clip in (decoded, source))
    if found != wanted:
        raise I2Error(f"planes of {found} came back; expected {wanted}: leave the codec out")
    return decoded


def _import_av() -> None:
    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 otherwise writes its settings to stderr for every encode
    import av  # noqa: F401


def _missing(encoder: str) -> str | None:
    import av.codec

    return None if encoder in av.codecs_available else f"this PyAV is built without {encoder}; install PyAV's own wheel"


def _versions() -> dict[str, str]:
    import av

    return {"av": version("av"), "libavcodec": ".".join(map(str, av.library_versions["libavcodec"]))}


def _av(name: str, note: str, crfs: tuple[int, ...], *, codec: str, container: str, options: dict[str, str], worst: int) -> Codec:
    return Codec(
        name=name,
        note=note,
        extension=container,
        qualities=tuple(float(worst - crf) for crf in crfs),
        encode=partial(_encode_av, codec=codec, container=container, options=options, worst=worst),
        decode=_decode_av,
        missing=partial(_missing, codec),
        versions=_versions,
        prepare=_import_av,
        lowest=1,
        highest=worst,
    )


_QUIET = {"x265-params": "log-level=none"}
_ENTRIES = (
    I2C,
    _av("x264", "medium; q = 51 - CRF", (20, 24, 28, 32, 36, 40), codec="libx264", container="h264", options={"preset": "medium"}, worst=51),
    _av(
        "x265",
        "medium; q = 51 - CRF",
        (20, 24, 28, 32, 36, 40),
        codec="libx265",
        container="hevc",
        options={"preset": "medium", **_QUIET},
        worst=51,
    ),
    _av(
        "svt-av1", "SVT-AV1, preset 6; q = 63 - CRF", (22, 30, 38, 46, 54, 60), codec="libsvtav1", container="ivf", options={"preset": "6"}, worst=63
    ),
)


def _psnr(source: Clip, decoded: Clip) -> float:
    """Of all code values of all planes, each plane counting as many samples as it has; see media.video.score."""
    comparison = Comparison()
    for found, wanted in zip(decoded.planes, source.planes, strict=True):
        comparison.add(found, wanted)
    return comparison.psnr(PEAK)


def _psnr_luma(source: Clip, decoded: Clip) -> float:
    return Comparison.of(decoded.planes[0], source.planes[0]).psnr(PEAK)


def _pixels(clip: Clip) -> float:
    return float(clip.planes[0].size)


def _plots(points: Sequence[Point], sources: Sequence[Source], files: CodedFiles) -> dict[str, bytes]:
    """PSNR over the rate for each clip; none where matplotlib is not installed."""
    return {"curves.png": plots.curves_of_sources(points, VIDEO)} if plots.available() else {}


VIDEO = Benchmark(
    name="video",
    read=read_video,
    codecs={codec.name: codec for codec in _ENTRIES},
    metrics={
        "psnr": Metric(name="psnr", title="PSNR of Y, Cb and Cr [dB]", digits=2, measure=_psnr),
        "psnr-y": Metric(name="psnr-y", title="PSNR of luma [dB]", digits=2, measure=_psnr_luma),
    },
    count=_pixels,
    comparable=comparable,
    rate=Rate(name="bpp", title="bpp", axis="bits a pixel", digits=4),
    anchors=("x264", "x265", "svt-av1"),
    least_overlap=0.0,
    each=True,
    plots=_plots,
    keeps_results=True,
)
