"""Every neighbour is known before it is needed, whatever the grid and its tiles."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from i2compress.coding.wavefront import OFFSETS_2D, OFFSETS_3D, CodingOrder, causal_offsets, coding_order, wave_slopes
from i2compress.errors import MalformedError

small_grids = st.one_of(st.tuples(*[st.integers(1, 12)] * 2), st.tuples(*[st.integers(1, 6)] * 3))


def gathered(plan: CodingOrder, values: np.ndarray) -> np.ndarray:
    """Neighbours `[N, n]` of every latent, in coding order."""
    buffer = np.zeros(plan.buffer_size, values.dtype)
    buffer[plan.positions] = values.ravel()[plan.cells]
    return buffer[plan.positions[:, None] + plan.offsets]


@given(small_grids, st.integers(1, 8), st.integers(1, 13))
def test_neighbours_are_those_of_the_same_tile_and_zero_elsewhere(shape: tuple[int, ...], tile: int, count: int) -> None:
    plan = coding_order(shape, tile, count)
    values = np.arange(1, np.prod(shape) + 1).reshape(shape)
    found = gathered(plan, values)
    for row, cell in zip(found, plan.cells, strict=True):
        here = np.unravel_index(cell, shape)
        for value, offset in zip(row, causal_offsets(len(shape), count), strict=True):
            there = tuple(int(h) + o for h, o in zip(here, offset, strict=True))
            inside = all(0 <= t < s and t // tile == h // tile for t, s, h in zip(there, shape, here, strict=True))
            assert value == (values[there] if inside else 0)


@given(small_grids, st.integers(1, 8), st.integers(1, 13))
def test_every_latent_is_coded_once_and_after_all_its_neighbours(shape: tuple[int, ...], tile: int, count: int) -> None:
    plan = coding_order(shape, tile, count)
    assert sorted(plan.cells.tolist()) == list(range(int(np.prod(shape))))
    step = np.full(plan.buffer_size, -1)
    for index, (start, stop) in enumerate(itertools.pairwise(plan.starts.tolist())):
        assert start < stop
        step[plan.positions[start:stop]] = index
    used = plan.positions
    assert (step[used[:, None] + plan.offsets] < step[used][:, None]).all()


@pytest.mark.parametrize("offsets", [OFFSETS_2D, OFFSETS_3D])
def test_offsets_are_ordered_by_distance_without_repeats(offsets: tuple[tuple[int, ...], ...]) -> None:
    distances = [sum(o * o for o in offset) for offset in offsets]
    assert distances == sorted(distances)
    assert len(set(offsets)) == len(offsets)


def test_slopes_are_the_smallest() -> None:
    assert wave_slopes(OFFSETS_2D) == (2, 1)
    assert wave_slopes(OFFSETS_3D) == (3, 2, 1)
    assert wave_slopes(OFFSETS_2D[:1]) == (0, 1)
    assert wave_slopes(OFFSETS_2D[:3]) == (1, 1)


def test_steps_are_those_of_one_tile() -> None:
    assert len(coding_order((512, 768), 256).starts) - 1 == 256 + 2 * 255
    assert len(coding_order((512, 768), 10_000).starts) - 1 == 768 + 2 * 511


def test_the_coding_order_of_a_small_grid_never_changes() -> None:
    plan = coding_order((3, 5), 3)
    assert plan.cells.tolist() == [0, 3, 1, 4, 2, 5, 8, 6, 9, 7, 10, 13, 11, 14, 12]
    assert plan.starts.tolist() == [0, 2, 4, 7, 9, 12, 14, 15]


def test_coding_orders_are_read_only_and_kept() -> None:
    plan = coding_order((4, 4), 4)
    assert coding_order((4, 4), 4) is plan
    with pytest.raises(ValueError, match="read-only"):
        plan.positions[0] = 0


@pytest.mark.parametrize(
    ("shape", "tile", "count"), [((4,), 4, None), ((1, 1, 1, 1), 4, None), ((0, 4), 4, None), ((4, 4), 0, None), ((4, 4), 4, 14)]
)
def test_what_the_format_does_not_hold_is_refused(shape: tuple[int, ...], tile: int, count: int | None) -> None:
    with pytest.raises(MalformedError):
        coding_order(shape, tile, count)
