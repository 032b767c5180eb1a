"""Levels that halve time only, or rows and columns only: the fit, the coder and the renderer agree on what they are."""

import numpy as np
import pytest
import torch

from i2compress.coding.context import ContextWeights
from i2compress.coding.latents import decode_latents, encode_latents, latent_bits
from i2compress.coding.weights import WeightGroup
from i2compress.errors import LimitError
from i2compress.field.pyramid import PyramidField
from i2compress.field.spec import PyramidSpec, prior
from i2compress.field.weights import context_weights, rendering_weights
from i2compress.fit.rate import ContextModel
from i2compress.fit.windows import cut_all, windows
from i2compress.header import Header
from i2compress.render import Renderer

SPECS = [
    PyramidSpec(grid=(5, 19, 22), channels=3, width=4, levels=4, hidden=4, planes=3, split=1),
    PyramidSpec(grid=(5, 19, 22), channels=3, width=4, levels=4, hidden=4, steady=0b101),
    PyramidSpec(grid=(9, 19, 22), channels=3, width=4, levels=4, hidden=4, planes=3, split=1, sharp=0b011),
    PyramidSpec(grid=(1, 19, 22), channels=3, width=4, levels=4, hidden=4, steady=0b010, sharp=0b100),
    PyramidSpec(grid=(5, 19, 22), channels=3, width=4, levels=4, hidden=4, still=1),
    PyramidSpec(grid=(19, 19, 22), channels=3, width=4, levels=4, hidden=4, planes=3, split=1, sharp=0b010, still=2),
    PyramidSpec(grid=(21, 19, 22), channels=3, width=4, levels=4, hidden=4, planes=2, split=0, steady=0b100, still=3),
]


def groups(spec: PyramidSpec) -> dict[str, WeightGroup]:
    """Random weights as a file has them; A and K contract."""
    rng, found = np.random.default_rng(1), {}
    for name, shape in spec.weight_shapes.items():
        spread = 1 if name in ("A", "K") else 8
        found[name] = WeightGroup(symbols=rng.integers(-spread, spread + 1, shape).astype(np.int64), exponent=8)
    return found


def latents(spec: PyramidSpec) -> list[np.ndarray[tuple[int, ...], np.dtype[np.int32]]]:
    return [np.random.default_rng(k).integers(-3, 4, shape).astype(np.int32) for k, shape in enumerate(spec.latent_shapes)]


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_the_decoders_values_are_those_of_the_fit(spec: PyramidSpec) -> None:
    found, grids = groups(spec), latents(spec)
    field = PyramidField(spec, {name: prior(0, spec)[name] + group.symbols / 2.0**group.exponent for name, group in found.items()})
    tensors = [torch.from_numpy(grid.astype(np.float32))[None, None] for grid in grids]
    with torch.no_grad():
        wanted = field(tensors)[0].movedim(0, -1).numpy()
        rendered = Renderer(spec, rendering_weights(spec, found, prior(0, spec)), grids).render()
        assert np.abs(rendered - wanted).max() < 2e-5 * max(1.0, np.abs(wanted).max())
        for window in windows(spec, 8):
            inner = tuple(window.inner[0])
            part = field(cut_all(tensors, window), window.origins)[0].movedim(0, -1).numpy()[inner]
            assert part.shape == wanted[window.core[0]].shape


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_the_coders_bits_are_those_of_the_fit_and_the_latents_come_back(spec: PyramidSpec) -> None:
    found, grids = groups(spec), latents(spec)
    context: ContextWeights = context_weights(spec, found, prior(0, spec))
    model = ContextModel(spec, {name: prior(0, spec)[name] + group.symbols / 2.0**group.exponent for name, group in found.items()})
    tensors = [torch.from_numpy(grid.astype(np.float32))[None, None] for grid in grids]
    with torch.no_grad():
        wanted = float(model(tensors))
        parts = sum(float(model(cut_all(tensors, window), window)) for window in windows(spec, 8))
    assert latent_bits(grids, context, tile=spec.tile).sum() == pytest.approx(wanted, rel=0.02)
    assert parts == pytest.approx(wanted, rel=1e-4)
    back = decode_latents(encode_latents(grids, context, tile=spec.tile), spec.latent_shapes, context, tile=spec.tile)
    assert all(np.array_equal(a, b) for a, b in zip(back, grids, strict=True))


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_a_header_holds_them(spec: PyramidSpec) -> None:
    form = {"kind": 2, "grid": spec.grid, "channels": spec.channels, "bit_depth": 8, "field": spec.field, "prior": 0, "streams": 1}
    assert PyramidSpec.from_header(Header(params=spec.params, **form)) == spec  # type: ignore[arg-type]


def test_strides_that_do_not_exist_are_refused() -> None:
    for wrong in ({"steady": 1, "sharp": 1}, {"steady": 8}):
        with pytest.raises(LimitError):
            PyramidSpec(grid=(4, 8, 8), channels=1, levels=4, **wrong)
    with pytest.raises(LimitError):
        PyramidSpec(grid=(8, 8), channels=1, levels=4, steady=1)
    for levels in (0, 13, 1 << 31):
        with pytest.raises(LimitError, match="levels"):
            PyramidSpec(grid=(4, 8, 8), channels=1, levels=levels)
