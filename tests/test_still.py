"""Still grids: latents whose frames last, for what stands still while other things move."""

import sys
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
import torch

from i2compress import EncodeSettings, Signal, codec
from i2compress.arrays import Float32Array
from i2compress.coding.context import features
from i2compress.coding.latents import decode_latents, encode_latents
from i2compress.coding.weights import WeightGroup
from i2compress.container import Container
from i2compress.errors import LimitError, MalformedError
from i2compress.field.lasting import shares
from i2compress.field.spec import PyramidSpec, prior
from i2compress.field.weights import context_weights
from i2compress.fit.silent import moving_grids, nearly_silent, silent_grids
from i2compress.kinds import Kind
from i2compress.media.video.content import Clip
from i2compress.planes.pyramid import _streams
from i2compress.render import Renderer
from tests.test_uneven_strides import groups, latents

SPEC = PyramidSpec(grid=(19, 11, 14), channels=3, width=4, levels=4, hidden=4, planes=3, split=1, sharp=0b010, still=2)
SETTINGS = EncodeSettings(lam=2e-3, steps=40, threads=1, device="cpu")


def resting(count: int = 24) -> Float32Array:
    """Frames `[count, 48, 64, 3]` of a fine texture at rest, over which a bright square passes."""
    texture = np.random.default_rng(0).uniform(0.3, 0.7, (48, 64, 1)).astype(np.float32)
    frames = np.repeat(np.repeat(texture[None], 3, -1), count, 0)
    for number, frame in enumerate(frames):
        frame[18:26, number + 4 : number + 12] = 0.9
    return frames


def test_a_still_grids_frames_count_fully_in_their_middle_and_fade_over_to_each_other() -> None:
    found = shares(-3, 22, 3, 2)  # of frames -3 to 18; the two stand for 0 to 7 and for 8 to 15
    assert found.shape == (22, 2) and np.allclose(found.sum(1), 1) and found.min() >= 0
    assert np.allclose(found[:7, 0], 1) and np.allclose(found[15:, 1], 1)
    assert np.allclose(np.diff(found[7:14, 1]), 1 / 8) and found[10, 1] == pytest.approx(3.5 / 8)  # half a frame before the middle of the two


def test_many_still_frames_take_no_more_memory_than_they_are() -> None:
    spec = PyramidSpec(grid=(1 << 16, 1, 1), channels=1, width=1, levels=5, hidden=1, steady=0b1111, still=4)
    weights = {name: values.astype(np.float32) for name, values in prior(0, spec).items()}
    tracemalloc.start()
    Renderer(spec, weights, [np.ones(shape, np.int32) for shape in spec.latent_shapes])
    assert tracemalloc.get_traced_memory()[1] < 64e6  # a share of each frame in each would be 16 GB
    tracemalloc.stop()


def test_the_shapes_of_still_grids() -> None:
    own = [(level, still, shape) for level, still, shape in zip(SPEC.grid_levels, SPEC.stills, SPEC.latent_shapes, strict=True)]
    assert own[:3] == [(0, False, (19, 11, 14)), (0, True, (3, 11, 14)), (1, False, (10, 6, 7))]
    assert own[4:8] == [(1, False, (10, 6, 7))] + 3 * [(1, True, (3, 6, 7))]
    assert SPEC.grid_planes[1:8] == [0, 0, 1, 2, 0, 1, 2] and SPEC.context.still == (1, 5, 6, 7)


@pytest.mark.parametrize("still", [-1, 4, 99])
def test_the_coarsest_level_has_no_still_grid(still: int) -> None:
    with pytest.raises(LimitError, match="still"):
        PyramidSpec(grid=(8, 8, 8), channels=1, levels=4, still=still)
    with pytest.raises(LimitError, match="still"):
        PyramidSpec(grid=(8, 8), channels=1, levels=4, still=1)


def test_what_the_context_model_reads_of_still_grids_and_by_them_is_section_7_3() -> None:
    grids, weights = latents(SPEC), context_weights(SPEC, groups(SPEC), prior(0, SPEC))
    shifts, last = SPEC.shifts, SPEC.shifts[-1][0]
    of_level = [shifts[SPEC.grid_levels.index(level)][0] for level in SPEC.grid_levels]
    for number, shape in enumerate(SPEC.latent_shapes):
        found = features(weights, number, list(grids[number + 1 :]), shape)
        if number >= SPEC.context.maps:
            assert not found.any()
            continue
        rows = weights.integers[f"m{number}"] << (12 - weights.bits[f"m{number}"])
        for place in np.random.default_rng(number).integers(0, shape, (40, 3)):
            known = []
            for other in range(number + 1, len(grids)):
                steps = [max(0, after - before) for before, after in zip(shifts[number], shifts[other], strict=True)]
                at = [int(p) >> step for p, step in zip(place, steps, strict=True)]
                if SPEC.stills[number]:
                    lasts = 1 << (last - of_level[other])
                    at[0] = int(place[0]) if SPEC.stills[other] else min(int(place[0]) * lasts + lasts // 2, len(grids[other]) - 1)
                known.append(256 * int(np.clip(grids[other][tuple(at)], -127, 127)))
            expected = [min(max((int(np.dot(row, known)) + 2048) >> 12, -(2**18)), 2**18) for row in rows]
            assert found[tuple(place)].tolist() == expected, (number, place)


def test_grids_that_last_otherwise_are_refused() -> None:
    weights = context_weights(SPEC, groups(SPEC), prior(0, SPEC))
    for number, frames in ((1, 2), (5, 4), (6, 10)):
        shapes = list(SPEC.latent_shapes)
        shapes[number] = (frames, *shapes[number][1:])
        with pytest.raises(MalformedError, match="latent grids"):
            decode_latents(b"", shapes, weights, tile=SPEC.tile)


def test_grids_of_zeros_take_no_bytes_where_a_still_one_before_them_is_not_zero() -> None:
    spec = PyramidSpec(grid=(20, 60, 70), channels=1, width=4, levels=3, hidden=4, still=1)
    own = {name: WeightGroup(symbols=np.zeros(shape, np.int64), exponent=8) for name, shape in spec.weight_shapes.items()}
    own["b3"].symbols[1] = 4 << 8  # scales of about 1, under which zeros are not free
    weights, grids = context_weights(spec, own, prior(0, spec)), [np.zeros(shape, np.int32) for shape in spec.latent_shapes]
    grids[1][:] = np.random.default_rng(0).integers(-1, 2, grids[1].shape)
    grids[-1][:] = 1
    streams = _streams(grids, weights, spec)
    assert streams == 4  # the last grid, and three of their own: zeros, the still one, zeros
    sizes = [len(encode_latents(grids, weights, tile=spec.tile, levels=range(number, number + 1))) for number in range(3)]
    assert sizes[0] == sizes[2] == 0 < sizes[1]


def test_which_grids_are_silent() -> None:
    grids = [torch.zeros(1, 1, *shape) for shape in SPEC.latent_shapes]
    grids[1][..., 0], grids[3][..., 0, 0, :] = 1, 1
    assert silent_grids(grids) == (0, 2, *range(4, len(grids) - 1))
    assert moving_grids(SPEC) == [0] and nearly_silent(grids, [0, 2]) and not nearly_silent(grids, [0, 3])


def coded(frames: Float32Array, settings: EncodeSettings = SETTINGS) -> tuple[Clip, Container, float]:
    """The file, opened, its first group, and its loss."""
    made = codec.encode(Signal(values=frames, kind=Kind.VIDEO, rate=25), settings)
    clip = codec.I2File.from_bytes(made.data, threads=1).content
    assert isinstance(clip, Clip) and made.loss is not None
    return clip, clip._groups[0].content, made.loss


def test_what_stands_still_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    group = sys.modules["i2compress.media.video.group"]
    clip, _, with_them = coded(resting())
    plane = clip._plane(0)
    assert any(plane.latents[number].any() for number in plane.spec.context.still)
    monkeypatch.setattr(group, "STILL_LEVELS", 0)
    _, _, without = coded(resting())
    assert with_them < 0.9 * without


@pytest.mark.parametrize("far", [False, True])
def test_where_the_camera_goes_far_there_are_no_still_grids(far: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    group = sys.modules["i2compress.media.video.group"]
    plain: Callable[..., tuple[object, bool]] = group.found_motion
    monkeypatch.setattr(group, "found_motion", lambda *args: (plain(*args)[0], far))
    _, content, _ = coded(resting(12), EncodeSettings(lam=2e-3, steps=2, threads=1, device="cpu"))
    assert PyramidSpec.from_header(content.header).still == (0 if far else group.STILL_LEVELS)
