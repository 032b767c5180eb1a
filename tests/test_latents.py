"""A pyramid survives the round trip in any split into streams, and damaged streams never do harm."""

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from i2compress.coding import context
from i2compress.coding.context import ContextWeights
from i2compress.coding.context_model import ContextSpec
from i2compress.coding.laplace import LaplaceDecoder
from i2compress.coding.latents import decode_latents, encode_latents, latent_bits, predictions
from i2compress.coding.wavefront import causal_offsets
from i2compress.errors import LimitError, MalformedError


def pyramid_shapes(size: tuple[int, ...], levels: Iterable[int]) -> list[tuple[int, ...]]:
    """Shapes of the grids of a pyramid whose levels are given."""
    return [tuple(-(-side >> level) for side in size) for level in levels]


def random_weights(levels: int, neighbours: int, *, seed: int = 0, hidden: int = 4) -> ContextWeights:
    rng = np.random.default_rng(seed)
    spec = ContextSpec(grids=levels, maps=min(3, levels - 1), hidden=hidden, neighbours=neighbours)
    integers = {name: rng.integers(-80, 81, tensor.shape) for name, tensor in spec.tensors.items()}
    return ContextWeights(spec=spec, integers=integers, bits=dict.fromkeys(spec.tensors, 8) | {"b3": 5})


def random_grids(size: tuple[int, ...], levels: int, *, seed: int = 0, spread: float = 2.0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [np.clip(np.round(rng.laplace(0, spread, shape)), -1023, 1023).astype(np.int32) for shape in pyramid_shapes(size, range(levels))]


def same(left: list[np.ndarray], right: list[np.ndarray]) -> bool:
    return all(a.dtype == b.dtype and a.shape == b.shape and (a == b).all() for a, b in zip(left, right, strict=True))


sizes = st.one_of(st.tuples(*[st.integers(1, 20)] * 2), st.tuples(*[st.integers(1, 8)] * 3))


@settings(deadline=None)
@given(sizes, st.integers(1, 6), st.integers(1, 13), st.integers(1, 12), st.sampled_from([0.3, 5.0, 400.0]), st.integers(0, 99))
@example((2, 3), 1, 9, 1, 0.3, 75)  # 16 bytes of 138 bits
def test_pyramids_survive_the_round_trip(size: tuple[int, ...], levels: int, neighbours: int, tile: int, spread: float, seed: int) -> None:
    saved: list[float] = []  # bits, in three messages that are not all zeros
    for number in range(seed, seed + 10_000, 100):
        weights = random_weights(levels, neighbours, seed=number)
        grids = random_grids(size, levels, seed=number, spread=spread)
        data = encode_latents(grids, weights, tile=tile)
        assert same(grids, decode_latents(data, [grid.shape for grid in grids], weights, tile=tile))
        if not any(grid.any() for grid in grids):
            assert data == b""
        else:
            saved.append(latent_bits(grids, weights, tile=tile).sum() - 8 * len(data))
        if len(saved) == 3:
            break
    # The coder ends with the shortest number in its last interval, which by chance is k bits shorter than it is small in one of 2^k messages.
    assert len(saved) == 3
    assert min(saved) > -9 and sorted(saved)[1] < 9


@given(st.integers(0, 5), st.integers(0, 5))
@settings(deadline=None)
def test_streams_of_some_levels_need_only_the_coarser_grids(first: int, last: int) -> None:
    size, levels = (21, 34), range(min(first, last), max(first, last) + 1)
    weights, grids = random_weights(6, 13), random_grids(size, 6)
    data = encode_latents(grids, weights, tile=16, levels=levels)
    found = decode_latents(data, pyramid_shapes(size, range(6)), weights, tile=16, levels=levels, coarser=grids[levels.stop :])
    assert same(grids[levels.start : levels.stop], found)


def test_an_empty_range_of_levels_is_an_empty_stream() -> None:
    weights, grids = random_weights(3, 5), random_grids((9, 9), 3)
    assert encode_latents(grids, weights, tile=8, levels=range(1, 1)) == b""
    assert decode_latents(b"", pyramid_shapes((9, 9), range(3)), weights, tile=8, levels=range(1, 1), coarser=grids[1:]) == []


def test_levels_of_zeros_take_no_bytes_and_other_levels_always_some() -> None:
    weights, grids = random_weights(4, 5), random_grids((9, 9), 4)
    shapes = [grid.shape for grid in grids]
    grids[:2] = [grid * 0 for grid in grids[:2]]
    assert [encode_latents(grids, weights, tile=8, levels=range(level, level + 1)) for level in range(2)] == [b"", b""]
    assert same(grids[:2], decode_latents(b"", shapes, weights, tile=8, levels=range(2), coarser=grids[2:]))
    coarse = encode_latents(grids, weights, tile=8, levels=range(1, 4))
    assert same(grids[1:], decode_latents(coarse, shapes, weights, tile=8, levels=range(1, 4)))


def test_no_latent_is_coded_in_a_stream_of_no_bytes() -> None:
    means, scales = np.meshgrid([-32736, -17, 0, 5000, 32736], range(104))
    for mean, scale in zip(means.ravel(), scales.ravel(), strict=True):  # as far as a context model's go
        assert LaplaceDecoder(b"").decode(np.array([mean]), np.array([scale])) < -1023


@pytest.mark.parametrize("size", [(11, 14), (5, 6, 7)])
def test_predictions_are_the_network_at_each_place(size: tuple[int, ...]) -> None:
    weights, grids = random_weights(4, 7), random_grids(size, 4)
    for level, grid in enumerate(grids):
        means, scales = predictions(grids, level, weights, tile=100)
        feats = context.features(weights, level, grids[level + 1 :], grid.shape)
        for place in np.ndindex(*grid.shape):
            sites = [tuple(p + o for p, o in zip(place, offset, strict=True)) for offset in causal_offsets(len(size), 7)]
            known = [grid[s] if all(0 <= c < n for c, n in zip(s, grid.shape, strict=True)) else 0 for s in sites]
            mean, scale = context.predict(weights, np.array([known]), feats[place][None])
            assert (means[place], scales[place]) == (mean[0], scale[0])


def test_a_tile_is_predicted_as_if_it_were_alone() -> None:
    weights, grids = random_weights(1, 13), random_grids((19, 23), 1)
    means, scales = predictions(grids, 0, weights, tile=8)
    for top in range(0, 19, 8):
        for left in range(0, 23, 8):
            part = np.s_[top : top + 8, left : left + 8]
            alone = predictions([grids[0][part]], 0, weights, tile=100)
            assert (means[part] == alone[0]).all()
            assert (scales[part] == alone[1]).all()


GOLDEN = "1a4597cdd4de70f3f881f21847aa55"


def test_golden_bytes_of_a_small_pyramid() -> None:
    grids = [np.arange(-7, 8, dtype=np.int32).reshape(3, 5), np.array([[4, -2, 0], [9, 1, -30]], np.int32), np.array([[-5, 6]], np.int32)]
    spec = ContextSpec(grids=3, maps=2, hidden=3, neighbours=4)
    integers = {name: np.arange(int(np.prod(t.shape))).reshape(t.shape) * 37 % 101 - 50 for name, t in spec.tensors.items()}
    bits = {"m0": 9, "m1": 8, "w1": 9, "b1": 7, "w2": 8, "b2": 7, "w3": 9, "b3": 5, "ws": 9}
    weights = ContextWeights(spec=spec, integers=integers | {"b3": np.array([10, 180])}, bits=bits)
    assert [np.unique(predictions(grids, level, weights, tile=2)[1]).size for level in range(3)] == [9, 4, 2]  # nothing sits at a clip
    assert encode_latents(grids, weights, tile=2).hex() == GOLDEN
    assert same(grids, decode_latents(bytes.fromhex(GOLDEN), [(3, 5), (2, 3), (1, 2)], weights, tile=2))


@settings(deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_decode_to_grids_in_range_or_a_format_error(data: bytes, solid: bool) -> None:
    size = (5, 6, 4) if solid else (13, 18)
    try:
        grids = decode_latents(data, pyramid_shapes(size, range(4)), random_weights(4, 9), tile=8)
    except MalformedError:
        return
    assert [grid.shape for grid in grids] == pyramid_shapes(size, range(4))
    assert max(np.abs(grid).max() for grid in grids) <= 1023


def test_what_does_not_fit_is_refused() -> None:
    weights, grids = random_weights(3, 5), random_grids((9, 9), 3)
    with pytest.raises(MalformedError, match="latent grids"):
        encode_latents(grids[:2], weights, tile=8)
    with pytest.raises(MalformedError, match="half"):
        decode_latents(b"", [(9, 9), (4, 4), (3, 3)], weights, tile=8)
    with pytest.raises(MalformedError, match="coarser"):
        decode_latents(b"", pyramid_shapes((9, 9), range(3)), weights, tile=8, levels=range(1))
    with pytest.raises(LimitError, match="1024"):
        encode_latents([grids[0] * 0 + 1024, *grids[1:]], weights, tile=8)
