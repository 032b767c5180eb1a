"""The video benchmark's reader of parts, and its peers where their libraries are there."""

from pathlib import Path

import numpy as np
import pytest

from i2compress.bench.codec import Clip, FitOptions
from i2compress.bench.video import VIDEO
from i2compress.errors import I2Error, SignalError
from i2compress.media.video.colour import BT601, YUV420, Colour


def clip(frames: int = 6) -> Clip:
    """Smooth planes of 48x32 that move."""
    t, y, x = np.meshgrid(np.arange(frames), np.arange(32), np.arange(48), indexing="ij")
    luma = np.floor(127 + 80 * np.sin(0.2 * x + 0.3 * t) * np.cos(0.2 * y)).astype(np.uint8)
    chroma = np.ascontiguousarray(255 - luma[:, ::2, ::2])
    return Clip(planes=(luma, chroma, chroma // 2), rate=25, rate_divisor=1, colour=Colour(matrix=BT601, full=False, chroma=YUV420).to_bytes())


def test_a_part_of_bare_planes_is_read_as_it_is(tmp_path: Path) -> None:
    source = clip()
    path = tmp_path / "a.yuv"
    path.write_bytes(b"".join(plane[frame].tobytes() for frame in range(6) for plane in source.planes))
    part = VIDEO.read(f"{path}#raw=48x32@25:i420&xywh=16,8,32,16&frames=1:4")
    for found, wanted, step in zip(part.planes, source.planes, (1, 2, 2), strict=True):
        assert np.array_equal(found, wanted[1:4, 8 // step : 24 // step, 16 // step : 48 // step])
    assert (part.rate, part.shape) == (25, (3, 16, 32, 25, 1))
    with pytest.raises(SignalError, match="a part that is not there"):
        VIDEO.read(f"{path}#raw=48x32@25:i420&frames=1:9")


@pytest.mark.parametrize("name", ["x264", "x265", "svt-av1"])
def test_peers_come_back_frame_for_frame_and_better_at_a_higher_quality(name: str) -> None:
    codec, small = VIDEO.codecs[name], clip()
    if reason := codec.missing():
        pytest.skip(reason)
    # SVT-AV1 takes frames of at least 64 samples a side, and x265 ends the process at smaller ones.
    source = Clip(planes=tuple(np.tile(plane, (1, 3, 2)) for plane in small.planes), rate=25, rate_divisor=1, colour=small.colour)
    found = []
    for quality in (codec.qualities[-1], codec.qualities[0]):
        data = codec.encode(source, codec.work(quality, FitOptions(threads=1))).data
        decoded = VIDEO.comparable(source, codec.decode(data, 1))
        found.append((len(data), VIDEO.metrics["psnr"].measure(source, decoded)))
    assert found[0][0] < found[1][0] and found[0][1] < found[1][1] and found[1][1] > 30  # type: ignore[operator]


def test_i2c_comes_back_as_its_score_says() -> None:
    codec, source = VIDEO.codecs["i2c"], clip(3)
    data = codec.encode(source, codec.work(50.0, FitOptions(steps=6, threads=1, device="cpu"))).data
    decoded = VIDEO.comparable(source, codec.decode(data, 1))
    assert decoded.colour == source.colour and VIDEO.metrics["psnr"].measure(source, decoded) > 10  # type: ignore[operator]
    with pytest.raises(I2Error, match="came back"):
        VIDEO.comparable(clip(4), decoded)
