"""What an encode is foreseen to take follows what its fit does: every size that makes a fit longer makes the estimate longer."""

import io
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shapes import box, ply, sphere

from i2compress import Signal, codec
from i2compress.cli.work import Job
from i2compress.cli.works import works
from i2compress.config import EncodeSettings, Target
from i2compress.efforts import BATCH, CLOUD_BATCH, COMPENSATED_FROM, FULL_BATCH, coordinate_batch
from i2compress.kinds import Kind
from i2compress.media import MEDIA, SignalSource, estimates, open_source
from i2compress.media.protocol import Source

PLAIN = EncodeSettings(steps=50)
SIREN = replace(PLAIN, field="siren")
NOTHING = estimates.Pace(fit=0.0, step=0.0, step_sample=0.0)


def flat(kind: Kind, *shape: int) -> SignalSource:
    """A signal of that kind, none of whose samples is ever read."""
    depth, rate = (16, 48000) if kind is Kind.AUDIO else (8, 25 if kind is Kind.VIDEO else None)
    return SignalSource(Signal(values=np.broadcast_to(np.float32(0), shape), kind=kind, bit_depth=depth, rate=rate))


def mesh(tmp_path: Path, data: bytes) -> Source:
    path = tmp_path / "mesh.ply"
    path.write_bytes(data)
    with open_source(path) as opened:
        return opened.source


def seconds(source: Source, settings: EncodeSettings = PLAIN) -> float:
    return MEDIA[source.layout.kind].encode_seconds(source, settings)


PICTURE, LARGER = flat(Kind.IMAGE, 48, 64, 3), flat(Kind.IMAGE, 96, 128, 3)


@pytest.mark.parametrize("settings", [PLAIN, SIREN], ids=["pyramid", "siren"])
@pytest.mark.parametrize(
    ("small", "large"),
    [
        (PICTURE, LARGER),
        (flat(Kind.AUDIO, 8000, 1), flat(Kind.AUDIO, 8000, 2)),
        (flat(Kind.AUDIO, 8000, 1), flat(Kind.AUDIO, 16000, 1)),
        (flat(Kind.VIDEO, 8, 48, 64, 3), flat(Kind.VIDEO, 16, 48, 64, 3)),
    ],
    ids=["picture", "channels", "sound", "video"],
)
def test_more_samples_and_more_steps_take_longer(small: Source, large: Source, settings: EncodeSettings) -> None:
    channels_alone = small.layout.samples == large.layout.samples and settings.field != "pyramid"  # all of them come from one layer
    assert seconds(small, settings) < seconds(large, settings) or channels_alone
    assert seconds(small, settings) < seconds(small, replace(settings, steps=100))
    assert seconds(small, replace(settings, steps=None, effort=1)) < seconds(small, replace(settings, steps=None, effort=6))


@pytest.mark.parametrize(
    ("less", "more"),
    [
        (SIREN, replace(SIREN, width=128)),
        (replace(SIREN, width=32), SIREN),
        (SIREN, replace(SIREN, layers=3)),
        (replace(SIREN, layers=3), replace(SIREN, layers=6)),
        (replace(SIREN, explicit=True), SIREN),
        (SIREN, replace(SIREN, field="gabor")),
    ],
    ids=["wider", "narrower", "layers", "more layers", "explicit", "gabor"],
)
@pytest.mark.parametrize("steps", [1, 1000])
def test_the_sizes_of_a_coordinate_field_count(less: EncodeSettings, more: EncodeSettings, steps: int) -> None:
    assert seconds(PICTURE, replace(less, steps=steps)) < seconds(PICTURE, replace(more, steps=steps))


def test_a_step_of_many_points_takes_a_batch_of_them() -> None:
    def step(source: Source) -> float:
        return seconds(source, replace(SIREN, steps=101)) - seconds(source, replace(SIREN, steps=1))

    assert [coordinate_batch(count) for count in (FULL_BATCH, FULL_BATCH + 1, 10 * FULL_BATCH)] == [FULL_BATCH, BATCH, BATCH]
    whole, parts, more = flat(Kind.IMAGE, 256, 256, 3), flat(Kind.IMAGE, 257, 256, 3), flat(Kind.IMAGE, 2048, 2048, 3)
    assert step(more) == pytest.approx(step(parts))
    assert step(parts) < step(whole) / 3
    assert seconds(more, SIREN) > seconds(parts, SIREN)  # each of its points is solved in the end


@pytest.mark.parametrize("steps", [3, COMPENSATED_FROM])
def test_a_measured_pace_is_taken_from_one_place(steps: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("SOUND", "VIDEO", "SHAPE"):
        monkeypatch.setattr(estimates, name, replace(NOTHING, step=2.0))
    monkeypatch.setattr(estimates, "PICTURE", {name: replace(NOTHING, step=2.0, tail=1) for name in estimates.PICTURE})
    monkeypatch.setattr(estimates, "COMPENSATION", 1000.0)
    monkeypatch.setattr(estimates, "TRIANGLE", 0.5)
    settings = replace(PLAIN, steps=steps)
    assert seconds(PICTURE, settings) == 2.0 * (steps + 1) + 1000.0 * (steps >= COMPENSATED_FROM)
    assert seconds(flat(Kind.AUDIO, 100 * 48000, 1), settings) == 4 * 2.0 * steps  # segments
    assert seconds(flat(Kind.VIDEO, 8, 48, 64, 3), settings) == 2.0 * steps
    solid = mesh(tmp_path, ply(box()))
    assert seconds(solid, settings) == 2.0 * steps + 0.5 * 12
    vertices = box()[0]
    coloured = mesh(tmp_path, ply(box(), np.full((len(vertices), 3), 90.0)))
    assert seconds(coloured, settings) == 4 * 2.0 * steps + 0.5 * 12  # a plane of distances and three of colours
    monkeypatch.setattr(estimates, "FIELD", replace(estimates.FIELD, fit=7.0, step=2.0, channel=0.0, product=0.0))
    assert seconds(PICTURE, replace(settings, field="siren")) == 7.0 + 2.0 * steps


def test_a_shape_is_measured_by_its_surface_and_its_triangles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ball, fine, stick = (mesh(tmp_path, ply(shape)) for shape in (sphere(), sphere(rings=48), box(high=(0.1, 0.1, 1))))
    assert seconds(stick, PLAIN) < seconds(ball, PLAIN) < seconds(fine, PLAIN)
    small, large = (seconds(ball, replace(PLAIN, grid=side)) for side in (48, 96))
    assert 3 < large / small < 6  # a surface has four times as many samples
    monkeypatch.setattr(estimates, "SHAPE", replace(NOTHING, sample=1.0))
    monkeypatch.setattr(estimates, "TRIANGLE", 0.0)
    assert seconds(ball, replace(PLAIN, grid=56)) == pytest.approx(np.pi * 50**2, rel=0.02)  # of the ball of 50 samples across


def test_what_a_shape_is_fitted_to_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int | None] = []

    def noted(grid: tuple[int, ...], settings: EncodeSettings, *, batch: int | None = None, pace: object = None) -> float:
        batches.append(batch)
        return 1.0

    monkeypatch.setattr(sys.modules["i2compress.media.shape.encode"], "field_seconds", noted)  # `encode` of that package is a function
    ball = mesh(tmp_path, ply(sphere()))
    for surface in ("distances", "occupancy"):
        seconds(ball, replace(SIREN, grid=32, surface=surface))
    assert batches == [None, 32**3 // 2]
    assert 2 * CLOUD_BATCH < BATCH


def test_targets_take_more_than_one_fit(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.new("RGB", (32, 32)).save(file, "PNG")
    path = tmp_path / "a.png"
    path.write_bytes(file.getvalue())
    jobs = [Job(source=str(path), target="")]
    plain, aimed, searched = (
        works(jobs, settings)[0]
        for settings in (PLAIN, replace(PLAIN, target=Target(psnr=30.0)), replace(PLAIN, field="siren", target=Target(psnr=30.0)))
    )
    assert estimates.fits(replace(PLAIN, target=Target(size=9999)), aims=False, continues=True) == estimates.CONTINUED_FITS
    assert aimed == pytest.approx(estimates.AIMED_FITS * plain)
    assert searched == pytest.approx(estimates.SEARCHED_FITS * works(jobs, SIREN)[0])


def test_a_fit_that_aims_keeps_the_state_of_its_last_part() -> None:
    medium = MEDIA[Kind.IMAGE]
    plain, size, quality = (
        medium.encode_memory(LARGER, replace(PLAIN, target=target)) for target in (Target(), Target(size=1000), Target(ssimulacra2=50.0))
    )
    assert plain < size == quality


def test_the_limit_on_memory_is_held_against_the_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = [MEDIA[Kind.IMAGE].encode_memory(LARGER, SIREN)]
    for name in ("width", "layers"):
        needs.append(MEDIA[Kind.IMAGE].encode_memory(LARGER, replace(SIREN, **{name: 16 if name == "layers" else 1024})))
    assert needs[0] < min(needs[1:])
    assert codec._within_memory(LARGER, replace(SIREN, max_memory=int(needs[0]) + 1)).halvings == 0
