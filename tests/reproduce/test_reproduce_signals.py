"""What the experiments fit: pictures, text, clips, videos and shapes, cut as the presets say."""

import wave
from pathlib import Path

import numpy as np
import pytest
import torch

from i2compress.errors import SignalError, UsageError
from i2compress.reproduce import shapes, signals
from i2compress.reproduce.presets import COSTS, EXPERIMENTS, PRESETS, Network
from i2compress.reproduce.train import specs


def test_full_has_the_sizes_of_the_authors_configurations() -> None:
    full = PRESETS["full"]
    assert [network.name for network in full["image"].networks] == ["1L256D", "1L512D", "4L256D"]
    assert [network.name for network in full["video"].networks] == ["1L1024D", "1L2048D", "4L1024D"]
    assert (full["image"].steps, full["generalisation"].steps, full["audio"].steps) == (5000, 2000, 3000)
    assert (full["image"].input_scale, full["audio"].input_scale, full["video"].input_scale) == (256, 25000, 128)
    assert (full["occupancy"].rate, full["occupancy"].batch, full["occupancy"].reuse) == (5e-4, 50000, False)
    assert {experiment.rate for name, experiment in full.items() if name != "occupancy"} == {1e-3}
    assert full.keys() == PRESETS["quick"].keys() == set(EXPERIMENTS) - {"memory", "speed"}
    assert COSTS.keys() == PRESETS.keys()


def test_networks_have_the_parameters_of_the_paper_and_twins_as_many() -> None:
    task = signals.whole("x", np.zeros((4, 4, 1), np.float32), unit=1.0, note="")
    experiment = PRESETS["full"]["image"]
    for network, parameters in zip(experiment.networks, (67585, 266241, 267265), strict=True):
        implicit, twin = specs("fourier", network, task, experiment).values()
        assert implicit.parameters == twin.parameters == parameters
        assert twin.explicit and not twin.normalised and implicit.normalised
        implicit, twin, _ = specs("siren", network, task, experiment).values()
        assert abs(twin.parameters - implicit.parameters) < 0.005 * parameters
        assert implicit.input_scale == 128


def test_a_picture_is_the_middle_square_reduced_by_averages() -> None:
    codes = np.zeros((40, 60, 3), np.uint8)
    codes[:, 10:30] = 255
    found = signals.square(codes, 8)
    assert found.shape == (8, 8, 3) and found.dtype == np.float32
    assert np.array_equal(found[..., 0], np.repeat([[1.0] * 4 + [-1.0] * 4], 8, 0))
    assert signals.square(codes, 100).shape == (40, 40, 3)


def test_text_is_dark_on_light() -> None:
    page = signals.text(64)
    assert page.shape == (64, 64, 1)
    assert 0 < page.mean() < 1 and page.min() < 0


def test_training_and_test_samples_of_a_picture_are_apart() -> None:
    values = np.arange(48, dtype=np.float32).reshape(6, 8, 1)
    task = signals.halves("x", values)
    assert task.points.y.ravel().tolist() == [0, 2, 4, 6, 16, 18, 20, 22, 32, 34, 36, 38]
    assert task.tests["odd"].y.ravel().tolist() == [9, 11, 13, 15, 25, 27, 29, 31, 41, 43, 45, 47]
    assert not set(map(tuple, task.points.x.tolist())) & set(map(tuple, task.tests["odd"].x.tolist()))


def test_a_clip_is_its_middle_with_magnitude_one(tmp_path: Path) -> None:
    samples = (8000 * np.sin(np.arange(4000) / 5)).astype("<i2")
    path = tmp_path / "a.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    part, note = signals.clip(path, 1000)
    assert part.shape == (1000, 1) and np.abs(part).max() == 1
    expected = samples[1500:2500] / np.abs(samples[1500:2500]).max()
    np.testing.assert_allclose(part[:, 0], expected, atol=1e-4)
    assert "1000 samples at 8000 Hz from 0.19 s, 0.125 s" in note
    assert len(signals.clip(path, 0)[0]) == 4000


def test_a_video_is_its_first_frames_reduced(tmp_path: Path) -> None:
    import av

    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv420p"
        for level in (0, 128, 255):
            frame = av.VideoFrame.from_ndarray(np.full((16, 32, 3), level, np.uint8), format="rgb24")
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    values, note = signals.video(path, (2, 8, 16))
    assert values.shape == (2, 8, 16, 3) and note == "2 frames of 16x8"
    assert values[0].mean() < -0.9 and abs(values[1].mean()) < 0.1
    assert signals.video(path, (0, 0, 0))[0].shape == (3, 16, 32, 3)


@pytest.mark.parametrize("load", [lambda path: signals.clip(path, 0), lambda path: signals.video(path, (0, 0, 0))])
def test_a_file_that_is_nothing_is_refused_with_a_sentence(load: object, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"nothing at all")
    with pytest.raises(SignalError, match="the file is text; expected"):
        load(path)  # type: ignore[operator]


def test_each_experiment_takes_inputs_of_its_kind() -> None:
    inputs = [Path("a.png"), Path("b.WAV"), Path("c.mp4"), Path("d.ply"), Path("e.obj")]
    assert signals.chosen("image", inputs) == inputs[:1]
    assert signals.chosen("audio", inputs) == inputs[1:2]
    assert signals.chosen("occupancy", inputs) == inputs[3:]
    assert signals.chosen("image", []) == []
    with pytest.raises(UsageError, match="audio has no input"):
        signals.chosen("audio", inputs[:1])


def cube(path: Path, *, hole: bool = False) -> Path:
    """A cube of side 2 about (5, 5, 5) as an OFF file, one of its twelve triangles left out where `hole`."""
    corners = [(x, y, z) for x in (4, 6) for y in (4, 6) for z in (4, 6)]
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = [face for a, b, c, d in quads for face in ((a, b, c), (a, c, d))][hole:]
    lines = ["OFF", f"8 {len(faces)} 0", *(" ".join(map(str, p)) for p in corners), *(f"3 {a} {b} {c}" for a, b, c in faces)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("hole", [False, True])
def test_points_know_whether_they_are_inside_a_shape_even_with_a_hole(hole: bool, tmp_path: Path) -> None:
    pytest.importorskip("trimesh")
    pytest.importorskip("igl")
    vertices, faces = shapes.load(cube(tmp_path / "cube.off", hole=hole))
    assert vertices.min() == -1 and vertices.max() == 1
    points = np.array([[0, 0, 0], [0.5, -0.5, 0.2], [1.2, 0, 0], [-3, 0, 0]], np.float64)
    assert shapes.labelled(vertices, faces, points).y.ravel().tolist() == [1, 1, 0, 0]
    task = shapes.occupancy(tmp_path / "cube.off", 500, seed=0)
    assert task.points.x.shape == (500, 3) and task.tests.keys() == {"box", "surface"}
    assert float(task.points.y.mean()) > 0.9  # the box is the cube
    distance = (task.tests["surface"].x.abs().amax(-1) - 1).abs()
    assert float(distance.max()) < 6 * shapes.NEAR
    assert torch.equal(task.points.x, shapes.occupancy(tmp_path / "cube.off", 500, seed=0).points.x)


def test_the_networks_of_a_preset_are_named_as_in_the_paper() -> None:
    assert Network(4, 256).name == "4L256D"
