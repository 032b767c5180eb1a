"""Files of a wanted size or quality: the search over fits, and real files."""

import io
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from films import clip
from PIL import Image
from shapes import ply, sphere
from sounds import chord, wav

from i2compress import codec, media, targets
from i2compress.codec import Encoded
from i2compress.config import AIM_ROOM, Aim, EncodeSettings, Search, Target
from i2compress.container import SIGNATURE, write_chunk
from i2compress.errors import TargetError, UsageError
from i2compress.media import SignalSource
from i2compress.media.protocol import Coded, Hooks
from i2compress.signal import Signal
from i2compress.targets import FITS, NEAR, Attempt, meet

COFFEE = Path(__file__).parent / "media" / "coffee.png"
FAST = EncodeSettings(threads=1, device="cpu", steps=60)


def blobs(height: int = 48, width: int = 64) -> bytes:
    """A PNG with smooth colours and some noise."""
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 7) * np.cos(y / 5), np.sin((x + y) / 9), np.cos(x / 4)], -1)
    codes = 127 + 90 * waves + np.random.default_rng(0).normal(0, 6, waves.shape)
    file = io.BytesIO()
    Image.fromarray(np.clip(codes, 0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def encoded(data: bytes, target: Target, settings: EncodeSettings = FAST) -> Encoded:
    with media.open_source(data) as opened:
        return codec.encode(opened.source, replace(settings, target=target))


# The search


class Coder:
    """Pretends that ln(bytes) and dB are lines in ln(lambda), counted."""

    def __init__(self, size: float = 3e5, slope: float = -0.7, least: float = 200) -> None:
        self.size, self.slope, self.least, self.lambdas = size, slope, least, list[float]()

    def __call__(self, settings: EncodeSettings) -> Attempt:
        lam = settings.rate_weight
        self.lambdas.append(lam)
        count = round(max(self.least, self.size * (lam / 1e-5) ** self.slope))
        return Attempt(coded=Coded(data=bytes(count), steps=1, passes=1), figures={"psnr": 60 - 2 * math.log(lam / 1e-5)})


def searched(target: Target, coder: Callable[[EncodeSettings], Attempt]) -> Attempt:
    with media.open_source(blobs()) as opened:
        return meet(replace(FAST, field="siren", target=target), opened.source, coder, Hooks())


def test_a_fit_that_had_to_raise_lambda_far_is_made_anew_where_it_ended() -> None:
    begun: list[float | None] = []

    def coder(settings: EncodeSettings) -> Attempt:
        begun.append(settings.lam)
        first = settings.lam or 2e-4
        last, size = (5e-4, 2990) if first == 2e-4 else (first, 2950)
        return Attempt(coded=Coded(data=bytes(size), steps=7, passes=7, lam=last, first_lam=first), figures={"psnr": 30.0})

    with media.open_source(blobs()) as opened:
        found = meet(replace(FAST, target=Target(size=3000)), opened.source, coder, Hooks())
    assert begun == [None, pytest.approx(5e-4)]
    assert (len(found.coded.data), found.coded.steps) == (2950, 14)  # although the first is nearer


@pytest.mark.parametrize("target", [Target(psnr=30.0), Target(ssimulacra2=60.0)], ids=["psnr", "ssimulacra2"])
def test_a_fit_aims_at_a_quality_and_one_more_begins_where_it_ended(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[EncodeSettings] = []
    limit = target.psnr or target.ssimulacra2
    assert limit is not None
    name = "psnr" if target.psnr else "ssimulacra2"
    found = iter([limit - 1, limit + 5 * NEAR[name]])

    def coder(settings: EncodeSettings) -> Attempt:
        asked.append(settings)
        value = next(found)
        monkeypatch.setattr(targets.goal, "_judged", lambda source, data: value)
        return Attempt(coded=Coded(data=bytes(99), steps=7, passes=7, lam=3e-4, first_lam=3e-4), figures={"psnr": value})

    with media.open_source(blobs()) as opened:
        made = meet(replace(FAST, target=target), opened.source, coder, Hooks())
    assert [settings.lam for settings in asked] == [None, pytest.approx(3e-4)]
    aims = [settings.aim for settings in asked]
    room = AIM_ROOM[name]
    assert aims == [Aim(name, pytest.approx(limit + room)), Aim(name, pytest.approx(limit + room + room + 1))]
    assert made.coded.steps == 14 and any("more than" in note for note in made.coded.notes)  # two fits are enough where one of them meets it


@pytest.mark.parametrize("size", [2_000, 20_000, 150_000])
def test_a_size_is_met_from_below_within_three_percent(size: int) -> None:
    coder = Coder()
    assert 0.97 * size <= len(searched(Target(size=size), coder).coded.data) <= size
    assert len(coder.lambdas) <= FITS


@pytest.mark.parametrize("psnr", [42.0, 48.0, 55.0])
def test_a_quality_is_met_from_above(psnr: float) -> None:
    assert psnr <= searched(Target(psnr=psnr), Coder()).figures["psnr"] <= psnr + 0.2


def test_between_a_file_that_is_too_large_and_one_that_is_too_small_is_the_next() -> None:
    sizes, tries = iter([2686, 3187, 6751, 3900]), list[float]()  # of a video, the two smallest of which are nearest to the size

    def coder(settings: EncodeSettings) -> Attempt:
        tries.append(math.log(settings.rate_weight))
        return Attempt(coded=Coded(data=bytes(next(sizes)), steps=1, passes=1), figures={})

    assert len(searched(Target(size=4000), coder).coded.data) == 3900
    assert tries[2] < tries[3] < tries[1] < tries[0]


def test_bits_a_sample_are_a_size() -> None:
    assert 0.97 * 3072 <= len(searched(Target(bpp=8.0), Coder()).coded.data) <= 3072


def test_a_miss_is_an_error_that_says_by_how_much() -> None:
    with pytest.raises(TargetError, match=r"the nearest file has 2000 bytes, 100\.0 % over 1000"):
        searched(Target(size=1000), Coder(least=2000))
    with pytest.raises(TargetError, match=r"the nearest file has [\d.]+ dB PSNR, [\d.]+ less than 119\.00 dB PSNR"):
        searched(Target(psnr=119.0), Coder())


@pytest.mark.parametrize("name", ["size", "psnr"])
def test_fits_that_come_out_by_chance_are_left_behind(name: str) -> None:
    """Where all of some miss narrowly the next ones go further, and never to the same place twice."""
    lambdas: list[float] = []
    sizes = iter([552, 513, 600, 540, 470])

    def attempt(settings: EncodeSettings) -> Attempt:
        lambdas.append(settings.rate_weight)
        size = next(sizes)
        return Attempt(coded=Coded(data=bytes(size), steps=1, passes=1), figures={"psnr": 30 - 10 * math.log10(size / 500)})

    made = searched(Target(size=500) if name == "size" else Target(psnr=30.0), attempt)
    assert len(made.coded.data) == 470
    way = 1 if name == "size" else -1
    assert way * lambdas[3] > max(way * lam for lam in lambdas[:3]) and way * lambdas[4] > way * lambdas[3]


def test_a_file_far_below_its_limit_is_written_with_a_word() -> None:
    made = searched(Target(size=10**9), Coder())
    assert any("% under 1000000000" in note for note in made.coded.notes)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"size": 1000, "psnr": 30.0}, "exclude each other"),
        ({"size": 3}, "target size is 3"),
        ({"bpp": -1.0}, "target bpp is -1"),
        ({"psnr": math.inf}, "target psnr is inf"),
        ({"ssimulacra2": math.nan}, "target ssimulacra2 is nan"),
    ],
)
def test_targets_that_make_no_sense_are_refused(given: dict[str, float], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Target(**given)  # type: ignore[arg-type]


def file_of(count: int, weights: int) -> bytes:
    """What looks like a file of so many bytes, about so many of them weights."""
    start = SIGNATURE + write_chunk("W", bytes(weights))
    files = (start + write_chunk("Y", bytes(count - len(start) - framing)) for framing in (6, 7, 8))
    return next((file for file in files if len(file) == count), None) or file_of(count, weights + 1)  # no chunk has every size


class Continuing:
    """Pretends that ln(bytes) is a line in ln(lambda), less steep of last parts, and that files of short fits are larger; counts whole fits.

    A share `weights` of its bytes can be had in other sizes without a fit.
    """

    def __init__(self, size: float, *, last_slope: float = -0.15, away: float = 1.0, weights: float = 0.1) -> None:
        self.size, self.last_slope, self.away, self.weights = size, last_slope, away, weights
        self.work, self.folder, self.whole, self.shares = 0.0, "", 0.0, list[float]()

    def __call__(self, settings: EncodeSettings) -> Attempt:
        search, lam = settings.search, settings.rate_weight
        assert search is not None
        self.work += search.work
        self.shares.append(search.weights)
        if not search.last_part and search.share == 1 and not search.recoded:
            self.folder, self.whole = search.folder, lam
        assert search.share < 1 or search.folder == self.folder
        count = self.size * ((self.whole if search.last_part else lam) / 1e-3) ** -0.6
        count *= (lam / self.whole) ** self.last_slope if search.last_part else 1.0 if search.share == 1 else 1.22 * self.away
        weights = round(self.weights * count)
        data = file_of(round(count + (search.weights - 1) * weights), round(search.weights * weights))
        return Attempt(coded=Coded(data=data, steps=1, passes=100), figures={})


@pytest.mark.parametrize("size", [1000, 5000, 30_000])
@pytest.mark.parametrize("away", [0.9, 1.0, 1.1])
def test_a_size_of_a_video_is_met_by_few_whole_fits(size: int, away: float) -> None:
    coder = Continuing(6000, away=away)
    made = meet(replace(FAST, target=Target(size=size)), SignalSource(clip()), coder, Hooks())
    assert 0.97 * size <= len(made.coded.data) <= size and coder.work <= 3.3


def test_where_last_parts_change_too_little_another_whole_fit_follows() -> None:
    coder = Continuing(6000, last_slope=-0.001, away=1.12)
    made = meet(replace(FAST, target=Target(size=5000)), SignalSource(clip()), coder, Hooks())
    assert 0.97 * 5000 <= len(made.coded.data) <= 5000 and 2.2 < coder.work < 4


def test_a_file_that_is_a_little_too_large_is_coded_once_more_and_no_fit_is_made() -> None:
    coder = Continuing(6000, away=0.92, weights=0.5)  # short fits look smaller than they are, so the whole one comes out too large
    made = meet(replace(FAST, target=Target(size=5000)), SignalSource(clip()), coder, Hooks())
    assert 0.97 * 5000 <= len(made.coded.data) <= 5000
    assert [share == 1 for share in coder.shares] == [True] * (len(coder.shares) - 1) + [False]
    assert coder.work == 1 + 0.25 * (len(coder.shares) - 2) and 0.75 < coder.shares[-1] < 1


def sized(*sizes: int, weights: int) -> tuple[Callable[[EncodeSettings], Attempt], list[Search]]:
    """A coder whose fits come out like that, whatever is asked of them, and of which weights can have fewer bytes; and what it was asked."""
    left, found, asked = iter(sizes), dict[tuple[Search, float], int](), list[Search]()

    def coder(settings: EncodeSettings) -> Attempt:
        assert settings.search is not None
        asked.append(settings.search)
        fit = settings.search._replace(weights=1.0), settings.rate_weight
        found[fit] = next(left) if settings.search.weights == 1 else found[fit]
        data = file_of(found[fit] + round((settings.search.weights - 1) * weights), weights)
        return Attempt(coded=Coded(data=data, steps=1, passes=20), figures={})

    return coder, asked


def test_last_parts_that_jump_across_a_size_are_mended_by_the_weights() -> None:
    """A clip of 24x32 at 20 steps, whose last parts ended at 482 bytes."""
    coder, asked = sized(412, 647, 609, 470, 606, weights=180)
    made = meet(replace(FAST, target=Target(size=600)), SignalSource(clip()), coder, Hooks())
    assert 0.97 * 600 <= len(made.coded.data) <= 600
    assert [search.recoded for search in asked] == [False] * 3 + [True]


def test_where_no_fit_is_left_more_is_asked_of_the_weights_than_at_once() -> None:
    coder, asked = sized(1000, *[870] * 20, weights=200)
    made = meet(replace(FAST, target=Target(size=800)), SignalSource(clip()), coder, Hooks())
    assert 0.97 * 800 <= len(made.coded.data) <= 800
    assert [search.recoded for search in asked[:-1]] == [False] * (len(asked) - 1) and asked[-1].weights < 0.75


def test_weights_that_cannot_become_smaller_are_not_asked_for_ever() -> None:
    coder, asked = sized(1000, *[820] * 20, weights=200)

    def stubborn(settings: EncodeSettings) -> Attempt:
        assert settings.search is not None
        return coder(replace(settings, search=settings.search._replace(weights=1.0))) if settings.search.recoded else coder(settings)

    with pytest.raises(TargetError, match=r"820 bytes, 2\.5 % over 800"):
        meet(replace(FAST, target=Target(size=800)), SignalSource(clip()), stubborn, Hooks())
    assert len(asked) < 60


def test_a_last_part_that_would_be_made_twice_is_not_the_end_of_a_search() -> None:
    """A clip of 64x48 at effort 1 ended 30 % below its size."""
    coder, asked = sized(555, 843, 1156, 785, weights=40)
    assert len(meet(replace(FAST, target=Target(size=800)), SignalSource(clip()), coder, Hooks()).coded.data) == 785
    assert [search.work for search in asked] == [0.25, 1, 0.5, 1]


def test_a_fit_counts_as_what_was_coded_of_it() -> None:
    """One that is too large, and much smaller with any other bits for its weights, is gone on with under a lower lambda."""
    lambdas: list[float] = []

    def coder(settings: EncodeSettings) -> Attempt:
        search = settings.search
        assert search is not None
        if not search.recoded:
            lambdas.append(settings.rate_weight)
        size = 755 if search.recoded else 790 if search.last_part else 843 if search.share == 1 else 800
        return Attempt(coded=Coded(data=file_of(size, 250), steps=1, passes=20), figures={})

    made = meet(replace(FAST, target=Target(size=800)), SignalSource(clip()), coder, Hooks())
    assert len(made.coded.data) == 790 and lambdas[-1] < lambdas[-2]


def test_a_measure_of_pictures_is_not_for_sound() -> None:
    with pytest.raises(UsageError, match="is for pictures"):
        encoded(wav(chord(0.1)), Target(ssimulacra2=70))


# Real files


def test_a_picture_of_a_wanted_size() -> None:
    made = encoded(blobs(), Target(size=700))
    assert len(made.data) <= 700
    assert len(made.data) >= 0.97 * 700 or any("under" in note for note in made.coded.notes)
    assert len(codec.I2File.from_bytes(made.data).render().values) == 48


def test_a_picture_comes_to_a_size_within_one_fit_and_its_last_part() -> None:
    size, file = 4500, io.BytesIO()
    Image.open(COFFEE).resize((160, 120)).save(file, "PNG")
    made = encoded(file.getvalue(), Target(size=size), replace(FAST, steps=80))
    assert 0.97 * size <= len(made.data) <= size
    assert 80 <= made.coded.steps <= 80 * 1.9  # a whole fit, and less than half of it twice; further fits would have them all once more
    assert made.coded.lam is not None and codec.I2File.from_bytes(made.data).medium.outline(made.data).lam == pytest.approx(made.coded.lam, rel=0.03)


@pytest.mark.parametrize(
    ("channels", "given"),
    [(1, {"tune": "psnr"}), (4, {}), (3, {"halvings": 3}), (3, {"time_limit": 2.0}), (3, {"explicit": True})],
    ids=["gray", "opacity", "windows", "in time", "explicit"],
)
def test_no_picture_is_larger_than_its_size(channels: int, given: dict[str, object]) -> None:
    y, x = np.mgrid[:24, :200]
    codes = np.stack([127 + 90 * np.sin(x / (4 + c) + y / 9) for c in range(channels)], -1) + np.random.default_rng(0).normal(0, 5, (24, 200, 1))
    picture = Signal.from_codes(np.clip(codes, 0, 255).astype(np.uint8))
    made = codec.encode(picture, replace(FAST, steps=20, target=Target(size=2500), **given), origin=bytes(16))  # type: ignore[arg-type]
    assert len(made.data) <= 2500


def test_more_bytes_than_a_picture_can_use_make_it_hardly_worse() -> None:
    tight, wide = (encoded(blobs(), Target(size=size), replace(FAST, steps=50)) for size in (1900, 20_000))
    assert len(wide.data) <= 20_000 and wide.psnr > tight.psnr - 0.5
    assert any("under 20000" in note for note in wide.coded.notes)


def test_a_picture_comes_to_a_quality_within_one_fit_and_its_last_part() -> None:
    file = io.BytesIO()
    Image.open(COFFEE).resize((160, 120)).save(file, "PNG")
    made = encoded(file.getvalue(), Target(psnr=30.0), replace(FAST, steps=80))
    assert 30.0 <= made.psnr <= 30.0 + NEAR["psnr"]
    assert 80 <= made.coded.steps <= 80 * 1.9  # a whole fit, and less than half of it twice


def test_a_picture_of_a_wanted_quality() -> None:
    assert encoded(blobs(), Target(psnr=24.0)).psnr >= 24.0
    judged = encoded(blobs(), Target(ssimulacra2=-50.0), replace(FAST, steps=20))
    assert judged.data


@pytest.mark.parametrize("size", [700, pytest.param(1500, marks=pytest.mark.slow)])
def test_a_video_of_a_wanted_size(size: int) -> None:
    made = codec.encode(clip(), replace(FAST, target=Target(size=size)))
    assert 0.97 * size <= len(made.data) <= size
    assert len(codec.I2File.from_bytes(made.data).render().values) == 6


@pytest.mark.slow
def test_a_video_of_a_wanted_quality() -> None:
    assert 27.0 <= codec.encode(clip(), replace(FAST, target=Target(psnr=27.0))).psnr <= 27.0 + NEAR["psnr"]


@pytest.mark.slow
def test_a_size_of_a_video_is_met_by_the_same_file_each_time_and_whatever_the_processes() -> None:
    settings = replace(FAST, steps=20, target=Target(size=1800))
    made = [codec.encode(clip(12), replace(settings, jobs=jobs)).data for jobs in (1, 1, 2)]
    assert made[0] == made[1] == made[2] and len(made[0]) <= 1800


def test_a_video_of_a_wanted_size_in_time_is_no_larger() -> None:
    assert len(codec.encode(clip(), replace(FAST, time_limit=3.0, target=Target(size=1500))).data) <= 1500


@pytest.mark.slow
def test_a_shape_of_a_wanted_size() -> None:
    with media.open_source(ply(sphere(rings=12))) as opened:
        made = codec.encode(opened.source, replace(FAST, steps=40, grid=24, target=Target(size=560)))
    assert len(made.data) <= 560
    assert len(made.data) >= 0.97 * 560 or any("under" in note for note in made.coded.notes)


def test_a_sound_of_a_wanted_size_and_quality() -> None:
    sound = wav(chord(1.0))
    made = encoded(sound, Target(size=600), replace(FAST, steps=30))
    assert len(made.data) <= 600
    assert encoded(sound, Target(psnr=40.0), replace(FAST, steps=30)).psnr >= 40.0


def test_fewer_bytes_than_the_chunks_of_a_very_short_sound_take_are_a_target_not_met() -> None:
    short, settings = wav(chord(1.0)[:20]), replace(FAST, steps=5)
    with pytest.raises(TargetError, match=r"the nearest file has \d+ bytes"):
        encoded(short, Target(size=64), settings)
    assert len(encoded(short, Target(size=110), settings).data) <= 110
