"""Crops, bands and threads: any part of a picture is the same part of the whole, and takes bounded memory."""

import tracemalloc
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from render_reference import features, random_field, solve

from i2compress.config import View
from i2compress.errors import UsageError
from i2compress.field.spec import PyramidSpec
from i2compress.media.rectangle import spans
from i2compress.render import Convergence, Renderer

HEIGHT, WIDTH = 150, 280
SPEC = PyramidSpec(grid=(HEIGHT, WIDTH), channels=3, width=4, levels=5, iterations=6)


@cache
def whole(scale: float, threads: int = 1) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return renderer(threads).render(spans(SPEC.grid, View(scale=scale)))


@cache
def renderer(threads: int = 1) -> Renderer:
    return Renderer(SPEC, *random_field(SPEC), threads=threads)


@given(scale=st.integers(1, 3), x=st.integers(0, WIDTH - 1), y=st.integers(0, HEIGHT - 1), data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_crop_is_the_same_part_of_the_whole_bit_for_bit(scale: int, x: int, y: int, data: st.DataObject) -> None:
    w, h = data.draw(st.integers(1, WIDTH - x)), data.draw(st.integers(1, HEIGHT - y))
    got = renderer().render(spans(SPEC.grid, View(scale=scale, crop=(x, y, w, h))))
    assert np.array_equal(got, whole(scale)[y * scale : (y + h) * scale, x * scale : (x + w) * scale])


@pytest.mark.parametrize("x, y, w, h", [(0, 0, 280, 70), (100, 40, 120, 110), (278, 148, 2, 2)])
def test_a_crop_on_the_same_lattice_is_exact_at_half_scale_too(x: int, y: int, w: int, h: int) -> None:
    got = renderer().render(spans(SPEC.grid, View(scale=0.5, crop=(x, y, w, h))))
    assert np.array_equal(got, whole(0.5)[y // 2 : (y + h) // 2, x // 2 : (x + w) // 2])


@pytest.mark.parametrize("scale", [0.3, 1, 1.7, 2])
def test_bands_are_the_whole_in_order(scale: float) -> None:
    bands = list(renderer().bands(spans(SPEC.grid, View(scale=scale))))
    assert len(bands) > 1
    assert np.array_equal(np.concatenate(bands), whole(scale))


@pytest.mark.parametrize("scale", [0.3, 1, 2])
def test_threads_do_not_change_a_bit(scale: float) -> None:
    assert np.array_equal(whole(scale, 2), whole(scale))


def test_bands_can_be_left_half_way() -> None:
    bands = renderer(2).bands(spans(SPEC.grid, View(scale=2)))
    assert np.array_equal(next(bands), whole(2)[:128])
    del bands


@pytest.mark.parametrize("scale", [1.0, 0.37, 1.5])
def test_memory_does_not_grow_with_the_height(scale: float) -> None:
    def peak(height: int) -> int:
        spec = PyramidSpec(grid=(height, 64), channels=1, width=4, levels=3, iterations=4)
        tall = Renderer(spec, *random_field(spec))
        tracemalloc.start()
        for _ in tall.bands(spans(spec.grid, View(scale=scale))):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(256)
    assert peak(1536) < 1.1 * peak(256)


@pytest.mark.parametrize(
    "view, shape",
    [
        (View(), (150, 280)),
        (View(scale=2), (300, 560)),
        (View(scale=0.001), (1, 1)),
        (View(scale=0.5, crop=(1, 2, 5, 7)), (4, 3)),
        (View(size=(31, 7)), (7, 31)),
        (View(max_size=140), (75, 140)),
        (View(max_size=1000), (150, 280)),
        (View(max_size=3, crop=(0, 0, 200, 1)), (1, 3)),
        (View(crop=(279, 149, 1, 1)), (1, 1)),
    ],
)
def test_the_shape_of_a_view(view: View, shape: tuple[int, int]) -> None:
    assert renderer().render(spans(SPEC.grid, view)).shape == (*shape, 3)


@pytest.mark.parametrize("crop", [(280, 0, 1, 1), (0, 150, 1, 1), (0, 0, 281, 1), (100, 100, 10, 51)])
def test_a_crop_outside_is_refused(crop: tuple[int, int, int, int]) -> None:
    with pytest.raises(UsageError, match="inside the picture, which is 280x150"):
        spans(SPEC.grid, View(crop=crop))


@pytest.mark.parametrize("view", [View(scale=1e300), View(size=(2**20 + 1, 1))])
def test_an_absurd_output_is_refused(view: View) -> None:
    with pytest.raises(UsageError, match="at most 1048576"):
        spans(SPEC.grid, view)


@pytest.mark.parametrize("tolerance", [0.03, 1 / 1020, 1e-4])
def test_the_smallest_number_of_iterations_is_found(tolerance: float) -> None:
    spec = PyramidSpec(grid=(70, 90), channels=2, width=5, levels=3)
    weights, latents = random_field(spec, rho=0.9)
    h = features(spec, weights, latents)
    limit = solve(spec, weights, h, 150)
    errors = [float(np.abs(solve(spec, weights, h, n) - limit).max()) for n in range(1, 40)]
    best = next(n for n, error in enumerate(errors, 1) if error <= tolerance)
    solution = Renderer(spec, weights, latents).iterations_for(tolerance)
    assert solution.iterations == best and solution.converged
    assert solution.residual == pytest.approx(errors[best - 1], rel=0.1)


def test_a_limit_that_was_not_reached_is_reported() -> None:
    spec = PyramidSpec(grid=(20, 20), channels=2, width=5, levels=3)
    solution = Renderer(spec, *random_field(spec, rho=0.9)).iterations_for(1e-4, limit=4)
    assert not solution.converged and solution.iterations <= 4
    with pytest.raises(UsageError, match="tolerance is 0"):
        Renderer(spec, *random_field(spec)).iterations_for(0)


def test_the_explicit_twin_needs_one_iteration() -> None:
    spec = PyramidSpec(grid=(20, 20), channels=2, width=5, levels=3, explicit=True)
    assert Renderer(spec, *random_field(spec)).iterations_for(1e-9) == Convergence(iterations=1, residual=0.0, converged=True)
