"""Golden files of video decode to the same symbols for ever, those of earlier encoders too."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from i2compress.codec import I2File
from i2compress.field.spec import PyramidSpec
from i2compress.media.video.format import read_video

GOLDEN = Path(__file__).parent / "golden" / "video"
sys.path.append(str(GOLDEN.parent))
from make_video import SOME, digest  # noqa: E402

NAMES = ("still", "moving", "gray", "swaying", "resting")


def test_the_golden_files_of_video_cover_the_format() -> None:
    assert {path.stem for path in GOLDEN.glob("*.i2")} == set(NAMES)
    files = {name: read_video((GOLDEN / f"{name}.i2").read_bytes()).groups for name in NAMES}
    assert any(group.motion.path and group.follows for group in files["moving"]) and not any(group.motion.path for group in files["still"])
    assert any(group.limit for group in files["still"]) and any(group.motion.mesh is not None for group in files["swaying"])
    specs = [PyramidSpec.from_header(group.content.header) for group in files["resting"]]
    assert any(spec.still == 2 and spec.latent_shapes[1][0] == 2 for spec in specs)


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_video_decodes_to_the_same_symbols_and_frames(name: str) -> None:
    data = (GOLDEN / f"{name}.i2").read_bytes()
    assert digest(data) == json.loads((GOLDEN / "expected.json").read_text())[name]
    frames = I2File.from_bytes(data, threads=1).render(SOME).values
    assert np.abs(frames - np.load(GOLDEN / "frames.npz")[name]).max() < 1e-3  # which are stored in halves
