"""Parts of frames that move by themselves: how is found, coded and checked, and what is decoded is the same whichever part is asked for."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from i2compress import EncodeSettings, Signal, View, codec
from i2compress.arrays import Float32Array
from i2compress.codec import I2File
from i2compress.container import write_chunk
from i2compress.errors import FormatError, LimitError, MalformedError, UnsupportedVersionError
from i2compress.fit.moved import MovedError, _read, moved
from i2compress.fit.registration import register
from i2compress.fit.windows import windows
from i2compress.header import Cursor, encode_varint
from i2compress.kinds import Kind
from i2compress.media.protocol import Hooks
from i2compress.media.video import motion, parts
from i2compress.media.video.format import read_video
from i2compress.media.video.mesh import mesh_bytes, read_mesh
from i2compress.media.video.motion import Motion
from i2compress.mesh import Mesh, mesh_shape
from i2compress.planes import open_plane
from i2compress.render.blocks import Scales
from i2compress.render.moving import MovingSolver
from i2compress.render.pyramid import Box

SETTINGS = EncodeSettings(steps=60, threads=1, device="cpu", lam=2e-3)
PARTS = sys.modules["i2compress.media.video.parts"]
FRAMES, HEIGHT, WIDTH = 17, 64, 80


def scene(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Fine smooth waves without a period at any real places."""
    rng, total = np.random.default_rng(5), np.zeros(np.broadcast_shapes(rows.shape, columns.shape))
    for _ in range(40):
        down, across, phase = *rng.uniform(-0.7, 0.7, 2), rng.uniform(0, 6.3)
        total += np.sin(down * rows + across * columns + phase)
    return np.asarray(0.5 + 0.03 * total, np.float32)


def swaying(count: int = FRAMES) -> Float32Array:
    """Frames `[count, H, W, 1]` in the middle of which a part sways by up to six samples, while what is about it rests."""
    rows, columns = np.arange(HEIGHT, dtype=float)[:, None], np.arange(WIDTH, dtype=float)[None]
    bump = np.exp(-(((rows - 32) / 20) ** 2) - ((columns - 40) / 24) ** 2)
    far = [6 * np.sin(0.3 * t) for t in range(count)]
    return np.stack([scene(rows + 0.6 * move * bump, columns + move * bump) for move in far])[..., None]


@cache
def sway() -> tuple[Signal, bytes]:
    """Such a video and its file."""
    signal = Signal(values=swaying(), kind=Kind.VIDEO, rate=25)
    return signal, codec.encode(signal, replace(SETTINGS, steps=20)).data


def some(grid: tuple[int, int, int] = (9, 40, 50), *, cell: int = 16, pace: int = 4) -> Mesh:
    """A mesh of displacements of up to two samples."""
    return Mesh(cell=cell, pace=pace, moves=np.random.default_rng(3).integers(-8, 9, mesh_shape(grid, cell, pace)))


def mesh_of(frames: Float32Array, hooks: Hooks | None = None, *, lam: float = 1e-3) -> Mesh | None:
    """That of frames of which 25 are shown a second."""
    return parts.found_mesh(frames, (), 25.0, lam, hooks or Hooks())


def read(data: bytes, grid: tuple[int, int, int]) -> Mesh:
    return read_mesh(Cursor(memoryview(data), 0, "group 1", MalformedError, "the file was written wrongly"), grid)


def test_how_a_part_moves_is_found_and_what_rests_rests() -> None:
    frames = swaying()[..., 0] + np.random.default_rng(0).normal(0, 1 / 255, (FRAMES, HEIGHT, WIDTH)).astype(np.float32)
    found = register(frames, np.zeros((FRAMES, 2)), cell=16, pace=1)
    assert found.left < 0.6
    # What the plane shows is where it was in some frame between, so only how far it goes from frame to frame is known.
    steps, wanted = np.diff(found.moves[:, :, 2, 2], axis=0), np.diff([-6 * np.sin(0.3 * t) for t in range(FRAMES)])
    assert np.corrcoef(steps[:, 1], wanted)[0, 1] > 0.9
    assert np.abs(np.diff(found.moves[:, :, 0, 0], axis=0)).max() < 0.3 * np.abs(wanted).max()


def test_the_displacements_of_frames_undo_those_of_their_plane() -> None:
    moves = np.stack([np.sin(np.arange(20.0).reshape(4, 5)), np.cos(2 * np.arange(20.0).reshape(4, 5))]).astype(np.float32)
    found = parts.of_frame(moves, 32)
    y, x = np.meshgrid(np.arange(30.0, 60), np.arange(40.0, 90), indexing="ij")
    mesh = Mesh(cell=32, pace=1, moves=4 * found[None])  # type: ignore[arg-type]
    rows, columns = np.arange(96.0), np.arange(128.0)
    by_rows, by_columns = mesh.over(mesh.values[0, 0], rows, columns), mesh.over(mesh.values[0, 1], rows, columns)
    x += by_columns[30:60, 40:90]
    y += by_rows[np.arange(30, 60)[:, None], np.rint(x).astype(int)]
    back = [PARTS._at(axis, y.astype(np.float32), x.astype(np.float32), 32) for axis in moves]
    assert np.abs(y + back[0] - np.arange(30, 60)[:, None]).mean() < 0.12
    assert np.abs(x + back[1] - np.arange(40, 90)).mean() < 0.12


def test_what_rests_and_what_was_stopped_and_small_frames_have_no_mesh() -> None:
    frames = swaying()[..., 0]
    assert mesh_of(frames) is not None
    still = np.repeat(frames[:1], 6, 0) + np.random.default_rng(0).normal(0, 2 / 255, (6, HEIGHT, WIDTH)).astype(np.float32)
    for given, hooks in ((still, Hooks()), (frames[:1], Hooks()), (frames[:, :32], Hooks()), (frames, Hooks(stop=lambda: True))):
        assert mesh_of(given, hooks) is None


def test_a_limited_time_that_would_be_spent_on_a_mesh_has_none() -> None:
    group = sys.modules["i2compress.media.video.group"]
    frames, layout = swaying()[..., 0], sway()[0].layout
    assert group.found_motion(frames, layout, replace(SETTINGS, time_limit=100.0), Hooks())[0].mesh is not None
    assert group.found_motion(frames, layout, replace(SETTINGS, time_limit=1.0), Hooks())[0].mesh is None


def test_a_mesh_takes_a_small_part_of_a_file_and_its_moments_are_as_far_apart_as_the_frame_rate_says() -> None:
    frames = swaying()[..., 0]
    assert mesh_of(frames, lam=1e-4) is not None and mesh_of(frames, lam=0.5) is None
    paces = [mesh.pace for rate in (5.0, 25.0, 60.0) if (mesh := parts.found_mesh(frames, (), rate, 1e-4, Hooks())) is not None]
    assert paces == [1, 3, 8]


def test_a_part_that_sways_takes_fewer_bits_at_less_error_than_frames_that_lie_still(monkeypatch: pytest.MonkeyPatch) -> None:
    signal = Signal(values=swaying(), kind=Kind.VIDEO, rate=25)
    moving = codec.encode(signal, SETTINGS)
    assert read_video(moving.data).groups[0].motion.mesh is not None
    monkeypatch.setattr(sys.modules["i2compress.media.video.group"], "found_mesh", lambda *_: None)
    still = codec.encode(signal, SETTINGS)
    losses = [10 ** (-found.psnr / 10) + SETTINGS.rate_weight * 8 * len(found.data) / signal.values.size for found in (moving, still)]
    assert losses[0] < 0.9 * losses[1]


@pytest.mark.parametrize("view", [View(frames=(3, 7, None)), View(crop=(20, 10, 31, 30)), View(crop=(61, 50, 19, 14), scale=2)])
def test_part_of_a_video_whose_parts_move_is_the_same_part_of_the_whole(view: View) -> None:
    data = sway()[1]
    file = I2File.from_bytes(data, threads=2)
    whole, part = file.render(View(scale=view.scale)).values, file.render(view)
    chosen, scale = slice(*view.frames) if view.frames else slice(None), round(view.scale or 1)
    x, y, width, height = (scale * side for side in view.crop or (0, 0, WIDTH, HEIGHT))
    assert np.abs(part.values - whole[chosen, y : y + height, x : x + width]).max() < 1e-6
    codec.check_cost(data, view)


class Standing:
    """Solves a scene that does not change."""

    grid = (9, 44, 56)

    def rows(self, scales: Scales, axis: int) -> int:
        return 4

    def bands(self, region: Box, scales: Scales, axis: int) -> Iterator[Float32Array]:
        (start, stop), *sides = region
        rows, columns = ((np.arange(a * n, b * n) + 0.5) / n - 0.5 for (a, b), n in zip(sides, scales[1:], strict=True))
        yield np.repeat(scene(rows[:, None], columns[None])[None, ..., None], (stop - start) * scales[0], 0)


@pytest.mark.parametrize("scales", [(1, 1, 1), (2, 3, 2)])
def test_frames_are_seen_where_the_mesh_and_the_path_say(scales: tuple[int, int, int]) -> None:
    mesh, offsets = some(), np.linspace([0.0, 3.0], [3.5, 0.25], 9)
    solver = MovingSolver(Standing(), offsets, (9, 40, 50), mesh)  # type: ignore[arg-type]
    found = np.concatenate(list(solver.bands(((0, 9), (4, 30), (5, 44)), scales, 0)))
    moments = ((np.arange(9 * scales[0]) + 0.5) / scales[0] - 0.5).clip(0, 8)
    rows, columns = ((np.arange(a * n, b * n) + 0.5) / n - 0.5 for (a, b), n in zip(((4, 30), (5, 44)), scales[1:], strict=True))
    for frame, moment in zip(found, moments, strict=True):
        points = np.stack([[[np.interp(moment, [0, 4, 8], mesh.moves[:, k, i, j] / 4) for j in range(5)] for i in range(4)] for k in range(2)])

        def at(k: int, y: float, x: float, points: np.ndarray = points) -> float:
            """Bilinear, as section 15.6 of docs/format.md says it."""
            i, j = min(int(y // 16), 2), min(int(x // 16), 3)
            f, g = y / 16 - i, x / 16 - j
            here = points[k, i : i + 2, j : j + 2]
            return float((1 - f) * ((1 - g) * here[0, 0] + g * here[0, 1]) + f * ((1 - g) * here[1, 0] + g * here[1, 1]))

        y0, x0 = (np.interp(moment, np.arange(9), offsets[:, k]) for k in range(2))
        there = np.array([[x + at(1, y, x) for x in columns] for y in rows])
        down = np.array([[y + at(0, y, to) for to in line] for y, line in zip(rows, there, strict=True)])
        wanted = scene(down + y0, there + x0)
        assert np.abs(frame[..., 0] - wanted).mean() < 0.1 * np.abs(scene(rows[:, None], columns[None]) - wanted).mean()


def test_compiled_loops_are_the_same_as_tensor_operations_and_their_gradients_too() -> None:
    rng = np.random.default_rng(0)
    values, moves = torch.from_numpy(rng.random((1, 2, 5, 20, 30), np.float32)), torch.from_numpy(rng.normal(0, 3, (2, 5, 20, 30)).astype(np.float32))
    moves[:, 1] = torch.round(moves[:, 1])  # as they are where nothing moves by parts of a sample
    by = torch.from_numpy(rng.random((1, 2, 5, 20, 30), np.float32))
    found, gradients = [], []
    for made in (moved, lambda values, moves: _read(_read(values, moves[0], 3), moves[1], 4)):
        leaf = values.clone().requires_grad_()
        found.append(made(leaf, moves))
        (found[-1] * by).sum().backward()
        gradients.append(leaf.grad)
    assert torch.allclose(*found, atol=1e-5) and torch.allclose(*gradients, atol=1e-5)


def test_the_fits_error_is_that_of_the_decoded_frames_in_one_window_and_in_several() -> None:
    signal, data = sway()
    group, frames = read_video(data).groups[0], I2File.from_bytes(data, threads=2).render().values
    plane = open_plane(group.content, threads=1)
    output = torch.from_numpy(np.moveaxis(plane.renderer.render(), -1, 0)[None].copy())
    values, seen = (motion.laid(given, group.motion) for given in (signal.values, np.ones_like(signal.values)))
    measure = MovedError(values, seen, motion.moves((FRAMES, HEIGHT, WIDTH), group.motion), device=torch.device("cpu"))
    error = float(np.square(frames - signal.values).sum()) / seen.size
    (window,) = windows(plane.spec, None, measure.reach)  # type: ignore[arg-type]
    assert float(measure(output, window)) == pytest.approx(error, rel=1e-3)
    several = windows(plane.spec, 32, measure.reach)  # type: ignore[arg-type]
    cores = [np.prod([side.stop - side.start for side in part.core[0]]) for part in several]
    errors = [float(measure(output[(..., *part.whole[0])], part)) for part in several]
    assert len(several) > 1 and np.dot(errors, cores) / sum(cores) == pytest.approx(error, rel=1e-3)
    assert measure.halved().reach == (measure.reach + 1) // 2


@pytest.mark.parametrize(("grid", "cell", "pace"), [((9, 40, 50), 16, 4), ((1, 3, 200), 32, 1), ((70, 5, 9), 4, 7)])
def test_meshes_come_back(grid: tuple[int, int, int], cell: int, pace: int) -> None:
    mesh = Mesh(cell=cell, pace=pace, moves=np.random.default_rng(1).integers(-255, 256, mesh_shape(grid, cell, pace)))
    found = read(mesh_bytes(mesh), grid)
    assert (found.cell, found.pace) == (cell, pace) and np.array_equal(found.moves, mesh.moves)


def test_a_mesh_that_hardly_moves_takes_few_bytes() -> None:
    moves = np.zeros(mesh_shape((128, 144, 176), 32, 4), np.int64)
    moves[10:, 1, 2, 3] = 3
    assert len(mesh_bytes(Mesh(cell=32, pace=4, moves=moves))) < 60


def test_meshes_that_no_encoder_writes_are_refused() -> None:
    mesh = some()
    for data, error, text in (
        (mesh_bytes(replace(mesh, moves=0 * mesh.moves)), MalformedError, "up to 0"),
        (encode_varint(3) + mesh_bytes(mesh)[1:], MalformedError, "cell 3"),
        (encode_varint(16) + encode_varint(0), MalformedError, "pace 0"),
        (b"", MalformedError, "ends early"),
        (b"\xff\xff\xff\x7f\0", LimitError, "cell of the mesh"),
        (mesh_bytes(replace(mesh, moves=np.full_like(mesh.moves, 256))), MalformedError, "up to 256"),
    ):
        with pytest.raises(error, match=text):
            read(data, (9, 40, 50))


def test_a_mesh_that_would_take_long_is_refused_before_it_is_decoded() -> None:
    for grid in ((1 << 20, 8, 8), (2, 1 << 20, 8), (2, 8, 1 << 20), (1 << 15, 4, 1 << 12)):
        with pytest.raises(LimitError, match="expected at most 65536 rows"):
            read(encode_varint(4) + encode_varint(1), (grid[0], grid[1], 4 * grid[2]))


def test_bytes_of_any_kind_are_a_mesh_or_refused() -> None:
    rng, made = np.random.default_rng(0), 0
    for _ in range(200):
        try:
            made += read(encode_varint(16) + encode_varint(4) + rng.bytes(rng.integers(0, 60)), (9, 40, 50)).moves.any()
        except FormatError:
            continue
    assert made > 0


def test_a_mesh_stands_only_after_the_group_that_it_is_of() -> None:
    data, group = sway()[1], read_video(sway()[1]).groups[0]
    assert group.motion.mesh is not None
    chunk, start = write_chunk("M", mesh_bytes(group.motion.mesh)), write_chunk("S", b"\0" + motion.path_bytes(group.motion.path))
    assert data.count(start + chunk) == 1
    for changed in (start + chunk + chunk, chunk + start):
        with pytest.raises(FormatError, match=r"expected '[HS]'"):
            read_video(data.replace(start + chunk, changed))
    still = read_video(data.replace(start + chunk, start))
    assert still.groups[0].motion == Motion(path=group.motion.path)
    with pytest.raises(UnsupportedVersionError, match="unknown type 'Q'"):
        read_video(data.replace(chunk, write_chunk("Q", b"")))


def test_a_still_motion_is_none() -> None:
    assert not Motion() and Motion(mesh=some()) and Motion(path=((0, 0), (1, 0)))


def test_where_the_camera_goes_far_parts_do_not_move_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    group, frames, layout = sys.modules["i2compress.media.video.group"], swaying()[..., 0], sway()[0].layout
    for far, wanted in ((5, True), (24, False)):  # columns, of 80
        path = tuple((0, 8 * far * number // (FRAMES - 1)) for number in range(FRAMES))
        monkeypatch.setattr(group, "camera_path", lambda frames, largest, path=path: path)
        monkeypatch.setattr(group, "found_mesh", lambda *_: some())
        assert (group.found_motion(frames, layout, SETTINGS, Hooks())[0].mesh is not None) == wanted
        monkeypatch.setattr(group, "camera_path", lambda frames, largest: ())  # as where a plane would be too large for it
        monkeypatch.setattr(group, "found_path", lambda frames, path=path: path)
        assert (group.found_motion(frames, layout, SETTINGS, Hooks())[0].mesh is not None) == wanted
