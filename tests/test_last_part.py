"""The last part of a fit, made once more from the state that the whole fit left."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from films import clip
from shapes import ply, sphere

from i2compress import codec, media
from i2compress.codec import Encoded
from i2compress.config import EncodeSettings, Search
from i2compress.media import SignalSource, Source

FAST = EncodeSettings(threads=1, device="cpu")


def last_part(source: Source, settings: EncodeSettings, folder: Path, lam: float) -> tuple[Encoded, Encoded]:
    """A whole fit at lambda 1e-3, and its last part under another lambda."""
    whole = codec.encode(source, replace(settings, lam=1e-3, search=Search(str(folder))))
    return whole, codec.encode(source, replace(settings, lam=lam, search=Search(str(folder), last_part=True)))


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_last_part_of_a_video_under_the_same_lambda_is_what_it_was(jobs: int, tmp_path: Path) -> None:
    whole, again = last_part(SignalSource(clip(12)), replace(FAST, steps=20, jobs=jobs), tmp_path, 1e-3)
    assert again.data == whole.data and again.coded.passes < 0.7 * whole.coded.passes


@pytest.mark.slow
def test_the_last_part_of_a_shape_under_the_same_lambda_is_what_it_was_and_under_a_lower_one_larger(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).uniform(0, 255, (len(sphere(rings=8)[0]), 3))
    with media.open_source(ply(sphere(rings=8), colours)) as opened:
        settings = replace(FAST, steps=16, grid=16)
        whole, again = last_part(opened.source, settings, tmp_path / "a", 1e-3)
        assert again.data == whole.data and 0 < again.coded.steps < 0.7 * whole.coded.steps
        whole, again = last_part(opened.source, settings, tmp_path / "b", 2e-4)
        assert len(again.data) > len(whole.data)
