"""Shapes: meshes become distances in sparse pyramids, and surfaces again."""

import io
import itertools
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import reference_shape as reference
import torch
from reference_decoder import chunks
from shapes import Mesh, box, join, ply, sphere, volume

from i2compress import EncodeSettings, View, codec, media
from i2compress.cli import main
from i2compress.coding.context import ContextWeights
from i2compress.coding.lattice import Lattice, interpolate, spline_taps
from i2compress.coding.occupancy import decode_occupancy, encode_occupancy
from i2compress.coding.sparse_latents import decode_sparse, encode_sparse
from i2compress.config import Target
from i2compress.container import insert_origin, read_origin
from i2compress.errors import FormatError, LimitError, SignalError, UsageError
from i2compress.field.sparse_field import SparseField, parent_gathers, point_gather
from i2compress.field.sparse_spec import SparseSpec, sparse_prior
from i2compress.media.shape import libraries, measures
from i2compress.media.shape.sniff import sniff
from i2compress.media.shape.solid import Solid, boundary_loops
from i2compress.media.shape.write import weld
from i2compress.render.sparse import SparseRenderer, label_regions

QUICK = EncodeSettings(grid=32, lam=4e-3, steps=60, threads=1, device="cpu")


@cache
def ball() -> codec.Encoded:
    """A sphere's file."""
    with media.open_source(ply(sphere())) as opened:
        return codec.encode(opened.source, QUICK)


def decoded(data: bytes, view: View | None = None, form: str = "ply") -> bytes:
    """The mesh file of a view."""
    file, content, view = io.BytesIO(), codec.I2File.from_bytes(data, threads=1), view or View()
    with media.open_writer(file, content.output(view), format=form) as sink:
        for block in content.blocks(view):
            sink.write(block)
    return file.getvalue()


def mesh_of(data: bytes, form: str = "ply") -> Mesh:
    """The triangles of a mesh file."""
    import trimesh

    mesh = trimesh.load(io.BytesIO(data), file_type=form, force="mesh", process=False)
    return np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)


def shell_lattice(depth: int = 4) -> Lattice:
    """Active blocks around a sphere in a grid of 32."""
    x, y, z = np.meshgrid(*[np.arange(8)] * 3, indexing="ij")
    radius = np.sqrt((x - 3.5) ** 2 + (y - 3.5) ** 2 + (z - 3.5) ** 2)
    return Lattice(grid=(32, 32, 32), block=2, active=np.abs(radius - 2.8) < 0.9, depth=depth)


def test_every_parent_of_a_cell_exists_and_interpolation_reproduces_a_plane() -> None:
    lattice = shell_lattice()
    for fine, above, parents in zip(lattice.levels, lattice.levels[1:], lattice.parents, strict=False):
        assert parents.max() < above.count
        inside = ((fine.cells > 1) & (fine.cells < np.array(fine.shape) - 2)).all(1)
        plane = [(level.cells + 0.5) * 2.0**level.level @ np.array([1.0, -2.0, 0.5]) for level in (fine, above)]
        found = interpolate(plane[1][:, None].astype(np.float32), parents)[:, 0]
        assert np.abs(found - plane[0])[inside].max() < 1e-3


def test_a_neighbour_is_the_cell_at_its_offset_and_those_that_are_not_there_have_the_index_after_the_last() -> None:
    level = shell_lattice().levels[1]
    table = level.neighbours(3)
    known = {tuple(cell): number for number, cell in enumerate(level.cells.tolist())}
    for row, offset in zip(table, ((0, 0, -1), (0, -1, 0), (-1, 0, 0)), strict=True):
        wanted = [known.get(tuple(np.add(cell, offset).tolist()), level.count) for cell in level.cells.tolist()]
        assert row.tolist() == wanted


def test_cells_without_end_are_refused() -> None:
    with pytest.raises(LimitError, match="active blocks have"):
        Lattice(grid=(512,) * 3, block=2, active=np.ones((128,) * 3, np.bool_), depth=2)
    with pytest.raises(LimitError):
        Lattice(grid=(8,) * 3, block=2, active=np.zeros((2,) * 3, np.bool_), depth=2)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 4, 5), (8, 8, 8), (1, 9, 2)])
def test_occupancy_comes_back_and_a_surface_takes_few_bits(shape: tuple[int, ...]) -> None:
    active = np.random.default_rng(0).random(shape) < 0.3
    assert np.array_equal(decode_occupancy(encode_occupancy(active), shape), active)
    x, y, z = np.meshgrid(*[np.arange(20) - 9.5] * 3, indexing="ij")
    surface = np.abs(np.sqrt(x * x + y * y + z * z) - 8) < 0.9
    data = encode_occupancy(surface)
    assert np.array_equal(decode_occupancy(data, surface.shape), surface) and 8 * len(data) < 0.4 * surface.size


def context(spec: SparseSpec, seed: int) -> ContextWeights:
    """A context model of random integers."""
    random = np.random.default_rng(seed)
    tensors = spec.context.tensors
    return ContextWeights(
        spec=spec.context,
        integers={name: random.integers(-200, 200, tensor.shape) for name, tensor in tensors.items()},
        bits=dict.fromkeys(tensors, 8),
    )


def test_latents_come_back_wave_by_wave_in_one_stream_and_in_several() -> None:
    lattice = shell_lattice()
    weights = context(SparseSpec(grid=lattice.grid, levels=lattice.depth), 1)
    random = np.random.default_rng(2)
    latents = [np.rint(random.laplace(0, 3, level.count)).astype(np.int32) for level in lattice.levels]
    back = decode_sparse(encode_sparse(latents, lattice, weights), lattice, weights)
    assert all(np.array_equal(a, b) for a, b in zip(latents, back, strict=True))
    coarse = decode_sparse(encode_sparse(latents, lattice, weights, levels=range(2, 4)), lattice, weights, levels=range(2, 4))
    fine = decode_sparse(encode_sparse(latents, lattice, weights, levels=range(2)), lattice, weights, levels=range(2), coarser=coarse)
    assert all(np.array_equal(a, b) for a, b in zip(latents, [*fine, *coarse], strict=True))


def test_the_renderer_and_the_field_that_was_fitted_are_one_function_and_its_gradient_is_right() -> None:
    lattice = shell_lattice()
    spec = SparseSpec(grid=lattice.grid, levels=lattice.depth, iterations=5, step_code=60)
    random = np.random.default_rng(3)
    values = {name: value + 0.05 * random.normal(size=value.shape) for name, value in sparse_prior(0, spec).items()}
    latents = [random.integers(-4, 5, level.count).astype(np.int32) for level in lattice.levels]
    cells = lattice.levels[0].cells
    points = (cells[random.choice(len(cells), 500)] + random.uniform(-0.5, 0.5, (500, 3))).astype(np.float32)
    device = torch.device("cpu")
    field = SparseField(spec, values, iterations=spec.iterations)
    gather = point_gather(lattice, points, device=device)
    inputs = [torch.tensor(grid, dtype=torch.float32, requires_grad=True) for grid in latents]
    out = field.values(gather(field.features(inputs, parent_gathers(lattice, device=device))))
    weights = {name: (value * spec.step if name in ("B", "S") else value).astype(np.float32) for name, value in values.items()}
    rendered = SparseRenderer(spec, lattice, weights, latents).at(points)
    assert np.abs(out.detach().numpy() - rendered).max() < 1e-4
    direction = torch.randn(500, 1, generator=torch.Generator().manual_seed(0))
    x = torch.randn(lattice.levels[0].count, 2, generator=torch.Generator().manual_seed(1), requires_grad=True)
    (gather(x) * direction).sum().backward()  # type: ignore[no-untyped-call]
    rows, taps = spline_taps(lattice.levels[0], points)
    dense = np.zeros((500, lattice.levels[0].count), np.float32)
    for k in range(27):
        np.add.at(dense, (np.arange(500), rows[:, k]), taps[:, k])
    assert x.grad is not None
    assert np.abs(x.grad.numpy() - (dense.T @ direction.numpy())).max() < 1e-4


def test_regions_are_connected_by_faces() -> None:
    walls = np.ones((5, 6, 7), np.bool_)
    walls[2] = False
    walls[0, 3] = False
    labels = label_regions(walls)
    found = [labels[0, 0, 0], labels[4, 5, 6], labels[2, 2, 2]]
    assert len(set(found)) == 3 and found[2] == 0
    assert (labels[:2][walls[:2]] == found[0]).all() and (labels[3:] == found[1]).all()


def test_a_ball_comes_back_closed_at_any_resolution_and_close_to_its_source() -> None:
    made = ball()
    assert made.figures["chamfer"] < 4000 and made.figures["iou"] > 95 and made.figures["normals"] > 96
    assert len(made.data) < 2500
    again = codec.I2File.from_bytes(made.data, threads=1)
    with media.open_source(ply(sphere())) as opened:
        assert again.score(media.on_layout(opened.source, again.layout)) == made.figures
    for resolution in (None, 16, 50, 96):
        mesh = mesh_of(decoded(made.data, View(resolution=resolution)))
        assert len(boundary_loops(mesh[1])) == 0
        assert volume(mesh) == pytest.approx(volume(sphere()), rel=0.2 if resolution == 16 else 0.05)
        assert np.abs(np.linalg.norm(mesh[0], axis=1) - 1).max() < 0.3


def test_the_same_encode_gives_the_same_file() -> None:
    with media.open_source(ply(sphere())) as opened:
        assert codec.encode(opened.source, QUICK).data == ball().data


def test_a_box_of_it_is_that_part_closed_where_it_was_cut() -> None:
    mesh = mesh_of(decoded(ball().data, View(box=(0, -2, -2, 2, 2, 2), resolution=64)))
    assert mesh[0][:, 0].min() > -0.15 and mesh[0][:, 0].max() == pytest.approx(1, abs=0.08)
    assert len(boundary_loops(mesh[1])) == 0 and volume(mesh) == pytest.approx(volume(sphere()) / 2, rel=0.2)
    with pytest.raises(UsageError, match="box is"):
        decoded(ball().data, View(box=(5, 5, 5, 6, 6, 6)))


@pytest.mark.parametrize("form", ["ply", "obj", "stl", "glb", "off"])
def test_every_mesh_format_is_written_and_known_by_its_content(form: str) -> None:
    data = decoded(ball().data, form=form)
    assert sniff(data[:4096]) == form
    assert volume(mesh_of(data, form)) == pytest.approx(volume(sphere()), rel=0.05)


def test_a_grid_of_distances_is_written_and_encoded() -> None:
    data = decoded(ball().data, form="npz")
    with media.open_source(data) as opened:
        made = codec.encode(opened.source, EncodeSettings(lam=4e-3, steps=150, threads=1))
        values = opened.source.read(0, 99)
    assert values.min() == -1 and values.max() == 1
    vertices, _ = mesh_of(decoded(made.data))
    assert np.abs(np.linalg.norm(vertices, axis=1) - 1).mean() < 0.05


def test_a_coordinate_field_holds_a_shape_too() -> None:
    with media.open_source(ply(sphere())) as opened:
        made = codec.encode(opened.source, EncodeSettings(grid=20, field="siren", width=16, steps=300, threads=1))
    assert volume(mesh_of(decoded(made.data, View(resolution=40)))) == pytest.approx(volume(sphere()), rel=0.25)


def test_a_file_cut_short_still_shows_the_coarse_shape_and_damage_is_refused() -> None:
    data = ball().data
    for place in range(0, len(data), 11):
        broken = bytearray(data)
        broken[place] ^= 0x55
        with pytest.raises(FormatError):
            codec.I2File.from_bytes(bytes(broken))


def solid(mesh: Mesh) -> Solid:
    return Solid(*mesh, "it")


def test_what_is_mended_is_said() -> None:
    cube = box()
    assert solid(cube).notes == []
    inside_out = solid((cube[0], cube[1][:, ::-1].copy()))
    assert "face inwards" in inside_out.notes[0]
    opened = solid((cube[0], cube[1][2:]))
    assert "1 hole was closed" in opened.notes[0]
    overlapping = solid(join(cube, box((0.25, 0.25, 0.25), (0.75, 0.75, 0.75))))
    assert "12 triangles do not part" in overlapping.notes[0]
    sheet = solid((cube[0], cube[1][:2]))
    assert any("coded as a shell" in note for note in sheet.notes) and sheet.half > 0
    nan = solid((np.concatenate([cube[0], [[np.nan] * 3]]), np.concatenate([cube[1], [[0, 1, 8]]])))
    assert "1 triangles have vertices that are missing or not a number" in nan.notes[0]
    middle = np.array([[0.5, 0.5, 0.5], [0.5, 0.5, 1.5]])
    for found in (solid(cube), inside_out, opened, overlapping, nan):
        assert found.distance(middle) == pytest.approx([-0.5, 0.5], abs=1e-9)


@pytest.mark.parametrize(
    ("mesh", "what"),
    [
        ((np.zeros((0, 3)), np.zeros((0, 3), np.int64)), "has no triangles"),
        ((np.full((3, 3), np.nan), np.array([[0, 1, 2]])), "has no triangles"),
        ((np.zeros((3, 3)), np.array([[0, 1, 2]])), "no triangle with an area"),
    ],
)
def test_what_is_no_surface_is_refused_in_a_sentence(mesh: Mesh, what: str) -> None:
    with pytest.raises(SignalError, match=what):
        solid(mesh)


@pytest.mark.parametrize(
    "data", [b"ply\nformat ascii 1.0\nend_header\n", b"OFF\nnonsense", b"glTF\2\0\0\0", b"PK\3\4distance.npy", b"v 0 0 0\nv 1 0 0\n"]
)
def test_a_damaged_mesh_file_is_a_sentence(data: bytes) -> None:
    with pytest.raises(SignalError), media.open_source(data):
        pass


def test_figures_are_their_definitions() -> None:
    there, back = np.array([0.0, 2.0]), np.array([4.0, 4.0])
    assert measures.chamfer_l1(there, back) == 2.5
    assert measures.chamfer_l2(there, back) == pytest.approx(3.0)
    assert measures.hausdorff(there, back) == 4.0
    assert measures.f_score(there, np.array([0.0, 0.0]), 1.0) == pytest.approx(200 / 3)
    assert measures.f_score(there, back, -1.0) == 0
    assert measures.normal_consistency(np.array([1.0, -1.0]), np.array([0.0, 0.0])) == 50
    assert measures.intersection_over_union(np.array([True, True, False]), np.array([True, False, False])) == 50
    assert measures.intersection_over_union(np.array([False]), np.array([False])) == 100


def test_a_moved_box_is_as_far_as_it_was_moved() -> None:
    figures = measures.surface_figures(solid(box()), *box((0.01, 0, 0), (1.01, 1, 1)))
    assert figures["hausdorff"] == pytest.approx(10_000, rel=0.01)
    assert figures["chamfer"] == pytest.approx(10_000 / 3, rel=0.1)  # two of six sides moved away
    assert figures["iou"] == pytest.approx(99, abs=0.5)
    assert figures["normals"] > 99


def test_slabs_are_welded() -> None:
    vertices, faces = weld(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1e-6, 0, 0]], np.float64), np.array([[0, 1, 2], [3, 2, 1], [0, 3, 1]]))
    assert len(vertices) == 3 and len(faces) == 2


def test_a_missing_library_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trimesh", None)
    with pytest.raises(UsageError, match=r'trimesh.* pip install "i2compress\[shape\]"'):
        libraries.trimesh()


@pytest.mark.parametrize(("name", "sign"), [("ply", b"property float nx"), ("obj", b"\nvn "), ("glb", b'"NORMAL"')])
def test_vertices_have_normals_where_asked_for(name: str, sign: bytes, tmp_path: Path) -> None:
    (tmp_path / "ball.i2").write_bytes(ball().data)
    target = tmp_path / f"ball.{name}"
    assert main(["decode", str(tmp_path / "ball.i2"), "--normals", "-o", str(target)]) == 0 and sign in target.read_bytes()
    assert main(["decode", str(tmp_path / "ball.i2"), "-f", "-o", str(target)]) == 0 and sign not in target.read_bytes()


def test_normals_point_away_from_a_ball(tmp_path: Path) -> None:
    (tmp_path / "ball.i2").write_bytes(ball().data)
    assert main(["decode", str(tmp_path / "ball.i2"), "--normals", "-o", str(tmp_path / "ball.obj")]) == 0
    lines = [line.split() for line in (tmp_path / "ball.obj").read_text().splitlines()]
    places, normals = (np.array([line[1:4] for line in lines if line[:1] == [name]], float) for name in ("v", "vn"))
    assert np.allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    assert (normals * places / np.linalg.norm(places, axis=1, keepdims=True)).sum(1).min() > 0.9


def test_a_format_without_normals_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ball.i2").write_bytes(ball().data)
    assert main(["decode", str(tmp_path / "ball.i2"), "--normals", "-o", str(tmp_path / "ball.stl")]) == 0
    assert "stl has no normals of vertices" in capfd.readouterr().err


def test_the_command_line_takes_shapes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "ball.ply"
    source.write_bytes(ply(sphere()))
    assert main(["encode", str(source), "--grid", "24", "--steps", "20"]) == 0
    assert "not its vertices" in capfd.readouterr().err
    packed = str(tmp_path / "ball.i2")
    assert main(["decode", packed]) == 0 and (tmp_path / "ball.i2.ply").exists()
    assert main(["decode", packed, "--resolution", "40", "--box", "0,0,0,2,2,2", "-o", str(tmp_path / "part.stl")]) == 0
    assert main(["verify", packed, "--against", str(source)]) == 0
    assert "Chamfer-L1" in capfd.readouterr().out
    assert main(["info", packed]) == 0
    assert main(["decode", packed, "--box", "1,2", "-o", str(tmp_path / "x.ply")]) == 2
    assert main(["decode", packed, "--box", "1,1,1,0,2,2", "-o", str(tmp_path / "x.ply")]) == 2
    assert main(["encode", str(source), "--grid", "9", "-f"]) == 2


def test_bernoulli_probabilities_of_a_context_stay_inside() -> None:
    # A long run of ones must not drive a share to 1, which the coder refuses.
    for active in (np.ones((24, 24, 24), np.bool_), np.zeros((24, 24, 24), np.bool_)):
        assert np.array_equal(decode_occupancy(encode_occupancy(active), active.shape), active)


def test_all_corners_of_a_cell_are_parents() -> None:
    level = Lattice(grid=(8, 8, 8), block=2, active=np.ones((2, 2, 2), np.bool_), depth=2)
    cells = {tuple(cell) for cell in level.levels[1].cells.tolist()}
    assert cells == set(itertools.product(range(4), repeat=3))


def test_points_with_normals_become_a_closed_surface_and_points_without_are_refused() -> None:
    vertices, _ = sphere(rings=40)
    for normals, head in ((vertices, "property float nx\nproperty float ny\nproperty float nz\n"), (np.zeros((len(vertices), 0)), "")):
        lines = "\n".join(" ".join(f"{value:.6f}" for value in row) for row in np.column_stack([vertices, normals]))
        start = f"ply\nformat ascii 1.0\nelement vertex {len(vertices)}\nproperty float x\nproperty float y\nproperty float z\n"
        data = f"{start}{head}end_header\n{lines}\n".encode()
        if not head:
            with pytest.raises(SignalError, match="neither triangles nor normals"), media.open_source(data):
                pass
            continue
        with media.open_source(data) as opened:
            source = opened.source
            assert any("joined to a surface" in note for note in source.notes)
            assert volume((source.solid.vertices, source.solid.faces)) == pytest.approx(volume(sphere()), rel=0.03)  # type: ignore[attr-defined]


def test_the_explicit_twin_is_a_file_too() -> None:
    with media.open_source(ply(sphere())) as opened:
        made = codec.encode(opened.source, EncodeSettings(grid=24, lam=4e-3, steps=30, threads=1, explicit=True))
    assert codec.I2File.from_bytes(made.data).content.plane.spec.explicit  # type: ignore[union-attr]
    assert volume(mesh_of(decoded(made.data))) == pytest.approx(volume(sphere()), rel=0.08)


def test_a_second_decoder_written_from_the_specification_gives_the_same_latents_and_values() -> None:
    with media.open_source(ply(sphere(rings=12))) as opened:
        data = codec.encode(opened.source, EncodeSettings(grid=16, lam=2e-3, steps=30, width=3, threads=1)).data
    grids, shapes, weights = reference.decode(chunks(data))
    plane = codec.I2File.from_bytes(data).content.plane  # type: ignore[union-attr]
    assert len(grids) == len(plane.latents) > 2
    lattice = plane.renderer.lattice  # type: ignore[union-attr]
    for grid, level, found in zip(grids, lattice.levels, plane.latents, strict=True):
        assert grid == dict(zip(map(tuple, level.cells.tolist()), found.tolist(), strict=True))
    cells = lattice.levels[0].cells
    places = cells[:: len(cells) // 12] + np.random.default_rng(0).uniform(-0.5, 0.5, (len(cells[:: len(cells) // 12]), 3))
    wanted = [reference.value(tuple(place), grids, shapes, weights, plane.spec.step, plane.spec.iterations) for place in places.tolist()]
    assert plane.renderer.at(places)[:, 0] == pytest.approx(wanted, abs=1e-3)  # type: ignore[union-attr]


def test_a_file_that_says_what_it_was_made_from_decodes_to_the_same() -> None:
    data = insert_origin(ball().data, bytes(range(16)))
    assert read_origin(data) == bytes(range(16))
    assert decoded(data) == decoded(ball().data)


def test_a_size_can_be_asked_for_but_not_bits_a_sample() -> None:
    with media.open_source(ply(sphere())) as opened:
        limit = len(ball().data) * 5 // 4
        assert len(codec.encode(opened.source, replace(QUICK, lam=None, target=Target(size=limit))).data) <= limit
        with pytest.raises(UsageError, match="--bpp is for sources with samples of their own"):
            codec.encode(opened.source, replace(QUICK, lam=None, target=Target(bpp=1.0)))
