"""The renderer gives the values of the field's definition."""

from dataclasses import replace

import numpy as np
import pytest
from render_reference import features, keys, random_field, render, solve, solve_scaled

from i2compress.config import View
from i2compress.errors import MalformedError, UsageError
from i2compress.field.spec import PyramidSpec
from i2compress.media.rectangle import spans
from i2compress.render import Renderer
from i2compress.render.pyramid import Pyramid
from i2compress.render.resample import keys_taps

SIZES = [(1, 1), (1, 9), (13, 1), (2, 3), (7, 11), (17, 31), (33, 5), (70, 19)]


def small(grid: tuple[int, ...], *, levels: int = 4, explicit: bool = False, iterations: int = 5, channels: int = 3, width: int = 6) -> PyramidSpec:
    return PyramidSpec(grid=grid, channels=channels, levels=levels, explicit=explicit, iterations=iterations, width=width)


@pytest.mark.parametrize("grid", SIZES)
@pytest.mark.parametrize("levels", [1, 3, 7])
@pytest.mark.parametrize(("planes", "split"), [(1, 0), (3, 1), (4, 5)])
def test_features_are_those_of_the_definition(grid: tuple[int, int], levels: int, planes: int, split: int) -> None:
    spec = replace(small(grid, levels=levels), planes=planes, split=split)
    weights, latents = random_field(spec)
    up = weights.get("up", np.zeros((0, 4), np.float32))
    pyramid = Pyramid([y[None] for y in latents], up, [(0, *shifts) for shifts in spec.shifts], spec.grid_levels)
    h = pyramid.features(((0, 1), (0, grid[0]), (0, grid[1])))
    np.testing.assert_allclose(h[:, 0], features(spec, weights, latents), rtol=0, atol=2e-5)


@pytest.mark.parametrize("grid", SIZES)
@pytest.mark.parametrize("explicit", [False, True])
def test_values_at_scale_one_are_those_of_the_definition(grid: tuple[int, int], explicit: bool) -> None:
    spec = small(grid, explicit=explicit)
    weights, latents = random_field(spec)
    want = solve(spec, weights, features(spec, weights, latents), spec.iterations)
    np.testing.assert_allclose(Renderer(spec, weights, latents).render(), want, rtol=0, atol=2e-5)


@pytest.mark.parametrize("width, channels, iterations", [(1, 1, 1), (16, 4, 2), (33, 2, 3), (64, 8, 3)])
def test_every_width_and_number_of_iterations_works(width: int, channels: int, iterations: int) -> None:
    spec = small((9, 300), width=width, channels=channels, iterations=iterations)
    weights, latents = random_field(spec)
    want = solve(spec, weights, features(spec, weights, latents), iterations)
    np.testing.assert_allclose(Renderer(spec, weights, latents).render(), want, rtol=0, atol=5e-5)


@pytest.mark.parametrize("explicit", [False, True])
def test_block_borders_leave_no_trace(explicit: bool) -> None:
    spec = small((139, 277), explicit=explicit, width=3, iterations=8)
    weights, latents = random_field(spec)
    want = solve(spec, weights, features(spec, weights, latents), spec.iterations)
    np.testing.assert_allclose(Renderer(spec, weights, latents).render(), want, rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    "view",
    [
        View(scale=2),
        View(scale=3, crop=(2, 1, 9, 4)),
        View(size=(19, 68)),
        View(size=(57, 17)),
        View(scale=1.5),
        View(scale=0.5),
        View(scale=0.01),
        View(scale=2.3, crop=(3, 2, 7, 11)),
        View(max_size=9),
        View(size=(5, 50)),
    ],
)
@pytest.mark.parametrize("explicit", [False, True])
def test_every_view_is_that_of_the_definition(view: View, explicit: bool) -> None:
    spec = small((17, 19), explicit=explicit)
    weights, latents = random_field(spec)
    renderer = Renderer(spec, weights, latents)
    shown = spans(spec.grid, view)
    got, shape = renderer.render(shown), tuple(span.out for span in shown)
    assert got.shape == (*shape, 3) and got.dtype == np.float32
    np.testing.assert_allclose(got, render(spec, weights, latents, view, shape), rtol=0, atol=3e-5)


@pytest.mark.parametrize("scale", [2, 1.4, 0.3])
def test_one_sample_is_scaled_to_any_size(scale: float) -> None:
    spec = small((1, 1))
    weights, latents = random_field(spec)
    renderer = Renderer(spec, weights, latents)
    view = View(scale=scale)
    got = renderer.render(spans(spec.grid, view))
    np.testing.assert_allclose(got, render(spec, weights, latents, view, got.shape[:-1]), rtol=0, atol=2e-5)


@pytest.mark.parametrize("explicit", [False, True])
def test_volumes_are_those_of_the_definition(explicit: bool) -> None:
    spec = small((11, 5, 7), levels=3, explicit=explicit, iterations=4)
    weights, latents = random_field(spec)
    renderer = Renderer(spec, weights, latents, threads=2)
    np.testing.assert_allclose(renderer.render(), solve_scaled(spec, weights, latents, (1, 1, 1)), rtol=0, atol=3e-5)
    assert [len(band) for band in renderer.bands()] == [8, 3]


def test_interpolation_is_keys_cubic() -> None:
    for offset in (-0.4375, -1 / 3, -0.25, 0.25, 0.4):
        np.testing.assert_allclose(keys_taps(offset), [keys(m - offset) for m in range(-2, 3)], atol=1e-15)


def _flat(spec: PyramidSpec, latents: list[np.ndarray[tuple[int, ...], np.dtype[np.int32]]]) -> Renderer:
    """A field whose output is its finest latent grid, over 1."""
    weights = {name: np.zeros(shape, np.float32) for name, shape in spec.weight_shapes.items()}
    weights["S"][:, -1] = 1
    return Renderer(spec, weights, latents)


@pytest.mark.parametrize("scale", [0.11, 0.5, 0.7, 1.3, 2.0, 2.6])
def test_a_constant_stays_constant(scale: float) -> None:
    spec = small((40, 52), levels=1, channels=1)
    got = _flat(spec, [np.full(spec.grid, 5, np.int32)]).render(spans(spec.grid, View(scale=scale)))
    np.testing.assert_allclose(got, 5, rtol=1e-6)


@pytest.mark.parametrize("scale", [0.25, 0.5, 0.7, 1.3, 1.5, 2.0, 3.0])
def test_a_ramp_stays_a_ramp_away_from_the_borders(scale: float) -> None:
    spec = small((60, 80), levels=1, channels=1)
    rows, columns = np.indices(spec.grid, np.int32)
    renderer = _flat(spec, [rows + 2 * columns])
    rows_shown, columns_shown = spans(spec.grid, View(scale=scale))
    height, width = rows_shown.out, columns_shown.out
    y = (np.arange(height) + 0.5) * 60 / height - 0.5
    x = (np.arange(width) + 0.5) * 80 / width - 0.5
    inside = np.ix_((y > 14) & (y < 45), (x > 14) & (x < 65))
    np.testing.assert_allclose(renderer.render((rows_shown, columns_shown))[..., 0][inside], (y[:, None] + 2 * x)[inside], rtol=0, atol=0.05)


def test_weights_and_latents_of_another_field_are_refused() -> None:
    spec = small((8, 8))
    weights, latents = random_field(spec)
    with pytest.raises(MalformedError, match="latent grids are"):
        Renderer(spec, weights, latents[:-1])
    with pytest.raises(MalformedError, match="weight A is shape"):
        Renderer(spec, weights | {"A": weights["A"][:-1]}, latents)
    with pytest.raises(MalformedError, match="weight K is missing"):
        Renderer(spec, {name: value for name, value in weights.items() if name != "K"}, latents)
    with pytest.raises(UsageError, match="threads is 0"):
        Renderer(spec, weights, latents, threads=0)
