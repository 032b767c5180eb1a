"""The compiled loops of the fit on a CPU: the values and gradients of a field, the same on any number of threads, and what is kept of them."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from i2compress.codec import encode
from i2compress.config import EncodeSettings
from i2compress.field import pyramid, tiles
from i2compress.field.pyramid import PyramidField
from i2compress.field.spatial import FORMATS
from i2compress.field.spec import PyramidSpec, prior
from i2compress.field.tiles import helped_by
from i2compress.fit.blur import blur
from i2compress.fit.ms_ssim import MsSsim
from i2compress.fit.pairs import doubled, halved
from i2compress.fit.ssimulacra2 import Ssimulacra2
from i2compress.signal import Signal


def values_and_gradients(grid: tuple[int, ...], width: int) -> tuple[Tensor, list[Tensor]]:
    spec = PyramidSpec(grid=grid, channels=3, levels=4, width=width)
    field = PyramidField(spec, prior(0, spec), iterations=4)
    generator = torch.Generator().manual_seed(0)
    for tensor in field.tensors.values():
        tensor.data += 0.05 * torch.randn(tensor.shape, generator=generator)
    features = torch.randn(1, 4, *grid, generator=generator).to(memory_format=FORMATS[len(grid)]).requires_grad_()
    wanted = torch.randn(1, 3, *grid, generator=generator)
    found = field.values(features)
    leaves = [features, *(tensor for name, tensor in field.tensors.items() if name != "up")]
    return found.detach(), list(torch.autograd.grad((found * wanted).sum(), leaves))


def features_and_gradients(grid: tuple[int, ...], dtype: torch.dtype, origins: list[tuple[int, ...]] | None, kept: dict[str, int]) -> list[Tensor]:
    """Of three levels, the coarser ones with three grids each; of a window of a larger signal where there are origins."""
    spec = PyramidSpec(grid=grid, channels=3, levels=3, width=2, planes=3, split=1, **kept)
    field = PyramidField(spec, prior(0, spec)).to(dtype)
    generator = torch.Generator().manual_seed(0)
    taps = field.tensors["up"]
    taps.data += 0.1 * torch.randn(taps.shape, generator=generator)
    beyond = 0 if origins is None else 3  # samples that a window's coarser grids have and its finer ones do not need
    shapes = [
        tuple(side + beyond * (shift > 0) for side, shift in zip(shape, shifts, strict=True))
        for shape, shifts in zip(spec.latent_shapes, spec.shifts, strict=True)
    ]
    latents = [torch.randn(1, 1, *shape, generator=generator).to(dtype).requires_grad_() for shape in shapes]
    own = None if origins is None else [origins[level] for level in spec.grid_levels]
    if own is not None and spec.still:
        own = [(at >> spec.context.lasting[n], *rest) if n in spec.context.still else (at, *rest) for n, (at, *rest) in enumerate(own)]
    found = field.features(latents, own)
    wanted = torch.randn(found.shape, generator=generator).to(dtype)
    return [found.detach(), *torch.autograd.grad((found * wanted).sum(), [taps, *latents])]


PICTURES: list[tuple[tuple[int, ...], dict[str, int]]] = [((37, 51), {}), ((8, 300), {}), ((5, 4), {})]
VOLUMES: list[tuple[tuple[int, ...], dict[str, int]]] = [((6, 19, 70), {}), ((9, 8, 11), {"sharp": 2}), ((3, 14, 9), {"steady": 1}), ((1, 6, 7), {})]
VOLUMES += [((9, 8, 11), {"still": 1}), ((11, 8, 11), {"sharp": 2, "still": 2})]


@pytest.mark.parametrize(
    ("grid", "kept", "origins"),
    [(*case, origins) for case in PICTURES for origins in (None, [(7, 6), (3, 2), (1, 0)])]
    + [(*case, None) for case in VOLUMES]
    + [((6, 19, 70), {}, [(5, 7, 6), (2, 3, 2), (1, 1, 0)]), ((9, 8, 11), {"sharp": 2}, [(5, 7, 6), (2, 3, 2), (1, 3, 2)])]
    + [((6, 19, 70), {"still": 2}, [(5, 7, 6), (2, 3, 2), (1, 1, 0)])],
)
def test_the_compiled_features_and_their_gradients_are_those_of_float64(
    grid: tuple[int, ...], kept: dict[str, int], origins: list[tuple[int, ...]] | None
) -> None:
    for ours, exact in zip(*(features_and_gradients(grid, dtype, origins, kept) for dtype in (torch.float32, torch.float64)), strict=True):
        torch.testing.assert_close(ours.double(), exact, rtol=0, atol=2e-6 * float(exact.abs().max()))


@pytest.mark.parametrize("mirrored", [(True, True), (True, False), (False, False)])
def test_the_compiled_blur_is_that_of_float64(mirrored: tuple[bool, bool]) -> None:
    planes = torch.rand(2, 3, 11, 300, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(blur(planes, mirrored).double(), blur(planes.double(), mirrored), rtol=0, atol=1e-6)


def measured(measure: type[Ssimulacra2] | type[MsSsim], shape: tuple[int, int], dtype: torch.dtype) -> list[Tensor]:
    """Of a picture with noise, some of it beyond [0, 1]: the measure and its gradient."""
    generator = torch.Generator().manual_seed(0)
    source = halved(torch.rand(3, 2 * shape[0], 2 * shape[1], generator=generator))
    picture = (source + 0.2 * torch.randn(source.shape, generator=generator)).to(dtype).requires_grad_()
    found = measure(source.to(dtype))(picture)
    return [found.detach(), *torch.autograd.grad(found, picture)]


@pytest.mark.parametrize("shape", [(40, 300), (61, 83), (17, 16)])
@pytest.mark.parametrize("measure", [Ssimulacra2, MsSsim])
def test_the_compiled_measures_and_their_gradients_are_those_of_float64(measure: type[Ssimulacra2] | type[MsSsim], shape: tuple[int, int]) -> None:
    (value, slope), (exact, steep) = (measured(measure, shape, dtype) for dtype in (torch.float32, torch.float64))
    torch.testing.assert_close(value.double(), exact, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(slope.double(), steep, rtol=0, atol=3e-4 * float(steep.abs().max()))


@pytest.mark.parametrize("shape", [(2, 6, 300), (1, 2, 2), (3, 5, 8)])
def test_halved_planes_and_their_gradients_are_those_of_float64(shape: tuple[int, ...]) -> None:
    planes = torch.rand(shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    exact = planes.detach().double().requires_grad_()
    found, right = halved(planes), halved(exact)
    torch.testing.assert_close(found.double(), right, rtol=0, atol=1e-6)
    ours, theirs = (
        torch.autograd.grad((values * torch.arange(values.numel()).view(values.shape)).sum(), of) for values, of in ((found, planes), (right, exact))
    )
    torch.testing.assert_close(ours[0].double(), theirs[0], rtol=1e-6, atol=0)


@pytest.mark.parametrize(("start", "shape"), [((0, 0), (10, 600)), ((0, 0), (9, 599)), ((1, 3), (7, 590))])
def test_doubled_planes_and_their_gradients_are_repeated_samples(start: tuple[int, int], shape: tuple[int, int]) -> None:
    planes = torch.rand(2, 5, 300, generator=torch.Generator().manual_seed(0)).requires_grad_()
    found = doubled(planes, start, shape)
    (top, left), (height, width) = start, shape
    repeated = planes.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, top : top + height, left : left + width]
    assert torch.equal(found, repeated)
    wanted = torch.rand(found.shape, generator=torch.Generator().manual_seed(1))
    ours, theirs = (torch.autograd.grad((values * wanted).sum(), planes)[0] for values in (found, repeated))
    torch.testing.assert_close(ours, theirs)


GRIDS = [(40, 300), (1, 30), (30, 1), (5, 20, 150), (1, 9, 9)]


@pytest.mark.parametrize("width", [16, 5])
@pytest.mark.parametrize("grid", GRIDS)
def test_the_compiled_values_and_their_gradients_are_those_of_torch(grid: tuple[int, ...], width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = values_and_gradients(grid, width)
    monkeypatch.setattr(pyramid, "suits", lambda tensors: False)
    plain = values_and_gradients(grid, width)
    torch.testing.assert_close(compiled[0], plain[0], rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(compiled[1], plain[1], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4 * float(theirs.abs().max()))


def test_threads_that_help_change_no_bit() -> None:
    def found() -> list[Tensor]:
        values, gradients = values_and_gradients((200, 300), 16)
        measures = [part for measure in (Ssimulacra2, MsSsim) for part in measured(measure, (200, 300), torch.float32)]
        return [values, *gradients, *features_and_gradients((200, 300), torch.float32, None, {}), blur(values), *measures]

    alone = found()
    with ThreadPoolExecutor(3) as threads, helped_by(threads, 3):
        helped = found()
    assert all(torch.equal(a, b) for a, b in zip(alone, helped, strict=True))


@pytest.mark.parametrize("home", ["cache", "file/cache"])
def test_compiled_loops_are_kept_in_the_users_cache_where_it_can_be_written(home: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    script = "import numpy as np; from i2compress.field.tiles import product, TILE; a = np.zeros(TILE, np.float32);"
    script += "product(a, 0, np.ones((1, 1), np.float32), 0, 1, a + 1, 1, 3); print(a[:4])"
    run = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / home)}, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout.split()) == (0, ["[1.", "1.", "1.", "0.]"]), run.stderr
    assert bool(list(tmp_path.glob("cache/i2compress/*/*/*.nbi"))) == (home == "cache")


@pytest.mark.parametrize("before", [True, False])
def test_a_fit_says_that_loops_are_compiled_where_none_are_kept(before: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "_cache", lambda: tmp_path)
    monkeypatch.setattr(tiles, "product", SimpleNamespace(signatures=[]))  # what other tests have compiled
    if before:
        (tmp_path / "tiles").mkdir()
        (tmp_path / "tiles" / "product.nbi").write_text("")
    phases: list[str] = []
    settings = EncodeSettings(steps=2, threads=1)
    encode(Signal(values=np.zeros((16, 16, 1), np.float32)), settings, on_step=lambda info: phases.append(info.phase))
    assert phases[:2] == (["fit", "fit"] if before else ["compile", "fit"])
