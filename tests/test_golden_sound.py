"""Golden files of sound decode to the same for ever, and a decoder written from docs/format.md agrees."""

from pathlib import Path

import numpy as np
import pytest
import reference_sound as reference

import i2compress
from i2compress.media.sound.format import read_sound
from i2compress.planes import open_plane

GOLDEN = Path(__file__).parent / "golden" / "sound"
NAMES = ("mono", "stereo", "three", "peaks")


def test_the_golden_files_cover_the_format() -> None:
    files = {name: read_sound((GOLDEN / f"{name}.i2").read_bytes()) for name in NAMES}
    segments = [segment for file in files.values() for segment in file.segments]
    assert {path.stem for path in GOLDEN.glob("*.i2")} == set(NAMES)
    assert {file.header.channels for file in files.values()} == {1, 2, 3}
    assert any(segment.content is None for segment in segments)
    assert any(segment.rotation for segment in segments)
    assert any(segment.splits.any() for segment in segments)
    assert any(segment.noise for segment in segments)
    assert any(height < 0 for segment in segments for _, height in segment.peaks)
    assert {bool(segment.weights) for segment in segments if segment.content} == {True, False}


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_sound_decodes_to_the_same_samples(name: str) -> None:
    decoded = i2compress.decode((GOLDEN / f"{name}.i2").read_bytes())
    assert decoded.metadata.tags == b"title=golden"
    assert np.abs(decoded.values - np.load(GOLDEN / "samples.npz")[name]).max() < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_a_decoder_written_from_the_specification_finds_the_same_latents_and_samples(name: str) -> None:
    data = (GOLDEN / f"{name}.i2").read_bytes()
    samples, grids = reference.decode(data)
    ours = [open_plane(segment.content).latents[0] for segment in read_sound(data).segments if segment.content is not None]
    assert all(np.array_equal(mine, other) for mine, other in zip(ours, grids, strict=True))
    assert np.abs(samples - i2compress.decode(data).values).max() < 1e-5
