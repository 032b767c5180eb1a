"""The lapped transform: orthogonal, exact, the same in parts, and right between its samples."""

import numpy as np
import numpy.typing as npt
import pytest

from i2compress.media.sound.mdct import POWER, SINE, Evaluation, Framing, Synthesis, analyse, synthesise
from i2compress.media.sound.mdct.rate import chirp
from i2compress.media.sound.mdct.transform import dct4

HOP = 256
FRAMES = 19
PARTS = ((0, 7), (7, 8), (8, FRAMES))


@pytest.fixture(params=[SINE, POWER])
def layout(request: pytest.FixtureRequest) -> Framing:
    splits = np.random.default_rng(1).integers(0, 3, FRAMES)
    splits[:4] = 0
    return Framing(HOP, splits, request.param)


@pytest.fixture
def x() -> npt.NDArray[np.float64]:
    return np.random.default_rng(2).normal(size=(2, FRAMES * HOP))


@pytest.mark.parametrize("size", [2, 16, 64, 4096])
def test_dct4_is_its_definition(size: int) -> None:
    k = np.arange(size)
    matrix = np.sqrt(2 / size) * np.cos(np.pi / size * (k[:, None] + 0.5) * (k + 0.5))
    values = np.random.default_rng(0).normal(size=(3, size))
    assert np.abs(dct4(values) - values @ matrix).max() < 1e-10


def test_the_transform_is_orthonormal_and_comes_back_to_float_precision(layout: Framing, x: npt.NDArray[np.float64]) -> None:
    coefficients = analyse(x, layout)
    assert np.isclose(np.square(coefficients).sum(), np.square(x).sum(), rtol=1e-13)
    assert np.abs(synthesise(coefficients, layout) - x).max() < 1e-13


def test_equal_blocks_are_the_mdct_of_princen_and_bradley() -> None:
    layout = Framing(64, [0, 0, 0, 0])
    x = np.random.default_rng(3).normal(size=256)
    n, k = np.arange(128), np.arange(64)
    window = np.sin(np.pi / 128 * (n + 0.5))
    basis = np.cos(np.pi / 64 * (n[:, None] + 0.5 - 32) * (k + 0.5)) * np.sqrt(2 / 64)
    wanted = (window * x[32:160]) @ basis  # the block of frame 1 reaches from half a frame before it to half a frame after
    assert np.allclose(analyse(x[None], layout)[0, 1], wanted, atol=1e-12)


def test_parts_analysed_apart_are_the_whole(layout: Framing, x: npt.NDArray[np.float64]) -> None:
    half = HOP // 2
    parts = [analyse(x[:, max(0, a * HOP - half) : b * HOP + half], layout, a, b) for a, b in PARTS]
    assert np.array_equal(np.concatenate(parts, 1), analyse(x, layout))


def test_parts_synthesised_one_after_the_other_are_the_whole(layout: Framing, x: npt.NDArray[np.float64]) -> None:
    coefficients, synthesis = analyse(x, layout), Synthesis(layout)
    found = np.concatenate([synthesis.push(coefficients[:, a:b]) for a, b in PARTS], 1)
    assert np.array_equal(found, synthesise(coefficients, layout))


def test_synthesis_from_a_later_frame_on_is_exact_after_half_a_frame(layout: Framing, x: npt.NDArray[np.float64]) -> None:
    found = Synthesis(layout, 6).push(analyse(x, layout)[:, 6:])
    assert np.abs(found - x[:, 6 * HOP :])[:, HOP // 2 :].max() < 1e-13


def test_evaluation_at_the_source_rate_is_the_synthesis(layout: Framing, x: npt.NDArray[np.float64]) -> None:
    coefficients, evaluation = analyse(x, layout), Evaluation(layout, 1.0, 2)
    found = np.concatenate([evaluation.push(coefficients[:, a:b]) for a, b in PARTS], 1)
    assert found.shape == x.shape
    assert np.abs(found - x).max() < 1e-10


@pytest.mark.parametrize("frequency", [0.0123, 0.11, 0.31])
@pytest.mark.parametrize("step", [0.5, 44100 / 48000, 1 / np.sqrt(3), 1.7, 3.0])
def test_a_sine_at_another_rate_is_its_analytic_value_and_vanishes_above_the_new_nyquist(frequency: float, step: float) -> None:
    layout = Framing(512, np.zeros(21, np.int64), POWER)
    sine = np.sin(2 * np.pi * frequency * np.arange(21 * 512))[None]
    found = Evaluation(layout, step, 1).push(analyse(sine, layout))[0]
    wanted = np.sin(2 * np.pi * frequency * np.arange(len(found)) * step) * (frequency < 0.5 / step)
    inside = slice(int(600 / step), int(-600 / step))  # a sine that begins and ends is no sine at its ends
    assert np.abs(found - wanted)[inside].max() < 1e-3


def test_chirp_is_the_sum_it_stands_for() -> None:
    random = np.random.default_rng(4)
    blocks, origin, step = random.normal(size=(2, 3, 40)), random.uniform(-30, 30, 3), 0.77
    u = origin[:, None] + step * np.arange(90)
    basis = np.cos(np.pi / 64 * u[..., None] * (np.arange(40) + 0.5)) * np.sqrt(2 / 64)
    assert np.abs(chirp(blocks, origin, step, 90, 64) - np.einsum("cbk,bjk->cbj", blocks, basis)).max() < 1e-10
