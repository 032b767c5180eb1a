"""Waveforms in coordinate fields at other rates and in parts: fields that are exactly a sinusoid, against its closed form."""

import itertools
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pytest
from sounds import chord, sound

from i2compress import EncodeSettings, Kind, Layout, Signal, View, decode, encode
from i2compress.errors import UsageError
from i2compress.field.coordinate_file import CoordinateFile
from i2compress.field.coordinate_spec import CoordinateSpec
from i2compress.media.sound.waveform import Sampler
from i2compress.render.coordinate import CoordinateRenderer

RATE, SAMPLES = 8000, 5000
KINDS = [(kind, explicit) for kind in ("siren", "fourier", "gabor") for explicit in (False, True)]


def tone(kind: str, hertz: float, *, explicit: bool = False, samples: int = SAMPLES, threads: int = 1) -> Sampler:
    """sin(pi hertz n / RATE x + 0.3), whatever the network: matrices are 0, and the last filter is all that is left."""
    spec = CoordinateFile(network=CoordinateSpec(kind=kind, axes=1, channels=1, explicit=explicit, width=1), grid=(samples,))
    weights = {name: np.zeros(shape) for name, shape in spec.weight_shapes.items()}
    turning = np.pi * hertz * samples / RATE
    if kind == "siren" and explicit:  # sin(A sin(B x + c)) is A sin(B x + c) for a small A, up to A^2 / 6
        weights["B"][0], weights["c"][0], weights["A"][:], weights["W"][:] = turning, 0.3, 1e-3, 1e3
    else:
        weights["B"][1], weights["c"][1], weights["W"][:] = turning, 0.3, 1.0
    if "a" in weights:
        weights["a"][:] = 1.0
    renderer = CoordinateRenderer(spec, weights, gain=1.0, offset=0.0, threads=threads)
    return Sampler(renderer, Layout(kind=Kind.AUDIO, grid=(samples,), channels=1, bit_depth=16, rate=RATE))


def rendered(sampler: Sampler, view: View) -> npt.NDArray[np.float32]:
    """All samples of a view."""
    return np.concatenate(list(sampler.blocks(view)))


def expected(hertz: float, rate: int, count: int, samples: int = SAMPLES) -> npt.NDArray[np.float64]:
    """The tone at the times of output samples 0 .. count: half a cell after the start of the first one."""
    seconds = (np.arange(count) + 0.5) / rate - samples / RATE / 2
    return np.sin(2 * np.pi * hertz * seconds + 0.3)


@pytest.mark.parametrize(("kind", "explicit"), KINDS)
@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100])
def test_a_higher_rate_is_the_function_at_the_new_times(kind: str, explicit: bool, rate: int) -> None:
    found = rendered(tone(kind, 1234.5, explicit=explicit), View(rate=rate))
    assert len(found) == int(np.ceil(SAMPLES * rate / RATE - 0.5))
    np.testing.assert_allclose(found[:, 0], expected(1234.5, rate, len(found)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("rate", [7999, 6000, 4000, 2000, 441, 100])
def test_a_lower_rate_keeps_what_it_can_hold(rate: int) -> None:
    """Lanczos-3 is even to 1.3 % up to a fifth of the new rate; the ends have fewer samples to go by."""
    found = rendered(tone("fourier", rate / 8), View(rate=rate))[:, 0]
    assert len(found) == int(np.ceil(SAMPLES * rate / RATE - 0.5))
    np.testing.assert_allclose(found[4:-4], expected(rate / 8, rate, len(found))[4:-4], rtol=0, atol=0.02)


@pytest.mark.parametrize("rate", [4000, 3000, 441])
def test_a_lower_rate_has_nothing_of_what_it_cannot_hold(rate: int) -> None:
    """Without the filter these tones would come back as others, as loud as they are."""
    for hertz in (0.8 * rate, rate, 1.3 * rate):
        found = rendered(tone("siren", hertz), View(rate=rate))[4:-4]
        assert float(np.sqrt(np.mean(np.square(found)))) < 0.05 * np.sqrt(0.5), hertz


@pytest.mark.parametrize("rate", [None, 8000, 44100, 11025, 5000, 441])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_part_has_the_bits_of_the_whole(rate: int | None, threads: int) -> None:
    renderer = tone("gabor", 700, threads=threads)
    whole = rendered(renderer, View(rate=rate))
    edges = [0.0, 0.1, 0.2503, 0.2811, 9.0]
    parts = [rendered(renderer, View(rate=rate, time=part)) for part in itertools.pairwise(edges)]
    assert np.array_equal(np.concatenate(parts), whole)
    assert renderer.span(View(rate=8000, time=(0.1, 0.2503))) == (800, 2002)


@pytest.mark.parametrize(
    ("view", "said"),
    [
        (View(time=(0.7, 0.8)), "which has 0.625 s"),
        (View(time=(0.1, 0.10001)), "which has 0.625 s"),
        (View(rate=10, time=(0.01, 0.02)), "holds a sample at 10 Hz"),
    ],
)
def test_a_view_without_a_sample_is_refused(view: View, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        tone("siren", 100).blocks(view)


@pytest.mark.parametrize("rate", [1, 100, 2**22])
def test_one_sample_has_one_at_the_lowest_rate(rate: int) -> None:
    assert len(rendered(tone("fourier", 100, samples=1), View(rate=rate))) == max(1, -(-(2 * rate - RATE) // (2 * RATE)))


@lru_cache
def fitted() -> tuple[bytes, Signal]:
    t = np.arange(2000) / RATE
    values = 0.5 * np.stack([np.sin(2 * np.pi * 200 * t), np.cos(2 * np.pi * 310 * t)], 1)
    wave = Signal(values=values.astype(np.float32), kind=Kind.AUDIO, bit_depth=24, rate=RATE)
    return encode(wave, EncodeSettings(field="fourier", steps=250, width=24, input_scale=300, lam=1e-5, threads=1, device="cpu")), wave


@pytest.mark.parametrize("rate", [16000, 11025, 4000])
def test_a_fitted_waveform_is_near_its_source_between_the_samples(rate: int) -> None:
    data, wave = fitted()
    own = decode(data, threads=1)
    found = decode(data, View(rate=rate), threads=1)
    assert (found.rate, found.bit_depth, found.kind) == (rate, 24, Kind.AUDIO)
    t = (np.arange(len(found.values)) + 0.5) / rate - 0.5 / RATE
    wanted = 0.5 * np.stack([np.sin(2 * np.pi * 200 * t), np.cos(2 * np.pi * 310 * t)], 1)
    error = np.sqrt(np.mean((own.values - wave.values) ** 2))
    assert error < 0.02
    assert np.sqrt(np.mean((found.values - wanted)[8:-8] ** 2)) < 1.5 * error + 0.005


def test_a_view_says_rate_part_and_depth_together() -> None:
    data, _ = fitted()
    found = decode(data, View(rate=16000, time=(0.05, 0.15), bit_depth=16), threads=1)
    assert (found.values.shape, found.rate, found.bit_depth, found.floating) == ((1600, 2), 16000, 16, False)
    assert np.array_equal(found.values, decode(data, View(rate=16000), threads=1).values[800:2400])


def test_a_picture_has_no_rate() -> None:
    data = encode(np.zeros((8, 8), np.uint8), EncodeSettings(steps=1, threads=1))
    with pytest.raises(UsageError, match="this is a picture"):
        decode(data, View(rate=8000))


def test_sound_has_no_scale() -> None:
    with pytest.raises(UsageError, match="this is sound"):
        decode(fitted()[0], View(scale=2))


def test_sound_in_segments_refuses_a_part_without_a_sample() -> None:
    data = encode(sound(chord(0.2)), EncodeSettings(steps=1, threads=1))
    with pytest.raises(UsageError, match="holds a sample at 100 Hz"):
        decode(data, View(rate=100, time=(0.011, 0.012)))
