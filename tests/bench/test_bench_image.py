"""Every codec of the table gives pictures back, better ones for more bytes, and says what it lacks."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bench_fakes import photo, saved

from i2compress.bench import image, run
from i2compress.bench.codec import Codec, FitOptions, Work
from i2compress.bench.image import IMAGE, METRICS
from i2compress.errors import SignalError, UsageError

PEERS = [codec for codec in IMAGE.codecs.values() if not codec.fitted]


@pytest.mark.parametrize("codec", PEERS, ids=lambda codec: codec.name)
def test_a_peer_gives_the_picture_back_and_more_quality_for_more_bytes(codec: Codec) -> None:
    if reason := codec.missing():
        pytest.skip(reason)
    codec.prepare()
    picture, found = photo(), []
    for quality in (codec.qualities[0], codec.qualities[-1]):
        data = codec.encode(picture, codec.work(quality, FitOptions())).data
        decoded = codec.decode(data, 1)
        assert (decoded.shape, decoded.dtype) == (picture.shape, np.uint8)
        found.append((len(data), METRICS["psnr-rgb"].measure(picture, decoded)))
    assert found[0] < found[1]
    assert codec.versions()


def test_jpeg_2000_codes_with_the_colour_transform() -> None:
    """Pillow leaves it off by default, which makes a weak anchor: bytes of a gray picture tripled would show it."""
    codec = IMAGE.codecs["jpeg2000"]
    if reason := codec.missing():
        pytest.skip(reason)
    gray = np.repeat(photo(128, 128)[..., :1], 3, axis=-1)
    other = np.stack([photo(128, 128, seed)[..., 0] for seed in range(3)], axis=-1)
    sizes = [len(codec.encode(picture, Work(quality=50)).data) for picture in (gray, other)]
    assert sizes[0] < 0.6 * sizes[1]


def test_a_codec_that_is_missing_is_named_and_the_others_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "find_spec", lambda name: None)
    chosen, missing = run.choose(["jpeg", "jxl"], IMAGE)
    assert [codec.name for codec in chosen] == ["jpeg"]
    assert "pillow-jxl-plugin" in missing["jxl"]


@pytest.mark.parametrize("names", [["jpg"], []])
def test_an_unknown_codec_or_none_at_all_is_a_usage_error(names: list[str]) -> None:
    with pytest.raises(UsageError):
        run.choose(names, IMAGE)


@pytest.mark.filterwarnings("default")  # those of other people's packages
@pytest.mark.parametrize("name", list(METRICS))
def test_a_measure_gets_worse_with_the_picture(name: str) -> None:
    metric = METRICS[name]
    if reason := metric.missing():
        pytest.skip(reason)
    source = photo(176, 176)
    noise = np.random.default_rng(1).normal(0, 1, source.shape)
    near, far = (np.clip(source + spread * noise, 0, 255).astype(np.uint8) for spread in (3, 20))
    values = [metric.measure(source, decoded) for decoded in (source, near, far)]
    assert all(value is not None for value in values)
    assert values == sorted(values, reverse=not metric.falling), values  # type: ignore[type-var]  # none is None


@pytest.mark.parametrize("shape", [(64, 80), (97, 61), (12, 40)])
def test_ssimulacra_2_is_that_of_its_package(shape: tuple[int, int], tmp_path: Path) -> None:
    package = pytest.importorskip("ssimulacra2")
    source, other = photo(*shape), photo(*shape, seed=1)
    for decoded in (np.clip(source.astype(int) + 9, 0, 255).astype(np.uint8), other, source):
        files = saved(tmp_path / "source.png", source), saved(tmp_path / "decoded.png", decoded)
        assert METRICS["ssimulacra2"].measure(source, decoded) == package.compute_ssimulacra2(*files)


def test_a_measure_that_does_not_apply_says_none() -> None:
    if METRICS["ms-ssim-rgb"].missing():
        pytest.skip("pytorch-msssim is not installed")
    assert METRICS["ms-ssim-rgb"].measure(photo(64, 64), photo(64, 64)) is None


def test_gray_becomes_rgb_and_alpha_is_refused(tmp_path: Path) -> None:
    assert IMAGE.read(saved(tmp_path / "gray.png", photo()[..., 0])).shape == (64, 80, 3)
    with pytest.raises(SignalError, match="expects 8-bit gray or RGB"):
        IMAGE.read(saved(tmp_path / "alpha.png", np.dstack([photo(), photo()[..., :1]])))


def test_the_table_of_codecs_imports_neither_torch_nor_matplotlib_nor_a_plugin() -> None:
    script = "import sys, i2compress.bench.run; sys.exit(bool({'torch', 'matplotlib', 'pillow_jxl', 'scipy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
