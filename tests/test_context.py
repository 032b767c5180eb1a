"""The network in float64 is the network in unbounded integers, to the last bit."""

from dataclasses import replace
from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2compress.coding import context
from i2compress.coding.context import ContextWeights, features, predict
from i2compress.coding.context_model import LOGARITHMS, MAGNITUDES, NETWORK, SIGNED, ContextInputs, ContextSpec, places
from i2compress.coding.laplace import SCALE_COUNT
from i2compress.errors import MalformedError
from i2compress.field.spec import PyramidSpec


def random_weights(seed: int, *, levels: int = 4, hidden: int = 5, neighbours: int = 6, largest: int = 300, bits: int = 8) -> ContextWeights:
    rng = np.random.default_rng(seed)
    spec = ContextSpec(grids=levels, maps=min(3, levels - 1), hidden=hidden, neighbours=neighbours)
    integers = {name: rng.integers(-largest, largest + 1, tensor.shape) for name, tensor in spec.tensors.items()}
    fractions = rng.permutation([bits, bits, max(bits - 1, 0), bits, max(bits - 2, 0), bits, bits]).tolist()
    return ContextWeights(spec=spec, integers=integers, bits=dict.fromkeys(spec.tensors, bits) | dict(zip(NETWORK, fractions, strict=True)))


def changed(weights: ContextWeights, **integers: np.ndarray) -> ContextWeights:
    """With some tensors exchanged."""
    return replace(weights, integers={**weights.integers, **integers})


def reals(weights: ContextWeights, name: str) -> np.ndarray:
    tensor, bits = weights.integers[name], weights.bits[name]
    return np.array([Fraction(int(v), 2**bits) for v in tensor.ravel()], object).reshape(tensor.shape)


def rounded(values: np.ndarray) -> np.ndarray:
    """To multiples of 1/256, at most 1024 in magnitude."""
    return np.array([max(-1024, min(1024, Fraction(floor(256 * v + Fraction(1, 2)), 256))) for v in values], object)


def exact_prediction(weights: ContextWeights, neighbours: np.ndarray, feats: np.ndarray) -> tuple[int, int]:
    """One prediction in exact fractions, written from the definition."""
    w1, b1, w2, b2, w3, b3, ws = (reals(weights, name) for name in NETWORK)
    x = np.array([Fraction(max(-127, min(127, int(v)))) for v in neighbours] + [Fraction(int(v), 256) for v in feats], object)
    zero = Fraction(0)
    h1 = rounded(np.maximum(w1 @ x + b1, zero))
    h2 = h1 + rounded(np.maximum(w2 @ h1 + b2, zero))
    h2 = np.minimum(h2, Fraction(1024))
    mean, log2_scale = w3 @ h2 + ws @ x + b3
    fixed = floor(32 * mean + Fraction(1, 2))
    index = floor(8 * (log2_scale - 4 + 5) + Fraction(1, 2))
    return max(-1023 * 32, min(1023 * 32, fixed)), max(0, min(SCALE_COUNT - 1, index))


def check_exact(weights: ContextWeights, rng: np.random.Generator, reach: int, feature_reach: int) -> None:
    neighbours = rng.integers(-reach, reach + 1, (12, weights.spec.neighbours))
    feats = rng.integers(-feature_reach, feature_reach + 1, (12, context.FEATURES))
    means, scales = predict(weights, neighbours, feats)
    expected = [exact_prediction(weights, n, f) for n, f in zip(neighbours, feats, strict=True)]
    assert expected == list(zip(means.tolist(), scales.tolist(), strict=True))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(0, 12), st.sampled_from([1, 30, 3000, 2**15]), st.sampled_from([1, 5, 1000]))
def test_predictions_equal_exact_arithmetic(seed: int, bits: int, largest: int, reach: int) -> None:
    check_exact(random_weights(seed, largest=largest, bits=bits), np.random.default_rng(seed), reach, 2**12)


@pytest.mark.parametrize("bits", [0, 12])
def test_the_largest_weights_and_inputs_are_still_exact(bits: int) -> None:
    spec = ContextSpec(grids=2, maps=1, hidden=64, neighbours=14)
    fractions = {"m0": bits, "w1": bits, "b1": 12 - bits, "w2": bits, "b2": 0, "w3": 12, "b3": 0, "ws": 0}
    rng = np.random.default_rng(0)
    for signs in (True, False):
        integers = {
            name: np.where(rng.random(tensor.shape) < 0.5, 1, -1 if signs else 1) * (2**15 - rng.integers(0, 2, tensor.shape))
            for name, tensor in spec.tensors.items()
        }
        check_exact(ContextWeights(spec=spec, integers=integers, bits=fractions), rng, 1023, context.ACTIVATION_LIMIT)


def test_predictions_are_close_to_the_formula_in_real_numbers() -> None:
    weights = random_weights(3, largest=100, hidden=16, neighbours=13)
    rng = np.random.default_rng(0)
    neighbours, feats = rng.integers(-6, 7, (200, 13)), rng.integers(-512, 512, (200, 4))
    w1, b1, w2, b2, w3, b3, ws = (weights.value(name) for name in NETWORK)
    x = np.hstack([neighbours, feats / 256]).T
    h1 = np.maximum(w1 @ x + b1[:, None], 0)
    h2 = h1 + np.maximum(w2 @ h1 + b2[:, None], 0)
    out = w3 @ h2 + ws @ x + b3[:, None]
    means, scales = predict(weights, neighbours, feats)
    assert np.abs(means / 32 - out[0]).max() < 0.1
    assert np.abs(scales - np.clip(8 * (out[1] + 1), 0, SCALE_COUNT - 1)).max() < 1.5


def test_features_are_the_map_of_the_coarser_grids_at_the_same_place() -> None:
    weights = random_weights(1, levels=4)
    rng = np.random.default_rng(1)
    shapes = [(13, 9), (7, 5), (4, 3), (2, 2)]
    grids = [rng.integers(-200, 201, shape) for shape in shapes]
    for level in range(3):
        found = features(weights, level, grids[level + 1 :], shapes[level])
        assert found.shape == (*shapes[level], 4)
        matrix = reals(weights, f"m{level}")
        for y, x in np.ndindex(*shapes[level]):
            column = [int(np.clip(grids[j][y >> (j - level), x >> (j - level)], -127, 127)) for j in range(level + 1, 4)]
            assert found[y, x].tolist() == [256 * v for v in rounded(matrix @ np.array(column, object))]


def test_the_coarsest_levels_have_no_features() -> None:
    weights = random_weights(1, levels=6)
    grids = [np.ones((2, 2), np.int32)] * 6
    assert not features(weights, 3, grids[4:], (3, 4)).any()
    assert not features(weights, 5, [], (3, 4)).any()
    assert features(random_weights(1, levels=1), 0, [], (3, 4)).shape == (3, 4, 4)


@pytest.mark.parametrize(("levels", "count"), [(1, 0), (2, 1), (3, 2), (4, 3), (7, 3)])
def test_only_the_three_finest_levels_have_maps(levels: int, count: int) -> None:
    spec = PyramidSpec(grid=(99, 99), channels=1, levels=levels)
    assert list(spec.context.maps_by_name.values()) == list(range(count))
    assert spec.context.grids == levels


@pytest.mark.parametrize("change", ["shape", "weight", "bits", "hidden", "neighbours"])
def test_weights_that_break_a_bound_are_refused(change: str) -> None:
    good = random_weights(0)
    with pytest.raises(MalformedError):
        if change == "shape":
            changed(good, b1=np.zeros(6, np.int64))
        elif change == "weight":
            changed(good, w2=good.integers["w2"] + 2**15 + 301)
        elif change == "bits":
            replace(good, bits={**good.bits, "w3": 13})
        elif change == "hidden":
            replace(good.spec, hidden=65)
        else:
            replace(good.spec, neighbours=15)


def test_another_number_of_coarser_grids_is_refused() -> None:
    with pytest.raises(MalformedError, match="grids after it"):
        features(random_weights(0, levels=4), 0, [np.zeros((2, 2), np.int32)], (4, 4))


def test_no_logarithm_of_a_magnitude_is_near_a_tie() -> None:
    exact = 256 * np.log2(1.0 + np.arange(len(LOGARITHMS)))
    assert np.abs(exact - np.floor(exact) - 0.5).min() > 1e-6
    assert np.array_equal(LOGARITHMS, np.floor(exact + 0.5))


@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 5)])
def test_places_are_those_of_the_format(shape: tuple[int, ...]) -> None:
    found = places(np.arange(int(np.prod(shape))), shape, 1).reshape(3, *shape)
    for cell in np.ndindex(*shape):
        plane = 256 * cell[0] if len(shape) == 3 else 0
        assert found[(slice(None), *cell)].tolist() == [1024 * cell[-1] // shape[-1], floor(256 * np.log2(1 + 2 * cell[-1]) + 0.5), plane]


SIGNS = ContextInputs(number=2, exact=lambda latents: 256.0 * np.sign(latents), relaxed=lambda latents: latents.sign())  # a third entry is no more


@pytest.mark.parametrize("reads", [SIGNED, MAGNITUDES, SIGNS], ids=["signed", "magnitudes", "signs"])
def test_the_decoder_and_the_fit_read_the_same(reads: ContextInputs) -> None:
    import torch

    from i2compress.coding.latents import latent_bits
    from i2compress.coding.weights import WeightGroup
    from i2compress.field.spec import prior
    from i2compress.field.weights import context_weights, dequantise
    from i2compress.fit.rate import ContextModel

    random = np.random.default_rng(0)
    spec = PyramidSpec(grid=(2, 9, 11), channels=1, levels=2, hidden=8, context_inputs=reads)
    groups = {name: WeightGroup(symbols=random.integers(-9, 10, shape), exponent=6) for name, shape in spec.weight_shapes.items()}
    grids = [np.rint(random.laplace(0, 4, shape)).astype(np.int32) for shape in spec.latent_shapes]
    coded = latent_bits(grids, context_weights(spec, groups, prior(0, spec)), tile=spec.tile).sum()
    model = ContextModel(spec, dequantise(groups, prior(0, spec)))
    with torch.no_grad():
        foreseen = float(model([torch.from_numpy(grid.astype(np.float32))[None, None] for grid in grids]))
    assert foreseen == pytest.approx(coded, rel=0.01)
