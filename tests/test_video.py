"""Video from end to end: what files say of themselves is kept, parts of a file are parts of the whole, and its writers hold what they promise."""

import io
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from unittest.mock import patch

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from i2compress import EncodeSettings, Signal, View, codec, media
from i2compress.codec import I2File
from i2compress.container import write_chunk
from i2compress.efforts import video_steps
from i2compress.errors import FormatError, SignalError, UsageError
from i2compress.kinds import Kind
from i2compress.media.video import colour, groups, joints
from i2compress.media.video.format import FIRST, joint_byte, read_video
from i2compress.media.video.motion import path_bytes
from i2compress.media.video.view import moments
from i2compress.signal import TICKS, Layout, from_codes

SETTINGS = EncodeSettings(steps=6, threads=1, device="cpu")
YUV = colour.Colour(matrix=colour.BT601, full=False, chroma=colour.YUV420)


def frames(count: int, height: int = 18, width: int = 26, *, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Smooth frames `[T, H, W, 3]` in which something moves."""
    t, y, x = np.meshgrid(np.arange(count), np.arange(height), np.arange(width), indexing="ij")
    waves = [np.sin(0.3 * x + 0.2 * t + seed + c) * np.cos(0.25 * y - 0.1 * c * t) for c in range(3)]
    return np.floor(127.5 + 100 * np.stack(waves, -1)).astype(np.uint8)


def muxed(
    codes: npt.NDArray[np.uint8], *, form: str = "matroska", name: str = "ffv1", pixels: str = "yuv420p", stamps: list[int] | None = None
) -> bytes:
    """A video file of frames, whose time stamps are in milliseconds where given, else 25 a second."""
    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        stream = container.add_stream(name, rate=25)
        stream.height, stream.width, stream.pix_fmt = *codes.shape[1:3], pixels
        clock = Fraction(1, 25) if stamps is None else Fraction(1, 1000)
        stream.codec_context.time_base = clock
        for number, code in enumerate(codes):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(code), format="rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = (number if stamps is None else stamps[number]), clock
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def planes_in(data: bytes) -> list[npt.NDArray[np.uint8]]:
    """Every frame of a file as FFmpeg decodes it."""
    with av.open(io.BytesIO(data)) as container:
        return [frame.to_ndarray() for frame in container.decode(video=0)]


@cache
def coded(lengths: tuple[int, ...] = (5, 4)) -> bytes:
    """A file of two scenes, which are two groups, of luma and chroma."""
    scenes = [frames(length, seed=7 * k) if k % 2 == 0 else 255 - frames(length, seed=7 * k) // 4 for k, length in enumerate(lengths)]
    with media.open_source(muxed(np.concatenate(scenes))) as opened:
        return codec.encode(opened.source, SETTINGS).data


def payload(data: bytes, number: int, first: bytes | None = None) -> bytes:
    """The chunk 'S' of a group, with another first byte where given."""
    group = read_video(data).groups[number]
    return write_chunk("S", (first or bytes([joint_byte(group)])) + path_bytes(group.motion.path))


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p", "yuv444p", "gray", "bgr0", "yuv420p10le", "yuv444p16le"])
@pytest.mark.parametrize("size", [(18, 26), (17, 25)])
def test_planes_that_are_read_are_written_exactly_by_mkv_and_y4m(pixels: str, size: tuple[int, int]) -> None:
    data = muxed(frames(4, *size), pixels=pixels)
    with media.open_source(data) as opened:
        source = opened.source
        assert source.layout.kind is Kind.VIDEO and source.layout.grid == (4, *size) and source.format == "mkv"
        values = np.asarray(source.read(0, 4), np.float32)
        for form in ("mkv", "y4m") if pixels != "bgr0" else ("mkv",):
            file = io.BytesIO()
            with media.open_writer(file, source.layout, format=form, metadata=source.metadata) as sink:
                sink.write(values)
            with media.open_source(file.getvalue()) as again:
                assert (again.source.layout == source.layout and again.source.metadata == source.metadata) or form == "y4m"
                assert np.abs(np.asarray(again.source.read(0, 4)) - values).max() < 1e-6


def test_a_value_of_luma_and_chroma_is_the_one_of_its_standard() -> None:
    red = np.array([[[[1.0, 0.0, 0.0]]]], np.float32)
    bt601, bt709 = YUV, replace(YUV, matrix=colour.BT709)
    assert [int(plane[0, 0, 0]) for plane in colour.to_planes(red, 8, bt601)] == [81, 90, 240]  # BT.601's red, 8 bits, limited range
    assert [int(plane[0, 0, 0]) for plane in colour.to_planes(red, 8, bt709)] == [63, 102, 240]
    assert [int(plane[0, 0, 0]) for plane in colour.to_planes(red, 8, replace(bt601, full=True))] == [76, 85, 255]
    assert colour.known_matrix(colour.UNSPECIFIED, 576) == colour.BT601 and colour.known_matrix(colour.UNSPECIFIED, 720) == colour.BT709


def test_a_rotated_video_is_read_upright() -> None:
    file, codes = io.BytesIO(), frames(3)
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.height, stream.width, stream.pix_fmt = 18, 26, "yuv444p"
        for code in codes:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(code, format="rgb24")))
        container.mux(stream.encode(None))
    data = bytearray(file.getvalue())
    track = data.index(b"tkhd") + 4 + 4 + 20 + 16  # version and flags, times and numbers, then the matrix of ISO/IEC 14496-12, 8.3.2
    one, matrix = 1 << 16, (0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    assert int.from_bytes(data[track : track + 4], "big") == one
    data[track : track + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in matrix)
    with media.open_source(bytes(data)) as opened:
        assert opened.source.layout.grid == (3, 26, 18)
        upright = np.asarray(opened.source.read(0, 3))
    assert np.abs(upright - from_codes(np.rot90(codes, -1, (1, 2)))).mean() < 0.02  # a quarter clockwise, as players show it


def test_frames_that_are_not_evenly_spaced_keep_their_times_through_the_file_and_out_of_it() -> None:
    stamps = [0, 40, 100, 140, 300, 340]
    data = muxed(frames(6), stamps=stamps)
    with media.open_source(data) as opened:
        layout = opened.source.layout
        assert [round(time * 1000 / TICKS) for time in layout.times[:-1]] == stamps
        file = I2File.from_bytes(codec.encode(opened.source, SETTINGS).data)
    assert file.layout == layout
    out = io.BytesIO()
    with media.open_writer(out, file.output(), format="mkv", metadata=file.metadata) as sink:
        for block in file.blocks():
            sink.write(block)
    with media.open_source(out.getvalue()) as again:
        assert [round(time * 1000 / TICKS) for time in again.source.layout.times[:-1]] == stamps
    part = file.output(View(time=(0.1, 0.3)))
    assert part.grid[0] == 2 and [round(time * 1000 / TICKS) for time in part.times] == [0, 40, 200]
    even = file.output(View(fps=Fraction(50)))
    assert not even.times and even.grid[0] == round(50 * float(layout.seconds or 0))


def test_a_gif_of_one_frame_is_a_picture_and_one_of_several_a_video() -> None:
    shown = [Image.fromarray(code) for code in frames(3)]
    still, moving = io.BytesIO(), io.BytesIO()
    shown[0].save(still, "GIF")
    shown[0].save(moving, "GIF", save_all=True, append_images=shown[1:], duration=[100, 50, 200])
    with media.open_source(still.getvalue()) as opened:
        assert opened.source.layout.kind is Kind.IMAGE
    with media.open_source(moving.getvalue()) as opened:
        layout = opened.source.layout
        assert (layout.kind, layout.grid, layout.channels) == (Kind.VIDEO, (3, 18, 26), 3)
        assert layout.times == (0, 9000, 13500, 31500)


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_animations_of_other_kinds_are_videos_with_their_opacity(form: str) -> None:
    codes = np.concatenate([frames(3), np.full((3, 18, 26, 1), 255, np.uint8)], -1)
    codes[:, :5, :5, 3] = 0
    shown, file = [Image.fromarray(code) for code in codes], io.BytesIO()
    shown[0].save(file, form, save_all=True, append_images=shown[1:], duration=40, lossless=True)
    with media.open_source(file.getvalue()) as opened:
        layout = opened.source.layout
        assert (layout.kind, layout.channels, layout.rate, layout.times) == (Kind.VIDEO, 4, 25, ())
        assert np.array_equal(np.asarray(opened.source.read(0, 3))[..., 3] < 0.5, codes[..., 3] == 0)


def test_bare_planes_are_read_as_they_are_described(tmp_path: Path) -> None:
    planes = [np.random.default_rng(k).integers(16, 235, 18 * 26 * 3 // 2, np.uint8) for k in range(3)]
    (path := tmp_path / "a.yuv").write_bytes(b"".join(plane.tobytes() for plane in planes))
    with media.open_source(path, raw="26x18@6:i420") as opened:
        assert opened.source.layout.grid == (3, 18, 26) and opened.source.layout.frequency == 6
        found = colour.to_planes(np.asarray(opened.source.read(1, 1)), 8, colour.Colour.from_bytes(opened.source.metadata.colour))
    assert np.array_equal(np.concatenate([plane.ravel() for plane in found]), planes[1])
    for raw, error, text in (("26x18", UsageError, "WIDTHxHEIGHT@FPS"), ("26x19@6:i420", SignalError, "a multiple of 754")):
        with pytest.raises(error, match=text), media.open_source(path, raw=raw):
            pass


def test_a_scene_begins_a_group_and_long_scenes_are_cut_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_video(coded()).header.lengths == (5, 4) and read_video(coded()).groups[1].limit == 0
    still = media.SignalSource(Signal(values=np.zeros((290, 4, 4, 1), np.float32), kind=Kind.VIDEO, rate=25))
    scenes = groups.scene_starts(still)
    assert scenes == [] and groups.group_lengths(still, scenes, SETTINGS) == (96, 97, 97)
    assert groups.group_lengths(still, [90, 270], SETTINGS) == (90, 90, 90, 20)
    assert max(groups.group_lengths(still, scenes, replace(SETTINGS, field="siren"))) == 29
    monkeypatch.setattr(groups, "LARGEST", 160)
    assert max(groups.group_lengths(still, scenes, SETTINGS)) == 10


@pytest.mark.parametrize(
    "view", [View(frames=(3, 7, None)), View(frames=(1, None, 3)), View(time=(0.12, 0.28)), View(crop=(4, 2, 10, 12)), View(frames=(-1, None, None))]
)
def test_part_of_a_video_is_the_same_part_of_the_whole(view: View) -> None:
    file = I2File.from_bytes(coded(), threads=2)
    whole, part = file.render().values, file.render(view)
    places = moments(file.layout, view).places.astype(int)
    x, y, width, height = view.crop or (0, 0, 26, 18)
    assert np.array_equal(part.values, whole[places, y : y + height, x : x + width])


def test_only_the_groups_that_a_view_needs_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    file, opened = I2File.from_bytes(coded(), threads=1), []
    plane = type(file.content)._plane  # type: ignore[attr-defined]
    monkeypatch.setattr(type(file.content), "_plane", lambda self, number: opened.append(number) or plane(self, number))
    file.render(View(frames=(6, 8, None)))
    assert opened == [1]


def test_more_frames_a_second_lie_between_those_of_the_source_and_fewer_are_some_of_them() -> None:
    file = I2File.from_bytes(coded(), threads=2)
    whole = file.render().values
    double = file.render(View(fps=Fraction(50)))
    assert double.grid[0] == 18 and double.layout.frequency == 50
    between = 0.5 * (double.values[0::2] + double.values[1::2])
    assert np.abs(between - whole).mean() < 0.03 < np.abs(whole[5:] - whole[:4]).mean()
    assert file.output(View(fps=Fraction(60))).grid[0] == 22 and len(file.render(View(fps=Fraction(60))).values) == 22
    half = file.render(View(fps=Fraction(25, 3)))
    assert np.array_equal(half.values, whole[1::3])


def test_a_video_is_larger_without_blur_and_smaller() -> None:
    file = I2File.from_bytes(coded(), threads=2)
    assert file.render(View(scale=2, frames=(0, 1, None))).grid == (1, 36, 52)
    assert file.render(View(size=(13, None), frames=(4, 6, None))).grid == (2, 9, 13)


def test_a_file_cut_short_shows_its_whole_groups_and_black_after_them() -> None:
    data = coded()
    with pytest.raises(FormatError):
        I2File.from_bytes(data[:-9])
    file = I2File.from_bytes(data[:-9], allow_partial=True)
    assert not file.complete
    values, whole = file.render().values, I2File.from_bytes(data).render().values
    assert np.array_equal(values[:5], whole[:5]) and np.abs(values[5:]).max() < 1e-6


@pytest.mark.parametrize("form", ["mp4", "mkv", "gif", "y4m"])
@pytest.mark.parametrize("size", [(18, 26), (17, 25)])
def test_every_format_holds_what_was_decoded(form: str, size: tuple[int, int]) -> None:
    values = from_codes(frames(3, *size))
    layout = Layout(kind=Kind.VIDEO, grid=(3, *size), channels=3, rate=25)
    file = io.BytesIO()
    with media.open_writer(file, layout, format=form) as sink:
        sink.write(values[:2])
        sink.write(values[2:])
    with media.open_source(file.getvalue()) as opened:
        assert opened.source.layout.grid == (3, *size)
        error = np.abs(np.asarray(opened.source.read(0, 3)) - values).mean()
    assert error < {"mkv": 1e-6, "y4m": 0.005, "mp4": 0.03, "gif": 0.05}[form]


def test_a_pipe_takes_mp4_and_frames_become_numbered_pictures(tmp_path: Path) -> None:
    class Pipe(io.RawIOBase):
        data = b""

        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:  # type: ignore[override]
            self.data += bytes(data)
            return len(data)

    file, pipe = I2File.from_bytes(coded(), threads=2), Pipe()
    with media.open_writer(pipe, file.output(), format="mp4", metadata=file.metadata) as sink:
        for block in file.blocks():
            sink.write(block)
    assert len(planes_in(pipe.data)) == 9
    view = View(frames=(2, 4, None))
    with media.open_writer(tmp_path / "f-%03d.png", file.output(view), metadata=file.metadata) as sink:
        for block in file.blocks(view):
            sink.write(block)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f-000.png", "f-001.png"]
    assert np.abs(media.read(tmp_path / "f-001.png").values - file.render(view).values[1].clip(0, 1)).max() < 1 / 254


def test_a_file_without_frames_is_told_as_such() -> None:
    with pytest.raises(SignalError, match="expected at least one frame"), media.open_source(b"YUV4MPEG2 W16 H16 F25:1 Ip A1:1 C420jpeg\n"):
        pass


def test_short_and_small_videos_get_more_steps_up_to_twice_as_many() -> None:
    assert [video_steps(5, samples) for samples in (1, 100_000, 400_000, 760_320, 1 << 30)] == [400, 400, 276, 200, 200]


def test_options_that_exclude_each_other_and_empty_parts_are_refused() -> None:
    file = I2File.from_bytes(coded())
    for view, text in (
        (View(frames=(0, 2, None), fps=Fraction(10)), "--frames excludes"),
        (View(frames=(9, None, None)), "expected some of 0 to 9"),
        (View(time=(5.0, 6.0)), "expected a part in which a frame begins"),
        (View(crop=(0, 0, 99, 9)), "inside the picture"),
    ):
        with pytest.raises(UsageError, match=text):
            file.output(view)


def test_a_group_that_follows_another_has_differences_from_its_weights_and_is_decoded_without_its_latents() -> None:
    data, opened = coded(), I2File.from_bytes(coded(), threads=1)
    assert [group.follows for group in read_video(data).groups] == [0, FIRST]
    alone = opened.render(View(frames=(6, 7, None))).values
    assert np.array_equal(alone, I2File.from_bytes(data, threads=1).render().values[6:7])
    with pytest.raises(FormatError):  # the first group cannot follow any
        read_video(data.replace(payload(data, 0), payload(data, 0, b"\1")))


def test_a_size_that_changes_and_a_damaged_file_are_said_in_a_sentence() -> None:
    data = muxed(frames(8))
    with pytest.raises(SignalError, match="damaged"), media.open_source(data[:200] + bytes(300)):
        pass
    with media.open_source(data[: len(data) * 3 // 4]) as opened:
        assert 0 < opened.source.layout.grid[0] < 8


@cache
def still() -> tuple[Signal, bytes]:
    """A scene of two groups in which a small square moves over a fine pattern that stands still, and its file."""
    chance = np.random.default_rng(3)
    values = np.broadcast_to(chance.random((1, 24, 28, 3), np.float32) * 0.2 + 0.4, (40, 24, 28, 3)).copy()
    for number, frame in enumerate(values):
        frame[8:12, number % 20 : number % 20 + 5] = 1
    signal = Signal(values=values, kind=Kind.VIDEO, rate=25)
    with patch.object(groups, "LONGEST", 32):
        return signal, codec.encode(signal, replace(SETTINGS, steps=30)).data


def without_joints(data: bytes) -> bytes:
    """The same file, whose groups do not fade."""
    for group in read_video(data).groups:
        path = path_bytes(group.motion.path)
        alone = replace(group, limit=0)
        data = data.replace(write_chunk("S", bytes([joint_byte(group)]) + path), write_chunk("S", bytes([joint_byte(alone)]) + path))
    return data


def test_what_stands_still_does_not_jump_where_groups_meet_and_no_error_is_added() -> None:
    signal, data = still()
    plain, shown = (I2File.from_bytes(file, threads=1).render().values for file in (without_joints(data), data))
    assert read_video(data).header.lengths == (20, 20) and read_video(data).groups[1].limit > 0
    assert np.array_equal(plain[:20], shown[:20]) and np.array_equal(plain[28:], shown[28:])
    jump, left = (np.median(np.abs(values[20] - values[19])) for values in (plain, shown))
    assert left < jump / 3 and np.median(np.abs(np.diff(shown[18:30], axis=0)), (1, 2, 3)).max() < jump / 2
    errors = [np.square(values[20:28] - signal.values[20:28]).mean() for values in (plain, shown)]
    assert errors[1] <= 1.01 * errors[0]


@pytest.mark.parametrize(
    "view", [View(frames=(21, 24, None)), View(frames=(18, None, 3)), View(time=(0.84, 0.9)), View(frames=(20, 26, None), crop=(4, 2, 10, 12))]
)
def test_a_part_fades_as_it_does_in_the_whole(view: View) -> None:
    file, part = I2File.from_bytes(still()[1], threads=1), I2File.from_bytes(still()[1], threads=1)
    whole = file.render(replace(view, frames=None, time=None)).values
    chosen = slice(*view.frames) if view.frames else slice(21, 23)
    assert np.abs(part.render(view).values - whole[chosen]).max() < 1e-5
    codec.check_cost(still()[1], view)


def test_a_joint_is_a_weighted_mean_of_what_is_alike_and_none_where_a_scene_begins() -> None:
    values, last = np.zeros((9, 1, 3, 2), np.float32), np.array([[[0.01, 0.02], [0.03, 0.0], [0.5, 0.0]]], np.float32)
    found = joints.faded(values, last, np.arange(9.0), 9, 255 // 50)
    assert found[0, 0, 0] == pytest.approx(np.array([0.01, 0.02]) * (1 - 1 / 16) * (2 - 0.02 * 255 / 5), abs=1e-6)
    assert not found[:, 0, 2].any() and not found[8].any() and found[0, 0, 0, 0] != 0
    assert found[0, 0, 1, 0] == pytest.approx(0.03 * (1 - 1 / 16) * (2 - 0.03 * 255 / 5), abs=1e-6)
    right, before = np.full((8, 1, 3, 2), 0.5, np.float32), np.full((1, 3, 2), 0.52, np.float32)
    assert joints.best_limit(right, before, right, before, None, 9) == 0  # a change of the source is none of the error
    wrong = right + np.array([0.02, -0.02, 0.02], np.float32)[:, None]
    assert joints.best_limit(wrong, right[0] - (wrong[0] - right[0]), right, right[0], None, 9) >= 6  # both are wrong by as much, the other way


def test_a_first_group_that_fades_is_refused() -> None:
    data = still()[1]
    with pytest.raises(FormatError, match="first group"):
        I2File.from_bytes(data.replace(payload(data, 0), payload(data, 0, b"\x10"), 1))


def test_groups_that_are_fitted_at_the_same_time_make_the_same_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "LONGEST", 32)
    signal, told = Signal(values=from_codes(frames(100, 16, 20)), kind=Kind.VIDEO, rate=25), list[float]()
    few = replace(SETTINGS, steps=3)
    alone = codec.encode(signal, few).data
    together = codec.encode(signal, replace(few, jobs=2), on_step=lambda info: told.append(info.step / info.steps)).data
    assert len(read_video(alone).groups) == 4 and together == alone
    assert told == sorted(told) and told[-1] > 0.5
    with pytest.raises(UsageError, match="jobs is 0"):
        EncodeSettings(jobs=0)


def test_any_group_is_reached_by_way_of_the_weights_that_its_own_are_differences_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "LONGEST", 32)
    signal = Signal(values=from_codes(frames(100, 16, 20)), kind=Kind.VIDEO, rate=25)
    data = codec.encode(signal, replace(SETTINGS, steps=3)).data
    whole, places = I2File.from_bytes(data, threads=1).render().values, (99, 30, 60, 5)
    assert [group.follows for group in read_video(data).groups] == [0, FIRST, FIRST, FIRST]
    file = I2File.from_bytes(data, threads=1)
    for place in places:
        assert np.array_equal(file.render(View(frames=(place, place + 1, None))).values[0], whole[place])
    with pytest.raises(FormatError, match="bit 7 beside bit 0"):
        read_video(data.replace(payload(data, 1), payload(data, 1, b"\x80")))
