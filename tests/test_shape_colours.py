"""Colours of shapes: of vertices, triangles, points and grids, through a file and out again."""

import io
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import reference_shape as reference
import trimesh
from reference_decoder import chunks
from shapes import box, cloud, join, ply, sphere
from test_shape import decoded

from i2compress import EncodeSettings, Signal, View, codec, media
from i2compress.arrays import Float64Array
from i2compress.cli import main
from i2compress.container import SIGNATURE, ChunkReader, write_chunk
from i2compress.errors import FormatError, MalformedError, SignalError
from i2compress.kinds import Kind
from i2compress.media.shape.colours import PointColours, TriangleColours, along_edges, from_planes, to_planes
from i2compress.media.shape.content import parts_of

QUICK = EncodeSettings(grid=16, lam=2e-3, steps=50, threads=1)


def paint(places: Float64Array) -> Float64Array:
    """A colour for each place: halves of two colours, and a slope."""
    return np.where(places[:, :1] > 0, [0.9, 0.2, 0.1], [0.1, 0.3, 0.8]) + 0.1 * places[:, 1:2]


def painted(form: str = "ply", *, by_face: bool = False) -> bytes:
    vertices, faces = sphere()
    if by_face:
        mesh = trimesh.Trimesh(vertices, faces, face_colors=codes(paint(vertices[faces].mean(1))), process=False)
    else:
        mesh = trimesh.Trimesh(vertices, faces, vertex_colors=codes(paint(vertices)), process=False)
    data = mesh.export(file_type=form)
    return data.encode() if isinstance(data, str) else data


def codes(colours: Float64Array) -> np.ndarray:
    return np.rint(255 * np.clip(colours, 0, 1)).astype(np.uint8)


@cache
def ball() -> codec.Encoded:
    with media.open_source(painted()) as opened:
        return codec.encode(opened.source, QUICK)


def vertex_colours(data: bytes, form: str) -> tuple[Float64Array, Float64Array]:
    mesh = trimesh.load(io.BytesIO(data), file_type=form, process=False)
    mesh = mesh if hasattr(mesh, "faces") else mesh.dump()[0]
    return np.asarray(mesh.vertices, np.float64), np.asarray(mesh.visual.vertex_colors, np.float64)[:, :3] / 255


def error(vertices: Float64Array, colours: Float64Array) -> float:
    return float(np.abs(colours - np.clip(paint(vertices), 0, 1))[np.abs(vertices[:, 0]) > 0.2].mean())


@pytest.mark.parametrize("form", ["ply", "obj", "glb"])
def test_colours_of_vertices_come_back_in_every_format_that_has_them(form: str) -> None:
    vertices, colours = vertex_colours(decoded(ball().data, form=form), form)
    assert error(vertices, colours) < 0.03
    with media.open_source(painted(form)) as opened:
        assert opened.source.layout.channels == 4


@pytest.mark.parametrize("resolution", [7, 16, 35])
def test_colours_are_there_at_any_resolution(resolution: int) -> None:
    assert error(*vertex_colours(decoded(ball().data, View(resolution=resolution)), "ply")) < 0.06


def test_colours_are_measured_and_cost_distances_nothing() -> None:
    assert 24 < ball().figures["colours"] < 60
    with media.open_source(trimesh.Trimesh(*sphere(), process=False).export(file_type="ply")) as opened:
        plain = codec.encode(opened.source, QUICK)
    assert "colours" not in plain.figures
    ours, theirs = (parts_of(one.data).distances for one in (ball(), plain))
    assert ours == theirs
    assert {name: value for name, value in ball().figures.items() if name != "colours"} == pytest.approx(dict(plain.figures), rel=1e-6)


def test_colours_of_triangles_and_of_points_are_taken_too() -> None:
    vertices, _ = sphere(rings=40)
    for data in (painted(by_face=True), cloud(vertices, vertices, codes(paint(vertices)))):
        with media.open_source(data) as opened:
            source = opened.source
            assert source.layout.channels == 4
            middle = source.read(source.layout.grid[0] // 4, 1)
    there = middle[middle[..., 1] >= 0]
    assert len(there) and np.abs(there[:, 0]).max() < 1
    assert np.abs(there[:, 1:] - paint(np.array([[-0.5, 0.0, 0.0]]))).max() < 0.2
    assert (middle[np.abs(middle[..., 0]) == 1, 1:] == -1).all()


def test_a_format_without_colours_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    packed = tmp_path / "ball.i2"
    packed.write_bytes(ball().data)
    assert main(["decode", str(packed), "-o", str(tmp_path / "ball.stl")]) == 0
    assert "stl has no colours of vertices, and they are left out" in capfd.readouterr().err
    assert main(["decode", str(packed), "-o", str(tmp_path / "ball.ply")]) == 0
    assert "warning" not in capfd.readouterr().err
    assert main(["info", str(packed)]) == 0
    assert "distances and colours" in capfd.readouterr().out
    (tmp_path / "ball.source.ply").write_bytes(painted())
    assert main(["verify", str(packed), "--against", str(tmp_path / "ball.source.ply")]) == 0
    assert "dB PSNR of colours" in capfd.readouterr().out


def test_what_is_not_coded_of_colours_is_said() -> None:
    vertices, faces = sphere()
    clear = np.column_stack([codes(paint(vertices)), np.full(len(vertices), 99, np.uint8)])
    with media.open_source(trimesh.Trimesh(vertices, faces, vertex_colors=clear, process=False).export(file_type="ply")) as opened:
        assert any("opacity is not coded" in note for note in opened.source.notes)
    with media.open_source(scene()) as opened:
        assert any("parts of it have no colours" in note for note in opened.source.notes)
        assert opened.source.layout.channels == 4


def scene() -> bytes:
    """A coloured ball beside a box without colours."""
    ball = trimesh.Trimesh(*sphere(), vertex_colors=codes(paint(sphere()[0])), process=False)
    return trimesh.Scene([ball, trimesh.Trimesh(*box((2, 0, 0), (3, 1, 1)), process=False)]).export(file_type="glb")


def test_a_grid_of_distances_keeps_its_colours() -> None:
    data = decoded(ball().data, form="npz")
    with media.open_source(data) as opened:
        assert opened.source.layout.channels == 4
        made = codec.encode(opened.source, EncodeSettings(lam=2e-3, steps=30, threads=1))
    assert error(*vertex_colours(decoded(made.data), "ply")) < 0.05


def test_a_coordinate_field_holds_colours_too() -> None:
    with media.open_source(painted()) as opened:
        made = codec.encode(opened.source, EncodeSettings(grid=16, field="siren", width=16, steps=150, threads=1))
    assert codec.I2File.from_bytes(made.data).layout.channels == 4
    assert error(*vertex_colours(decoded(made.data), "ply")) < 0.15


def test_channels_that_are_no_colours_are_refused() -> None:
    values = np.zeros((8, 8, 8, 3), np.float32)
    with pytest.raises(SignalError, match="4 with red, green and blue"):
        codec.encode(Signal(values=values, kind=Kind.SHAPE, bit_depth=16), EncodeSettings(steps=1))
    file = io.BytesIO()
    np.savez(file, distance=values[..., 0], corner=np.zeros(3), spacing=np.ones(3), colour=values[..., :2])
    with pytest.raises(SignalError, match="colours of shape"), media.open_source(file.getvalue()):
        pass


def test_a_coloured_file_cut_short_is_shown_in_part_and_damage_is_refused() -> None:
    data = ball().data
    for place in range(0, len(data), 13):
        broken = bytearray(data)
        broken[place] ^= 0x55
        with pytest.raises(FormatError):
            codec.I2File.from_bytes(bytes(broken))
        with pytest.raises(FormatError):
            codec.I2File.from_bytes(data[:place])
    for lost in (10, 300, len(data) - ends(data)[5] + 2):  # of the last plane, of some, and all of them
        file = codec.I2File.from_bytes(data[:-lost], allow_partial=True)
        assert not file.complete and file.layout.channels == 4
        values = np.concatenate(list(file.blocks()))
        assert np.isfinite(values).all() and values.min() >= -1 and values.max() <= 1


def ends(data: bytes) -> list[int]:
    """Where each chunk of a file ends."""
    reader, found = ChunkReader(data), []
    while reader.position < len(data):
        reader.chunk()
        found.append(reader.position)
    return found


def test_planes_of_colours_that_do_not_belong_are_refused() -> None:
    parts, other = chunks(ball().data), chunks(boxed().data)
    headers = [k for k, (letter, _) in enumerate(parts) if letter == "H"]
    foreign = next(payload for letter, payload in other if letter == "H")
    for payload, what in ((foreign, "other blocks"), (bytes([parts[headers[1]][1][0] | 3 << 5]) + parts[headers[1]][1][1:], "no sparse pyramid")):
        wrong = [(letter, payload if k == headers[1] else own) for k, (letter, own) in enumerate(parts)]
        with pytest.raises(MalformedError, match=what):
            codec.I2File.from_bytes(SIGNATURE + b"".join(write_chunk(*part) for part in wrong))


@cache
def boxed() -> codec.Encoded:
    with media.open_source(ply(box((0, 0, 0), (1, 0.5, 0.5)))) as opened:
        return codec.encode(opened.source, EncodeSettings(grid=16, lam=2e-3, steps=2, threads=1))


def test_a_second_decoder_written_from_the_specification_finds_the_same_colours() -> None:
    parts = chunks(ball().data)
    blocks = [part for part in parts if part[0] == "O"]
    starts = [k for k, (letter, _) in enumerate(parts) if letter == "H"]
    content = codec.I2File.from_bytes(ball().data).content
    assert len(starts) == 4
    start, renderer = starts[1], content.colours[0].renderer  # type: ignore[attr-defined]
    grids, shapes, weights = reference.decode([*blocks, *parts[start : start + 3]])
    cells = renderer.lattice.levels[0].cells
    assert dict(zip(map(tuple, cells.tolist()), renderer._features[:, -1].tolist(), strict=True)) == grids[0]
    spec = renderer._spec
    wanted = [reference.value(tuple(cell), grids, shapes, weights, spec.step, spec.iterations) for cell in cells[::500].tolist()]
    assert renderer.at(cells[::500].astype(float))[:, 0] == pytest.approx(wanted, abs=1e-3)


def test_planes_come_back_as_colours() -> None:
    colours = np.random.default_rng(0).uniform(size=(50, 3))
    assert from_planes(to_planes(colours)) == pytest.approx(colours, abs=1e-6)
    assert (from_planes(np.full((2, 3), np.nan, np.float32)) == -1).all()


def test_colours_between_samples_are_linear_and_those_not_known_do_not_count() -> None:
    rgb = np.zeros((2, 1, 1, 3), np.float32)
    rgb[1] = 1
    assert along_edges(np.array([[0.25, 0, 0]]), rgb) == pytest.approx(0.25, abs=1e-5)
    rgb[0] = -1
    assert along_edges(np.array([[0.25, 0, 0]]), rgb) == pytest.approx(1)
    assert along_edges(np.array([[0.25, 0, 0]]), np.full((2, 1, 1, 3), -1, np.float32)) == pytest.approx(0.5)


def test_colours_of_places_are_those_of_the_nearest_one() -> None:
    vertices, faces = join(box(), box((5, 5, 5), (5, 5, 5)))  # of which the second has no area
    vertices[-1] = np.nan
    corners = vertices[faces]
    found = TriangleColours(vertices, faces, np.nan_to_num(corners)).at(np.array([[0.3, 0.6, 1.2], [-1.0, 0.5, 0.25]]))
    assert found == pytest.approx(np.array([[0.3, 0.6, 1.0], [0.0, 0.5, 0.25]]))
    points = PointColours(np.eye(3), np.eye(3))
    assert points.at(np.array([[1.0, 0.0, 0.0]])) == pytest.approx(1 / 3)
