"""Shapes in coordinate fields: occupancy, and points with normals by the eikonal equation."""

import io
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from shapes import box, cloud, ply, sphere

from i2compress import EncodeSettings, View, codec, media
from i2compress.cli import main
from i2compress.errors import FormatError, MalformedError, SignalError, UnsupportedVersionError, UsageError
from i2compress.field.coordinate_field import CoordinateField
from i2compress.field.coordinate_file import OCCUPANCY, CoordinateFile, slope_code
from i2compress.field.coordinate_spec import CoordinateSpec
from i2compress.fit.coordinate import starting_field
from i2compress.fit.eikonal import EikonalFit, OrientedPoints
from i2compress.fit.schedule import CoordinateSchedule
from i2compress.header import Header
from i2compress.kinds import Kind
from i2compress.media.shape.content import parts_of
from i2compress.planes.coordinate import slope_at_zero

Doubles = npt.NDArray[np.float64]
POINTS = EncodeSettings(grid=24, field="siren", explicit=True, width=24, steps=200, threads=1, device="cpu")


def ball(count: int = 2000) -> tuple[Doubles, Doubles]:
    """Points and normals of a ball of radius 2 beside the origin."""
    normals = np.random.default_rng(0).normal(size=(count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return 2 * normals + np.array([5.0, 0, 0]), normals


@cache
def ball_file() -> codec.Encoded:
    with media.open_source(cloud(*ball())) as opened:
        return codec.encode(opened.source, POINTS)


@cache
def occupancy_file() -> codec.Encoded:
    with media.open_source(ply(sphere())) as opened:
        return codec.encode(opened.source, replace(POINTS, explicit=False, surface="occupancy"))


def values_of(data: bytes) -> tuple[Doubles, Doubles]:
    """Distances `[X, Y, Z]` in the shape's units as a view has them, and the places `[X, Y, Z, 3]` of their samples."""
    content = codec.I2File.from_bytes(data, threads=1).content
    frame = content.layout.frame
    axes = [c + (np.arange(size) + 0.5) * s for size, c, s in zip(content.layout.grid, frame.corner, frame.spacing, strict=True)]
    distances = np.concatenate(list(content.blocks(View())))[..., 0].astype(np.float64) * 2 * frame.sample
    return distances, np.stack(np.meshgrid(*axes, indexing="ij"), -1)


def test_points_with_normals_become_a_distance_by_the_eikonal_equation() -> None:
    made = ball_file()
    plane = codec.I2File.from_bytes(made.data).content.plane  # type: ignore[union-attr]
    assert plane.spec.slope == pytest.approx(2 / 24, rel=0.05) and not plane.spec.occupancy  # type: ignore[union-attr]
    distances, places = values_of(made.data)
    wanted = np.linalg.norm(places - [5, 0, 0], axis=-1) - 2
    near = np.abs(wanted) < 0.25
    assert np.abs(distances - wanted)[near].mean() < 0.02  # a tenth of a sample
    assert (np.sign(distances) == np.sign(wanted))[np.abs(wanted) > 0.1].mean() > 0.999
    values = plane.renderer.render()[..., 0] / plane.spec.slope  # type: ignore[union-attr, operator]
    steepness = np.sqrt(sum(np.square(slope) for slope in np.gradient(values)))
    assert np.median(np.abs(steepness - 1)[near]) < 0.08
    assert np.median(np.abs(steepness - 1)) < 0.2  # far from the surface as well, though few steps do not see much of it
    assert made.figures["iou"] > 97 and made.figures["normals"] > 98


def test_a_cloud_with_colours_is_joined_to_a_surface_first_as_they_are_kept_only_then() -> None:
    points, normals = ball(500)
    with media.open_source(cloud(points, normals, np.full((500, 3), 128.0))) as opened:
        joined = codec.encode(opened.source, replace(POINTS, steps=2))
    with media.open_source(cloud(points, normals, np.full((500, 3), 128.0))) as opened:
        direct = codec.encode(opened.source, replace(POINTS, steps=2, surface="points"))
    headers = [parts_of(made.data).distances.header for made in (joined, direct)]
    assert [(header.channels, len(header.params)) for header in headers] == [(4, 6), (1, 7)]
    assert not joined.coded.notes and "colours are not coded with --surface points" in direct.coded.notes[0]


@pytest.mark.parametrize(("field", "explicit"), [("siren", False), ("fourier", True), ("gabor", False)])
def test_the_gradient_in_the_loss_is_that_of_the_field(field: str, explicit: bool) -> None:
    network = CoordinateSpec(kind=field, axes=3, channels=1, explicit=explicit, width=8, input_scale=4.0)
    spec = CoordinateFile(network=network, grid=(8, 12, 16), slope_code=slope_code(0.1))
    points, normals = (torch.tensor(part, dtype=torch.float32) for part in ball(64))
    extents = torch.tensor([4.0, 6.0, 8.0])
    cloud = OrientedPoints(x=(points - points.mean(0)) / 4, normals=normals, extents=extents, slope=0.1, unit=0.2)
    fit = EikonalFit(starting_field(spec, torch.device("cpu")), cloud, CoordinateSchedule(steps=10))
    x = cloud.x[:5]
    values, slopes = fit._distances(x)
    step = 0.01
    for axis in range(3):
        moved = torch.zeros(3)
        moved[axis] = step / extents[axis]
        higher, lower = (fit._distances(x + way * moved)[0] for way in (1, -1))
        # A length of 1 is eight samples; an implicit layer has the first terms of its gradient.
        torch.testing.assert_close(slopes[:, axis], (higher - lower) * 8 / (2 * step), rtol=0.05, atol=0.05)
    loss = fit._eikonal(x, cloud.normals[:5], fit._places(x))
    loss.backward()  # type: ignore[no-untyped-call]
    assert all(tensor.grad is not None and tensor.grad.isfinite().all() for name, tensor in fit.field.network.tensors.items() if name != "b")
    assert values.shape == (5,) and isinstance(fit.field, CoordinateField)


def test_occupancy_is_a_file_whose_zero_is_the_surface() -> None:
    made = occupancy_file()
    assert made.figures["iou"] > 93 and made.figures["normals"] > 94
    distances, places = values_of(made.data)
    wanted = np.linalg.norm(places, axis=-1) - 1
    sample = codec.I2File.from_bytes(made.data).content.layout.frame.sample
    assert (np.sign(distances) == np.sign(wanted))[np.abs(wanted) > sample].mean() > 0.99
    # Logits over their slope are about distances beside the surface.
    assert np.abs(distances - wanted)[np.abs(wanted) < sample / 2].mean() < sample / 2


def test_a_grid_of_distances_has_its_own_samples_as_sides() -> None:
    file = io.BytesIO()
    x, y, z = np.meshgrid(*[np.arange(16) - 7.5] * 3, indexing="ij")
    np.savez(file, distance=np.sqrt(x * x + y * y + z * z) - 5, corner=np.zeros(3), spacing=np.ones(3))
    with media.open_source(file.getvalue()) as opened:
        made = codec.encode(opened.source, replace(POINTS, grid=None, surface="occupancy"))
        wanted = opened.source.read(0, 16)[..., 0]
    assert ((values_of(made.data)[0] > 0) == (wanted > 0)).mean() > 0.97


def test_the_header_says_occupancy_and_the_slope_and_files_of_distances_stay_as_they_were(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    header = parts_of(occupancy_file().data).distances.header
    assert len(header.params) == 7 and header.params[3] & OCCUPANCY
    (tmp_path / "ball.i2").write_bytes(occupancy_file().data)
    assert main(["info", str(tmp_path / "ball.i2")]) == 0
    assert "occupancy" in capfd.readouterr().out
    with media.open_source(ply(box())) as opened:
        plain = parts_of(codec.encode(opened.source, replace(POINTS, steps=1)).data).distances.header
    assert len(plain.params) == 6 and not plain.params[3] & OCCUPANCY


def test_a_damaged_occupancy_is_refused() -> None:
    data = occupancy_file().data
    for place in range(0, len(data), 7):
        broken = bytearray(data)
        broken[place] ^= 0x55
        with pytest.raises(FormatError):
            codec.I2File.from_bytes(bytes(broken))


def header_of(params: tuple[int, ...], *, kind: Kind = Kind.SHAPE, channels: int = 1) -> Header:
    grid = (8, 8, 8) if kind is Kind.SHAPE else (8, 8)
    return Header(kind=kind, grid=grid, channels=channels, bit_depth=16, field=2, params=params, prior=0, streams=0)


@pytest.mark.parametrize(
    ("header", "error", "what"),
    [
        (header_of((8, 1, 4, 7, 4, 255)), UnsupportedVersionError, "flags 7; this version knows 3"),
        (header_of((8, 1, 4, 3, 4, 255, 64), kind=Kind.IMAGE), MalformedError, "has a slope and is none of a shape"),
        (header_of((8, 1, 4, 3, 4, 255, 64), channels=4), MalformedError, "with a slope has 4 channels"),
        (header_of((8, 1, 4, 3, 4, 255, 64, 0)), MalformedError, "8 parameters; expected 6 or 7"),
        (header_of((8, 1, 4, 11, 4, 255, 64)), UnsupportedVersionError, "flags 11"),
    ],
)
def test_a_header_that_no_encoder_writes_is_refused(header: Header, error: type[Exception], what: str) -> None:
    with pytest.raises(error, match=what):
        CoordinateFile.from_header(header)


@pytest.mark.parametrize("params", [(8, 1, 4, 3, 4, 255), (8, 1, 4, 7, 4, 255, 90), (8, 1, 4, 3, 4, 255, 0)])
def test_a_header_comes_back(params: tuple[int, ...]) -> None:
    spec = CoordinateFile.from_header(header_of(params))
    assert spec.params == params
    assert spec.slope is None or slope_code(spec.slope) == params[6]


def test_the_slope_at_zero_is_that_of_a_distance() -> None:
    x, y, z = np.meshgrid(*[np.arange(20) - 9.5] * 3, indexing="ij")
    assert slope_at_zero((3 * (np.sqrt(x * x + y * y + z * z) - 6)).astype(np.float32)) == pytest.approx(3, rel=0.03)
    assert slope_at_zero(np.ones((4, 4, 4), np.float32)) == 1


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"surface": "occupancy"}, "surface is for coordinate fields; choose one with --field"),
        ({"surface": "voxels", "field": "siren"}, "surface is 'voxels'; expected one of distances, occupancy, points"),
    ],
)
def test_a_surface_that_is_not_there_is_refused_with_a_sentence(options: dict[str, str], what: str) -> None:
    with pytest.raises(UsageError, match=what):
        EncodeSettings(**options)  # type: ignore[arg-type]


def test_a_mesh_has_no_points_and_a_picture_no_surface(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "box.ply").write_bytes(ply(box()))
    asked = ["--field", "siren", "--surface", "points", "-o", str(tmp_path / "out.i2")]
    assert main(["encode", str(tmp_path / "box.ply"), *asked]) == 2
    assert "--surface points is for points with normals" in capfd.readouterr().err
    (tmp_path / "dot.pgm").write_bytes(b"P5 2 2 255\nabcd")
    assert main(["encode", str(tmp_path / "dot.pgm"), *asked]) == 2
    assert "--surface is for a shape, and this is a picture" in capfd.readouterr().err
    assert not (tmp_path / "out.i2").exists()
    few = cloud(*ball(8))
    with pytest.raises(SignalError, match="8 points with normals; expected at least 32"), media.open_source(few):
        pass


def test_the_surface_of_an_occupancy_is_found_at_any_resolution(tmp_path: Path) -> None:
    (tmp_path / "ball.i2").write_bytes(occupancy_file().data)
    for resolution in ("16", "40"):
        target = tmp_path / f"ball{resolution}.npz"
        assert main(["decode", str(tmp_path / "ball.i2"), "--resolution", resolution, "-o", str(target)]) == 0
        with np.load(target) as arrays:
            inside = float((arrays["distance"] < 0).sum() * np.prod(arrays["spacing"]))
        assert inside == pytest.approx(4 / 3 * np.pi, rel=0.08)
