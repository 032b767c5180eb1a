"""Frames that a camera moves over: where they lie is found, coded and checked, and what is decoded is the same whichever part is asked for."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
import torch

from i2compress import EncodeSettings, Signal, View, codec
from i2compress.arrays import Float32Array
from i2compress.codec import I2File
from i2compress.container import write_chunk
from i2compress.errors import FormatError, LimitError, MalformedError, UsageError
from i2compress.field.spec import PyramidSpec
from i2compress.fit.distortion import SquaredError
from i2compress.fit.loss_terms import SAMPLING, loss_windows
from i2compress.fit.moved import MovedError
from i2compress.fit.problem import Problem
from i2compress.fit.schedule import pyramid_schedule
from i2compress.fit.windows import windows
from i2compress.header import Cursor
from i2compress.kinds import Kind
from i2compress.media.video import camera, motion
from i2compress.media.video.format import read_video
from i2compress.planes import open_plane
from i2compress.render.blocks import Scales
from i2compress.render.moving import MovingSolver
from i2compress.render.pyramid import Box

SETTINGS = EncodeSettings(steps=30, threads=1, device="cpu", lam=1e-3)
ENCODER = sys.modules["i2compress.media.video.group"]
STEP = (0.25, 0.5625)  # rows and columns from frame to frame


def scene(rows: np.ndarray, columns: np.ndarray) -> Float32Array:
    """Fine smooth waves without a period, `[len(rows), len(columns)]`, at any real places."""
    rng, total = np.random.default_rng(5), np.zeros((len(rows), len(columns)))
    for _ in range(40):
        down, across, phase = *rng.uniform(-1.3, 1.3, 2), rng.uniform(0, 6.3)
        total += np.sin(down * rows[:, None] + across * columns + phase)
    return np.asarray(0.5 + 0.03 * total, np.float32)


def panned(count: int, height: int = 24, width: int = 32, *, step: tuple[float, float] = STEP) -> Float32Array:
    """Frames `[count, H, W, 1]` of a camera that moves evenly over a scene."""
    return at(range(count), height, width, step=step)


def at(moments: Iterable[float], height: int = 24, width: int = 32, *, step: tuple[float, float] = STEP, scale: int = 1) -> Float32Array:
    """The same at any moments, in frames, and at an integer scale."""
    rows, columns = ((np.arange(side * scale) + 0.5) / scale - 0.5 for side in (height, width))
    return np.stack([scene(rows + t * step[0], columns + t * step[1]) for t in moments])[..., None]


@cache
def pan() -> tuple[Signal, bytes]:
    """Two groups of a moving camera, the second of which follows the first, and their file."""
    signal = Signal(values=panned(34), kind=Kind.VIDEO, rate=25)
    return signal, codec.encode(signal, replace(SETTINGS, steps=10)).data


def test_a_moving_camera_is_found_to_an_eighth_of_a_sample_whatever_moves_in_front_of_it() -> None:
    frames = panned(8, step=(-0.4, 0.9))[..., 0] + np.random.default_rng(0).normal(0, 1 / 255, (8, 24, 32)).astype(np.float32)
    frames[:, 6:12, 4:12] = 1  # stands still in the frames
    places = motion.offsets(camera.camera_path(frames, 1 << 24))
    wanted = np.arange(8)[:, None] * np.array([-0.4, 0.9])
    assert np.abs(places - (wanted - wanted.min(0))).max() <= 1 / 8


def test_frames_of_a_camera_that_stands_do_not_move_and_their_files_are_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.repeat(panned(1), 6, 0) + np.random.default_rng(0).normal(0, 2 / 255, (6, 24, 32, 1)).astype(np.float32)
    values[:, 8:16, :8] = np.stack([scene(np.arange(8), np.arange(8) - 3 * t) for t in range(6)])[..., None]  # moves by itself
    flat = np.full((6, 24, 32), 0.5, np.float32)
    assert camera.camera_path(values[..., 0], 1 << 24) == camera.camera_path(flat, 1 << 24) == camera.camera_path(flat[:1], 1 << 24) == ()
    signal = Signal(values=values.clip(0, 1), kind=Kind.VIDEO, rate=25)
    data = codec.encode(signal, replace(SETTINGS, steps=3)).data
    monkeypatch.setattr(ENCODER, "camera_path", lambda frames, largest: ())
    assert codec.encode(signal, replace(SETTINGS, steps=3)).data == data


def test_a_camera_that_goes_too_far_for_one_plane_does_not_move_it() -> None:
    frames = panned(14, step=(0.0, 3.0))[..., 0]
    assert camera.camera_path(frames, 1 << 24) == ()  # 39 columns more than 32
    assert camera.camera_path(frames[:4], 1 << 24) and camera.camera_path(frames[:4], frames[:4].size) == ()


def test_a_pan_takes_fewer_bits_at_less_error_than_frames_that_lie_still(monkeypatch: pytest.MonkeyPatch) -> None:
    signal = Signal(values=panned(12, 32, 48), kind=Kind.VIDEO, rate=25)
    moving = codec.encode(signal, SETTINGS)
    monkeypatch.setattr(ENCODER, "camera_path", lambda frames, largest: ())
    still = codec.encode(signal, SETTINGS)
    losses = [10 ** (-found.psnr / 10) + SETTINGS.rate_weight * 8 * len(found.data) / signal.values.size for found in (moving, still)]
    assert losses[0] < 0.8 * losses[1]


@pytest.mark.parametrize(
    "view",
    [View(frames=(3, 7, None)), View(frames=(1, None, 5)), View(time=(0.6, 0.8)), View(crop=(4, 2, 10, 12)), View(crop=(25, 17, 7, 7), scale=2)],
)
def test_part_of_a_video_that_moves_is_the_same_part_of_the_whole(view: View) -> None:
    data = pan()[1]
    file = I2File.from_bytes(data, threads=2)
    assert [len(group.motion.path) for group in read_video(data).groups] == [17, 17] and read_video(data).groups[1].follows
    whole, part = file.render(View(scale=view.scale)).values, file.render(view)
    chosen = slice(*view.frames) if view.frames else slice(15, 20) if view.time else slice(None)
    scale = round(view.scale or 1)
    x, y, width, height = (scale * side for side in view.crop or (0, 0, 32, 24))
    assert np.abs(part.values - whole[chosen, y : y + height, x : x + width]).max() < 1e-6
    codec.check_cost(data, view)


class Standing:
    """Solves a scene that does not change."""

    grid = (6, 40, 50)

    def rows(self, scales: Scales, axis: int) -> int:
        return 4

    def bands(self, region: Box, scales: Scales, axis: int) -> Iterator[Float32Array]:
        (start, stop), *parts = region
        rows, columns = ((np.arange(a * n, b * n) + 0.5) / n - 0.5 for (a, b), n in zip(parts, scales[1:], strict=True))
        yield np.repeat(scene(rows, columns)[None, ..., None], (stop - start) * scales[0], 0)


@pytest.mark.parametrize("scales", [(1, 1, 1), (4, 1, 1), (2, 3, 2)])
def test_a_moment_between_frames_is_seen_from_between_their_places(scales: tuple[int, int, int]) -> None:
    offsets = np.array([[0, 0], [1.5, 2.25], [2, 4], [2.125, 6], [0.5, 6], [0, 9.875]])
    solver = MovingSolver(Standing(), offsets, (6, 30, 36))  # type: ignore[arg-type]
    found = np.concatenate(list(solver.bands(((0, 6), (3, 27), (3, 33)), scales, 0)))
    moments = ((np.arange(6 * scales[0]) + 0.5) / scales[0] - 0.5).clip(0, 5)
    places = np.stack([np.interp(moments, np.arange(6), offsets[:, k]) for k in range(2)], -1)
    rows, columns = ((np.arange(a * n, b * n) + 0.5) / n - 0.5 for (a, b), n in zip(((3, 27), (3, 33)), scales[1:], strict=True))
    wanted = np.stack([scene(rows + y, columns + x)[..., None] for y, x in places])
    still = np.abs(wanted - scene(rows, columns)[..., None]).mean()
    assert found.shape == wanted.shape and np.abs(found - wanted).mean() < 0.1 * still


def test_frames_between_those_of_a_file_are_as_good_as_its_own() -> None:
    signal, data = pan()
    file = I2File.from_bytes(data, threads=2)
    wanted = at([frame + side for frame in range(14) for side in (-0.25, 0.25)])  # where frames of twice the rate lie
    between = file.render(View(fps=Fraction(50))).values[1:27] - wanted[1:27]
    own = file.render(View(frames=(0, 14, None))).values - signal.values[:14]
    assert np.square(between).mean() < 1.2 * np.square(own).mean()


def test_a_video_that_moves_is_larger_without_blur_and_smaller() -> None:
    file = I2File.from_bytes(pan()[1], threads=2)
    large = file.render(View(scale=2, frames=(2, 4, None))).values
    wanted = at((2, 3), scale=2)
    coded = np.abs(file.render(View(frames=(2, 4, None))).values - pan()[0].values[2:4]).mean()
    assert np.abs(large - wanted)[:, 2:-2, 2:-2].mean() < 1.5 * coded
    assert file.render(View(size=(16, None), frames=(2, 4, None))).grid == (2, 12, 16)


def test_the_fits_error_is_that_of_the_decoded_frames_in_one_window_and_in_several() -> None:
    signal, data = pan()
    group = read_video(data).groups[0]
    plane = open_plane(group.content, threads=1)
    values, frames = plane.renderer.render(), motion.moved(plane, (17, 24, 32), group.motion).renderer.render()
    wanted, seen = motion.laid(signal.values[:17], group.motion), motion.laid(np.ones((17, 24, 32, 1), np.float32), group.motion)
    measure = MovedError(wanted, seen, motion.moves((17, 24, 32), group.motion), device=torch.device("cpu"))
    output = torch.from_numpy(np.moveaxis(values, -1, 0)[None].copy())
    (window,) = windows(plane.spec, None)  # type: ignore[arg-type]
    error = np.square(frames - signal.values[:17]).sum() / seen.size
    assert float(measure(output, window)) == pytest.approx(error, rel=1e-4)
    parts = windows(plane.spec, 8)  # type: ignore[arg-type]
    cores = [np.prod([side.stop - side.start for side in part.core[0]]) for part in parts]
    seen_parts = [measure(output[(..., *part.whole[0])], part) for part in parts]
    assert len(parts) > 1 and float(sum(e * n for e, n in zip(seen_parts, cores, strict=True)) / sum(cores)) == pytest.approx(error, rel=1e-4)
    still = MovedError(wanted, seen, np.zeros((2, *wanted.shape[:3]), np.float32), device=torch.device("cpu"))
    assert float(still(output, window)) == pytest.approx(float(SquaredError(wanted, seen, device=torch.device("cpu"))(output, window)), rel=1e-6)


def read(data: bytes, frames: int) -> motion.Path:
    return motion.read_path(Cursor(memoryview(data), 0, "group 1", MalformedError, "the file was written wrongly"), frames)


def test_places_come_back_and_those_that_no_encoder_writes_are_refused() -> None:
    path = motion.path_of([(0, 0), (-3, 9), (700, -5), (700, -5)])
    assert path == ((3, 5), (0, 14), (703, 0), (703, 0)) and read(motion.path_bytes(path), 4) == path
    assert motion.plane_grid((4, 10, 20), path) == (4, 98, 22) and motion.plane_grid((4, 10, 20), ()) == (4, 10, 20)
    assert read(b"", 4) == ()
    for data, frames, error, text in (
        (bytes(6), 4, MalformedError, "not all 0"),
        (motion.path_bytes(path) + b"\0", 4, MalformedError, "3 pairs"),
        (motion.path_bytes(path)[:-1], 4, MalformedError, "ends early"),
        (b"\1", 1, MalformedError, "0 pairs"),
        (b"\xff\xff\xff\x7f\0", 2, LimitError, "move of a frame"),
    ):
        with pytest.raises(error, match=text):
            read(data, frames)


def test_a_group_whose_plane_does_not_hold_its_frames_is_refused() -> None:
    data, group = pan()[1], read_video(pan()[1]).groups[0]
    whole = write_chunk("S", bytes([0]) + motion.path_bytes(group.motion.path))
    assert data.count(whole) == 1
    farther = motion.path_of([*group.motion.path[:-1], (group.motion.path[-1][0] + 8, group.motion.path[-1][1])])
    for path in ((), farther):
        with pytest.raises(FormatError, match="has a plane of"):
            read_video(data.replace(whole, write_chunk("S", bytes([0]) + motion.path_bytes(path))))
    with pytest.raises(FormatError, match="ends early"):
        read_video(data.replace(whole, write_chunk("S", b"")))


def test_frames_that_move_cannot_move_once_more() -> None:
    plane = motion.moved(open_plane(read_video(pan()[1]).groups[0].content, threads=1), (17, 24, 32), read_video(pan()[1]).groups[0].motion)
    assert isinstance(plane.renderer._solver, MovingSolver)  # type: ignore[union-attr]
    with pytest.raises(UsageError, match="once more"):
        motion.moved(plane, (17, 24, 32), motion.Motion(path=((0, 0),) * 17))


def test_a_loss_is_measured_where_frames_are_seen() -> None:
    grid = (4, 192, 192)
    seen = np.zeros((*grid, 1), np.float32)
    seen[:, :64, :64] = 1  # all frames lie in one corner of their plane
    problem = Problem(
        SquaredError(seen, seen, device=torch.device("cpu")),
        PyramidSpec(grid=grid, channels=1, levels=4, sharp=0, width=4, hidden=4),
        1e-3,
        device=torch.device("cpu"),
        schedule=pyramid_schedule(replace(SETTINGS, steps=1), grid),
    )
    (window,) = problem.telling(problem.windows)
    assert len(problem.windows) == 4 and window is problem.windows[0]
    pieces = loss_windows(problem, SAMPLING)
    assert pieces and all(part.stop <= 64 for piece in pieces for part in piece.core[0][1:])
