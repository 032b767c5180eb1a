"""The table is constriction's, no rounding hangs on the last digits of exp(), and the coder is exact."""

import itertools

import constriction
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2compress.coding import laplace
from i2compress.coding.laplace import FREE_WEIGHT, LIMIT, RADIUS, SCALE_COUNT, SCALES, LaplaceDecoder, LaplaceEncoder
from i2compress.errors import FormatError, LimitError

MODEL = constriction.stream.model.QuantizedLaplace(-RADIUS, RADIUS)
EVERY_RESIDUAL = np.arange(-RADIUS, RADIUS + 1)


def reference_words(left: list[int]) -> list[int]:
    """Words and final state of a range coder in plain integers that codes every residual once; `left` has one more entry."""
    code, width, shifts = 0, 2**64 - 1, 0
    for low, high in itertools.pairwise(left):
        step = width >> 24
        code += step * low
        width = step * (high - low)
        if width < 2**32:
            code, width, shifts = code << 32, width << 32, shifts + 1
    return [shifts, code % 2**64, width, code >> 64 & 0xFFFFFFFF]


def check_entry(fraction: int, index: int) -> None:
    means, scales = np.full(EVERY_RESIDUAL.size, fraction / 32), np.full(EVERY_RESIDUAL.size, SCALES[index])
    encoder = constriction.stream.queue.RangeEncoder()
    encoder.encode(EVERY_RESIDUAL.astype(np.int32), MODEL, means, scales)
    left = laplace.left_cumulative(np.arange(-RADIUS, RADIUS + 2), fraction, index).tolist()
    shifts, low, width, _ = reference_words(left)
    assert (shifts, (low, width)) == encoder.pos()
    decoder = constriction.stream.queue.RangeDecoder(encoder.get_compressed())
    assert (decoder.decode(MODEL, means, scales) == EVERY_RESIDUAL).all()


def probe(quantile: int, fraction: int, index: int) -> int:
    """The residual whose interval holds `quantile`, asked of constriction."""
    decoder = constriction.stream.queue.RangeDecoder(np.array([quantile << 8], np.uint32))
    return int(decoder.decode(MODEL, np.array([fraction / 32]), np.array([SCALES[index]]))[0])


def test_the_scales_are_geometric_to_a_thousandth_and_exact() -> None:
    assert len(SCALES) == SCALE_COUNT
    exact = 2.0 ** (np.arange(SCALE_COUNT) / laplace.SCALES_PER_OCTAVE + laplace.SCALE_LOW_LOG2)
    assert np.abs(SCALES / exact - 1).max() < 6e-4
    assert (np.round(SCALES * 2**15) == SCALES * 2**15).all()


def test_both_sides_of_a_boundary_decode_as_the_table_says() -> None:
    rng = np.random.default_rng(0)
    for index in range(SCALE_COUNT):
        for fraction in rng.integers(-16, 16, 4).tolist():
            spread = rng.laplace(fraction / 32, SCALES[index], 4)
            far = rng.integers(-RADIUS + 1, RADIUS + 1, 2)
            for residual in [*np.clip(np.round(spread), -RADIUS + 1, RADIUS).astype(int).tolist(), *far.tolist(), -RADIUS + 1, RADIUS]:
                quantile = int(laplace.left_cumulative(residual, fraction, index))
                assert residual == probe(quantile, fraction, index)
                assert residual - 1 == probe(quantile - 1, fraction, index)


def test_a_sample_of_the_table_is_constrictions_for_every_residual() -> None:
    for index in range(0, SCALE_COUNT, 7):
        for fraction in (-16, (index * 5) % 32 - 16, 15):
            check_entry(fraction, index)


@pytest.mark.slow
def test_the_whole_table_is_constrictions_for_every_residual() -> None:
    for index in range(SCALE_COUNT):
        for fraction in range(-16, 16):
            check_entry(fraction, index)


def test_an_error_of_64_ulp_in_exp_moves_no_cumulative() -> None:
    boundaries = np.arange(-RADIUS + 1, RADIUS + 1)
    above = boundaries - 0.5 - np.arange(-16, 16)[:, None] / 32
    for index in range(SCALE_COUNT):
        exact = np.exp(-np.abs(above) / SCALES[index])
        wrong = np.where(above == 0, 0, 64 * np.spacing(exact))  # exp(0) is exact everywhere
        floors = [
            np.floor(FREE_WEIGHT * np.where(above <= 0, 0.5 * tail, 1.0 - 0.5 * tail))
            for tail in (np.maximum(exact - wrong, 0), exact, exact + wrong)  # and exp is nowhere negative
        ]
        assert (floors[0] == floors[1]).all()
        assert (floors[2] == floors[1]).all()


def test_probabilities_are_positive_and_sum_to_one() -> None:
    for index in range(SCALE_COUNT):
        left = laplace.left_cumulative(np.arange(-RADIUS, RADIUS + 2), np.arange(-16, 16)[:, None], index)
        assert (np.diff(left) > 0).all()
        assert (left[:, 0] == 0).all()
        assert (left[:, -1] == 2**24).all()


def test_the_nearest_scale_costs_less_than_half_a_per_cent() -> None:
    residuals = np.arange(-RADIUS, RADIUS)
    for b in 2.0 ** np.linspace(-3.3, 7, 40):
        edges = np.arange(-RADIUS, RADIUS + 1) - 0.5
        cdf = np.where(edges < 0, 0.5 * np.exp(np.minimum(edges, 0) / b), 1 - 0.5 * np.exp(-np.maximum(edges, 0) / b))
        truth = np.diff(cdf)
        index = int(np.floor(8 * (np.log2(b) + 5) + 0.5))
        entropy = -(truth[truth > 0] * np.log2(truth[truth > 0])).sum()
        assert (truth * laplace.code_length(residuals, 0, index)).sum() < entropy * 1.005 + 6e-4  # 6e-4: every symbol's floor of 2**-24


symbol_lists = st.lists(st.tuples(st.integers(-LIMIT, LIMIT), st.integers(-LIMIT * 32, LIMIT * 32), st.integers(0, SCALE_COUNT - 1)), max_size=60)


@given(symbol_lists)
def test_what_is_encoded_is_decoded_and_bytes_follow_code_length(triples: list[tuple[int, int, int]]) -> None:
    symbols, means, indices = np.array(triples, np.int64).reshape(-1, 3).T
    encoder = LaplaceEncoder()
    encoder.encode(symbols, means, indices)
    data = encoder.to_bytes()
    assert (LaplaceDecoder(data).decode(means, indices) == symbols).all()
    assert len(data) <= laplace.code_length(symbols, means, indices).sum() / 8 + 1.01


def test_long_streams_cost_their_code_length_and_a_byte() -> None:
    rng = np.random.default_rng(1)
    for seed in range(30):
        means, indices = rng.integers(-320, 320, 3000 + seed), rng.integers(0, 70, 3000 + seed)
        symbols = np.round(rng.laplace(means / 32, SCALES[indices])).astype(np.int64)
        encoder = LaplaceEncoder()
        for part in np.array_split(np.arange(symbols.size), 7):
            encoder.encode(symbols[part], means[part], indices[part])
        data = encoder.to_bytes()
        assert data == encoder.to_bytes()
        assert (LaplaceDecoder(data).decode(means, indices) == symbols).all()
        assert abs(8 * len(data) - laplace.code_length(symbols, means, indices).sum()) < 9


GOLDEN = "bb5df99676c57d99"


def test_golden_bytes_of_ten_symbols() -> None:
    encoder = LaplaceEncoder()
    encoder.encode([0, 1, -1, 5, -7, 0, 0, 300, -1023, 1023], [0, 16, -16, 100, -250, 3, -3, 9000, 0, 0], [0, 20, 30, 40, 50, 60, 70, 80, 90, 103])
    assert encoder.to_bytes().hex() == GOLDEN
    assert LaplaceEncoder().to_bytes() == b""


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(-LIMIT * 32, LIMIT * 32), st.integers(0, SCALE_COUNT - 1))
def test_any_bytes_decode_to_symbols_or_a_format_error(data: bytes, mean: int, index: int) -> None:
    try:
        symbols = LaplaceDecoder(data).decode(np.full(500, mean), np.full(500, index))
    except FormatError:
        return
    assert np.abs(symbols).max() <= LIMIT + RADIUS + 1


@pytest.mark.parametrize("triple", [(LIMIT + 1, 0, 0), (0, LIMIT * 32 + 1, 0), (0, 0, SCALE_COUNT), (0, 0, -1)])
def test_values_that_the_format_cannot_hold_are_refused(triple: tuple[int, int, int]) -> None:
    with pytest.raises(LimitError):
        LaplaceEncoder().encode(*([v] for v in triple))
