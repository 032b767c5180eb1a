"""Trained starts: the priors, the analysis network and the schedule of a picture that begins with one."""

import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import COFFEE

import i2compress
from i2compress import EncodeSettings, container
from i2compress.coding.weights import decode_weights
from i2compress.errors import MalformedError, UnsupportedVersionError, UsageError
from i2compress.field import priors
from i2compress.field.pyramid import PyramidField
from i2compress.field.spec import prior
from i2compress.fit.analysis import HALO, PLANES, TILE, Analysis, analyse
from i2compress.fit.distortion import SquaredError
from i2compress.fit.problem import COUNTED, Problem, Start
from i2compress.fit.schedule import Schedule
from i2compress.media.image.encode import pyramid_spec
from i2compress.metrics import mean_squared_error, psnr
from i2compress.planes.outline import describe_field
from i2compress.train.model import Model, export, load_start

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A start whose weights are beside those of prior 0, differently at every knot, and whose network guesses something."""
    torch.manual_seed(1)
    model = Model(64)
    for knots in model.knots.values():
        knots.data.normal_(std=0.02)
    model.contract()
    path = tmp_path_factory.mktemp("start") / "start.npz"
    export(model, path)
    return path


@pytest.fixture
def known(start: Path, monkeypatch: pytest.MonkeyPatch) -> priors.StartFile:
    """The same, where decoders find it."""
    monkeypatch.setenv(priors.VARIABLE, str(start.parent))
    return priors.read_start(start)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """`[192, 256, 3]` uint8."""
    return np.ascontiguousarray(np.concatenate([i2compress.media.read(COFFEE).values] * 2, 1)[:192, :256] * 255).astype(np.uint8)


@pytest.mark.parametrize("code", [0, 28, 33, 48, 67, 68, 127])
def test_a_prior_is_the_table_between_its_knots(known: priors.StartFile, code: int) -> None:
    weights = priors.knot_weights(code)
    assert sum(weights) == pytest.approx(1) and min(weights) >= 0
    found = priors.find_prior(known.number, priors.trained_spec(code))
    for name, table in known.tables.items():
        expected = np.tensordot(weights, table.astype(np.float64), 1) / 256
        np.testing.assert_allclose(found[name], expected, atol=0.501 / 256)
        np.testing.assert_array_equal(found[name] * 256, np.rint(found[name] * 256))


def test_priors_differ_from_prior_0_and_between_rates(known: priors.StartFile) -> None:
    low, high = (priors.find_prior(known.number, priors.trained_spec(code)) for code in (40, 60))
    zero = prior(0, priors.trained_spec(40))
    assert any((low[name] != high[name]).any() for name in zero) and any((low[name] != zero[name]).any() for name in zero)


def test_a_picture_without_colour_has_the_mean_of_the_three_outputs(known: priors.StartFile) -> None:
    colour, gray = priors.trained_spec(50, (64, 64)), pyramid_spec((256, 256), 1, EncodeSettings(lam=1e-3))
    gray = replace(gray, grid=(64, 64))
    generator = torch.Generator().manual_seed(0)
    own = [torch.randint(-3, 4, (1, 1, *shape), generator=generator).float() for shape in gray.latent_shapes]
    grids = []
    for level, latents in enumerate(own):
        grids += [latents, *[torch.zeros_like(latents)] * (PLANES[level] - 1)]
    three = PyramidField(colour, priors.find_prior(known.number, colour))(grids).mean(1)
    one = PyramidField(gray, priors.find_prior(known.number, gray))(own)[:, 0]
    assert (three - one).abs().max() < 0.5 / 256 * 3 * 20  # the rounding of W, S and b
    assert (three - one).abs().mean() < 0.02 * three.std()


@pytest.mark.parametrize("channels", [2, 4])
def test_opacity_is_apart_from_colours_and_foreseen_like_the_first_grids(known: priors.StartFile, channels: int) -> None:
    spec = replace(pyramid_spec((256, 256), channels, EncodeSettings(lam=1e-3), planes_from=0), grid=(64, 64))
    plain = replace(spec, channels=channels - 1, planes=channels - 1, split=spec.split if channels > 2 else 0)
    with_opacity, without = priors.find_prior(known.number, spec), priors.find_prior(known.number, plain)
    generator = torch.Generator().manual_seed(0)
    levels, first = spec.grid_levels, plain.grid_levels
    opacity = [grid for grid, level in enumerate(levels) if levels[: grid + 1].count(level) == channels]
    own = [torch.randint(-3, 4, (1, 1, *shape), generator=generator).float() for shape in spec.latent_shapes]
    grids = [latents for grid, latents in enumerate(own) if grid not in opacity]
    assert len(grids) == len(first) and len(opacity) == 3
    outputs = PyramidField(spec, with_opacity)(own)
    assert torch.equal(outputs[:, :-1], PyramidField(plain, without)(grids))
    nothing = [torch.zeros_like(latents) if grid not in opacity else latents for grid, latents in enumerate(own)]
    assert torch.equal(outputs[:, -1], PyramidField(spec, with_opacity)(nothing)[:, -1]) and outputs[:, -1].std() > 0
    for grid in opacity[:-1]:  # the last one's map is of grids that are no longer foreseen from
        assert not with_opacity[f"m{grid - 1}"][:, 0].any()  # a colour from opacity
    assert with_opacity[f"m{opacity[0]}"][:, opacity[1] - opacity[0] - 1].any()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("side", [16, 40])
def test_smaller_pictures_have_the_finest_grids_of_larger_ones(known: priors.StartFile, side: int, channels: int) -> None:
    large = pyramid_spec((64, 64), channels, EncodeSettings(lam=1e-3), planes_from=0)
    small = pyramid_spec((side, side), channels, EncodeSettings(lam=1e-3), planes_from=0)
    whole, part = priors.find_prior(known.number, large), priors.find_prior(known.number, small)
    generator = torch.Generator().manual_seed(0)
    own = [torch.randint(-3, 4, (1, 1, *shape), generator=generator).float() for shape in small.latent_shapes]
    more = len(large.grid_levels) - len(own)
    grids = own + [torch.zeros(1, 1, *(-(-side >> level) for _ in range(2))) for level in large.grid_levels[len(own) :]]
    assert small.levels < large.levels and more > 0
    assert torch.equal(PyramidField(small, part)(own), PyramidField(replace(large, grid=(side, side)), whole)(grids))
    for name in part:
        if name.startswith("m"):
            np.testing.assert_array_equal(part[name], whole[name][:, : part[name].shape[1]])


@pytest.mark.parametrize(("channels", "side"), [(1, 64), (2, 48), (4, 64), (3, 8)])
def test_pictures_of_every_kind_begin_at_the_start_that_ships(picture: np.ndarray, channels: int, side: int) -> None:
    """With so many steps that the weights are quantised with compensation."""
    values = picture[64 : 64 + side, 64 : 64 + side, :1] if channels < 3 else picture[64 : 64 + side, 64 : 64 + side]
    if channels % 2 == 0:
        values = np.concatenate([values, np.full_like(values[..., :1], 255)], -1)
        values[: side // 2, :, -1] = 90
    sizes = []
    for start in ("auto", "none"):
        data = i2compress.encode(np.ascontiguousarray(values), EncodeSettings(lam=1e-3, steps=200, start=start, threads=1))
        assert container.read(data).header.prior == (1 if start == "auto" else 0)
        found = i2compress.decode(data).values
        sizes.append(mean_squared_error(found, values / 255) + 1e-3 * 8 * len(data) / side**2)
    assert sizes[0] < sizes[1]


def test_fields_that_starts_are_not_for(known: priors.StartFile) -> None:
    spec = priors.trained_spec(50)
    assert priors.fits(spec) and priors.fits(replace(spec, grid=(1000, 70), iterations=3, tile_log2=5))
    for other in (
        replace(spec, width=8),
        replace(spec, explicit=True),
        replace(spec, levels=2),
        replace(spec, channels=4),
        replace(spec, channels=2, planes=2, split=1),
        replace(spec, planes=1, split=0),
    ):
        assert not priors.fits(other)
        with pytest.raises(MalformedError, match="written wrongly"):
            priors.find_prior(known.number, other)


def test_a_picture_begins_with_a_start_and_needs_it(
    start: Path, known: priors.StartFile, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = EncodeSettings(lam=1e-3, start=str(start), threads=1)
    none = i2compress.encode(picture, replace(settings, steps=0))
    content = container.read(none)
    spec = priors.trained_spec(content.header.params[6], content.header.grid)
    assert content.header.prior == known.number >= priors.HASHED
    assert not any(group.symbols.any() for group in decode_weights(content.weights, list(spec.weight_shapes.values())))
    assert len(content.weights) < 40  # unchanged groups cost next to nothing
    some = i2compress.encode(picture, replace(settings, steps=20))
    losses = []
    for data in (none, some):
        values = i2compress.decode(data).values
        losses.append(mean_squared_error(values, picture / 255) + 1e-3 * 8 * len(data) / (192 * 256))
    assert losses[1] < losses[0]
    assert i2compress.encode(picture, replace(settings, steps=0)) == none
    monkeypatch.delenv(priors.VARIABLE)
    i2compress.decode(none)  # this process has read the start
    monkeypatch.setattr(priors, "_known", {})
    with pytest.raises(UnsupportedVersionError, match=f"{known.number:08x}.*{priors.VARIABLE}"):
        i2compress.decode(none)


def test_priors_alone_are_what_a_fit_begins_at(known: priors.StartFile, picture: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    priors.write_start(tmp_path / "priors.npz", known.tables)
    assert known.guesses and not priors.read_start(tmp_path / "priors.npz").guesses
    settings = EncodeSettings(lam=1e-3, start=str(tmp_path / "priors.npz"), threads=1)
    data = i2compress.encode(picture, replace(settings, steps=3))
    content = container.read(data)
    assert content.header.prior == known.number  # the number is of the priors alone
    assert describe_field(content.header) == f"implicit pyramid from start {known.number:08x}"
    assert describe_field(replace(content.header, prior=1)) == "implicit pyramid from start 1"
    assert i2compress.decode(data).values.shape == picture.shape
    with pytest.raises(UsageError, match="no network that guesses"):
        i2compress.encode(picture, replace(settings, steps=0))
    monkeypatch.setattr(sys.modules["i2compress.media.image.encode"], "shipped", lambda: priors.read_start(tmp_path / "priors.npz"))
    assert i2compress.encode(picture, replace(settings, steps=3, start="auto")) == data


def test_differences_from_a_trained_prior_count(known: priors.StartFile) -> None:
    values = np.random.default_rng(0).random((64, 64, 3), dtype=np.float32)
    spec = replace(priors.trained_spec(50), grid=(64, 64))
    problem = Problem(SquaredError(values, device=CPU), spec, 1e-3, device=CPU, schedule=Schedule(steps=1), start=Start(prior=known.number))
    rate = problem.weight_rate()
    assert rate is not None and float(rate.detach()) == 0
    problem.weights()["b"].data += 2.0**-3  # 8 steps: three bits and a little
    moved = problem.weight_rate()
    assert moved is not None and float(moved.detach()) * 64 * 64 == pytest.approx(COUNTED * 3 * 0.5 * math.log2(65), rel=1e-5)
    moved.backward()  # type: ignore[no-untyped-call]
    assert (problem.weights()["b"].grad > 0).all()  # type: ignore[operator]
    assert Problem(SquaredError(values, device=CPU), spec, 1e-3, device=CPU, schedule=Schedule(steps=1)).weight_rate() is None


def test_a_picture_without_colour_begins_with_a_start(start: Path, known: priors.StartFile, picture: np.ndarray) -> None:
    data = i2compress.encode(picture[..., 1], EncodeSettings(lam=1e-3, start=str(start), steps=0, threads=1))
    values = i2compress.decode(data).values
    assert values.shape == (192, 256, 1) and math.isfinite(psnr(mean_squared_error(values[..., 0], picture[..., 1] / 255)))


def test_sides_of_any_length_and_tiles_that_join(known: priors.StartFile) -> None:
    torch.manual_seed(0)
    network = Analysis()
    with torch.no_grad():
        odd = analyse(network, torch.rand(1, 3, 70, 101), 50)
        assert [tuple(grid.shape[2:]) for grid in odd] == priors.trained_spec(50, (70, 101)).latent_shapes
        wide = torch.rand(1, 3, 64, TILE + 2 * HALO)
        joined, whole = analyse(network, wide, 50), network(wide, 50)
    for grid, expected in zip(joined, whole, strict=True):
        assert grid.shape == expected.shape
        assert (grid - expected).abs().mean() < 0.02 * expected.std()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"start": "nowhere.npz"}, "nowhere.npz"),
        ({"start": "trained", "width": 8}, "leave it out"),
        ({"start": "none", "steps": 0}, "at least 1"),
        ({"start": "trained", "field": "siren"}, "coordinate"),
    ],
)
def test_starts_that_cannot_be(picture: np.ndarray, given: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        i2compress.encode(picture, EncodeSettings(**{"effort": 1, **given}))  # type: ignore[arg-type]


def test_files_that_are_no_start(tmp_path: Path) -> None:
    path = tmp_path / "start.npz"
    path.write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(MalformedError, match="no start"):
        priors.read_start(path)
    other = tmp_path / "other.npz"
    np.savez(other, **{"prior/B": np.zeros(3, np.int16)})
    with pytest.raises(MalformedError, match="other networks"):
        priors.read_start(other)


def test_a_start_is_what_was_exported(start: Path, tmp_path: Path) -> None:
    model = Model(64)
    load_start(model, priors.read_start(start))
    export(model, tmp_path / "again.npz")
    assert priors.read_start(tmp_path / "again.npz").number == priors.read_start(start).number
