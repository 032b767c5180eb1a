"""Weight groups survive the round trip, at the price that weight_bits names."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2compress.coding import laplace
from i2compress.coding.weights import WeightGroup, decode_weights, encode_weights, weight_bits
from i2compress.errors import FormatError, LimitError

group_lists = st.lists(
    st.tuples(st.integers(0, 15), st.lists(st.integers(-1023, 1023) | st.integers(-3, 3), max_size=20)).map(
        lambda pair: WeightGroup(symbols=np.array(pair[1], np.int64), exponent=pair[0])
    ),
    max_size=8,
)


def same(left: list[WeightGroup], right: list[WeightGroup]) -> bool:
    pairs = zip(left, right, strict=True)
    return all(a.exponent == b.exponent and a.symbols.shape == b.symbols.shape and (a.symbols == b.symbols).all() for a, b in pairs)


@given(group_lists)
def test_groups_survive_the_round_trip(groups: list[WeightGroup]) -> None:
    assert same(groups, decode_weights(encode_weights(groups), [group.symbols.shape for group in groups]))


def test_shapes_are_kept() -> None:
    group = WeightGroup(symbols=np.arange(24).reshape(2, 3, 4), exponent=3)
    assert same([group], decode_weights(encode_weights([group]), [(2, 3, 4)]))


def test_the_best_scale_is_the_cheapest_and_the_stream_costs_what_is_said() -> None:
    rng = np.random.default_rng(0)
    groups, total = [], 0.0
    for spread in (0.02, 0.4, 3.0, 40.0):
        symbols = np.round(rng.laplace(0, spread, (20, 10))).astype(np.int64)
        bits, scale = weight_bits(symbols)
        costs = [laplace.code_length(symbols, 0, index).sum() for index in range(0, laplace.SCALE_COUNT, 2)]
        assert bits == pytest.approx(min(costs))
        assert costs[scale // 2] == min(costs)
        groups.append(WeightGroup(symbols=symbols, exponent=8))
        total += bits
    assert 0 < 8 * len(encode_weights(groups)) - total < 4 * 12


GOLDEN = "3af541d581fe3334df17"


def test_golden_bytes_of_two_groups() -> None:
    groups = [WeightGroup(symbols=np.array([[3, -1], [0, 12]]), exponent=6), WeightGroup(symbols=np.array([-200, 1023, 0]), exponent=11)]
    assert encode_weights(groups).hex() == GOLDEN


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_any_bytes_decode_to_groups_in_range_or_a_format_error(data: bytes) -> None:
    try:
        groups = decode_weights(data, [(3, 5), (40,), (), (7, 1)])
    except FormatError:
        return
    assert [group.symbols.shape for group in groups] == [(3, 5), (40,), (), (7, 1)]


def test_what_the_format_cannot_hold_is_refused() -> None:
    with pytest.raises(LimitError, match="coarser step"):
        WeightGroup(symbols=np.array([1024]), exponent=8)
    with pytest.raises(LimitError, match="coarser step"):
        weight_bits(np.array([-1024]))
    with pytest.raises(LimitError, match="exponent"):
        WeightGroup(symbols=np.array([0]), exponent=16)
