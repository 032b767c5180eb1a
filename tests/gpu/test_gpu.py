"""Fits on a GPU: they run, they agree with those of the CPU, and what they make is decoded there.

Skipped without one. With I2COMPRESS_TEST_DEVICE=cpu all of it runs on a CPU by the passes that a GPU would make, so that it is known to work.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import COFFEE
from PIL import Image
from sounds import chord, sound
from tape import Tape

from i2compress.arrays import Float32Array
from i2compress.codec import I2File, encode
from i2compress.config import EncodeSettings
from i2compress.field import layer_kernel
from i2compress.field.layer_kernel import uncompiled
from i2compress.fit import fit_signal
from i2compress.fit.graphs import CudaRecorder, Graphs
from i2compress.fit.parallel import cpu_threads
from i2compress.fit.perceptual import DISTORTIONS
from i2compress.fit.problem import Problem
from i2compress.fit.pyramid import PyramidFit
from i2compress.fit.schedule import Schedule
from i2compress.kinds import Kind
from i2compress.media import read
from i2compress.media.image.encode import pyramid_spec
from i2compress.planes import PlaneJob, code_tolerance, fit_pyramid, open_plane
from i2compress.signal import Signal
from i2compress.train import BatchSettings, split, train

DEVICE = os.environ.get("I2COMPRESS_TEST_DEVICE", "cuda" if torch.cuda.is_available() else "")
ON_GPU = DEVICE.startswith("cuda")

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not DEVICE, reason="needs a CUDA device")]


@pytest.fixture(autouse=True)
def passes() -> Iterator[None]:
    """On a CPU those of a GPU."""
    if ON_GPU:
        yield
    else:
        with uncompiled(), cpu_threads(1):  # a recording has no threads of its own for the weights
            yield


def scene(height: int = 96, width: int = 128) -> Float32Array:
    """Part of a photograph."""
    return np.ascontiguousarray(np.asarray(read(COFFEE).values, np.float32)[60 : 60 + height, 40 : 40 + width])


def begun(tune: str, *, side: int | None = None, recorded: bool = True) -> PyramidFit:
    """A fit before its first step."""
    height, width = (96, 128) if side is None else (32, 112)
    values, device = scene(height, width), torch.device(DEVICE)
    spec = pyramid_spec((height, width), 3, EncodeSettings(lam=1e-3), planes_from=0, levels=6 if side is None else 3)
    schedule = Schedule(steps=40, refresh_every=2, window_sides=None if side is None else (side, side))
    problem = Problem(DISTORTIONS[tune](values, None, device=device), spec, 1e-3, device=device, schedule=schedule)
    run = PyramidFit(problem, seed=0, on_step=None, stop=None, recorder=Tape() if recorded and not ON_GPU else None)
    if not recorded:
        run.graphs = Graphs(None)
    return run


@pytest.mark.parametrize("tune", ["psnr", "visual"])
def test_fits_agree_with_those_of_the_cpu_within_noise(tune: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On average: other random numbers alone change the loss of one such short fit by up to 7 %."""
    signal, cpu = Signal(values=scene(), bit_depth=8), torch.device("cpu")
    settings = EncodeSettings(lam=1e-3, steps=80, tune=tune, start="none", threads=1)
    files = [[encode(signal, replace(settings, device=DEVICE, seed=seed)) for seed in range(4)]]
    monkeypatch.setattr(layer_kernel, "_plain", False)  # the others are compiled, and so is what measures them
    files.append([encode(signal, replace(settings, device="cpu", seed=seed)) for seed in range(4)])
    measure, spec = DISTORTIONS[tune](signal.values, None, device=cpu), pyramid_spec((96, 128), 3, settings)
    window = Problem(measure, spec, 1e-3, device=cpu, schedule=Schedule(steps=1)).windows[0]
    found = []
    for made in files:
        decoded = [np.asarray(I2File.from_bytes(each.data, threads=1).render().values, np.float32) for each in made]
        distortions = [float(measure(torch.from_numpy(np.moveaxis(values, -1, 0)[None].copy()), window)) for values in decoded]
        losses = [distortion + 1e-3 * 8 * len(each.data) / (96 * 128) for distortion, each in zip(distortions, made, strict=True)]
        found.append((np.log(losses).mean(), np.mean([each.psnr for each in made]), np.log([len(each.data) for each in made]).mean()))
    (loss, psnr, size), (expected, right, usual) = found
    assert loss == pytest.approx(expected, abs=0.06)
    assert psnr == pytest.approx(right, abs=0.6)
    assert size == pytest.approx(usual, abs=0.12)


def test_what_is_fitted_is_decoded_on_the_cpu_symbol_for_symbol() -> None:
    values, settings = scene(64, 80), EncodeSettings(lam=1e-3, steps=30, device=DEVICE, threads=1)
    job = PlaneJob(values=values, kind=Kind.IMAGE, bit_depth=8, settings=settings, tolerance=code_tolerance(8))
    fitted = fit_pyramid(job, pyramid_spec((64, 80), 3, settings), part=(64, 80))
    plane = open_plane(fitted.content, threads=1)
    assert all(np.array_equal(a, b) for a, b in zip(plane.latents, fitted.latents, strict=True))


@pytest.mark.parametrize(("tune", "side"), [("psnr", None), ("visual", None), ("visual", 24)])
def test_recorded_steps_are_those_that_are_made_anew(tune: str, side: int | None) -> None:
    plain, recorded = begun(tune, side=side, recorded=False), begun(tune, side=side)
    for share in [*np.linspace(0, 0.85, 8 * len(plain.cores)), *np.linspace(0.9, 1, 5 * len(plain.cores))]:
        for run in (plain, recorded):
            run.step(float(share))
            run.done += 1
    kinds = {recorded._where(number).key for number in range(len(recorded.places))}
    assert len(plain.graphs) == 0 and len(recorded.graphs) == len(kinds) + 1  # and the bases
    assert side is None or len(kinds) < len(recorded.places)
    for (name, expected), tensor in zip(plain.problem.weights().items(), recorded.problem.weights().values(), strict=True):
        torch.testing.assert_close(tensor, expected, rtol=1e-3, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}")
    torch.testing.assert_close(recorded._found, plain._found, rtol=1e-3, atol=0)


def test_random_numbers_differ_from_step_to_step_and_go_on_after_a_state() -> None:
    run = begun("psnr")
    drawn = []
    for _ in range(8):
        before = run.generator.get_state()
        run.step(0.1)
        run.done += 1
        drawn.append(bytes(before.numpy().tobytes()))
    assert len(set(drawn)) == len(drawn)
    kept = run._here(run.done)
    run.step(0.1)
    once = run._found.clone()
    run.restore(kept)
    run.step(0.1)
    torch.testing.assert_close(run._found, once, rtol=1e-4, atol=0)


@pytest.mark.skipif(not ON_GPU, reason="counts the memory of a GPU")
def test_memory_is_given_back_after_a_fit() -> None:
    held = []
    for _ in range(3):
        spec = pyramid_spec((96, 128), 3, EncodeSettings(lam=1e-3), planes_from=0)
        fit_signal(scene(), spec, EncodeSettings(lam=1e-3, steps=40, device=DEVICE), distortion="visual")
        torch.cuda.synchronize()
        held.append(torch.cuda.memory_allocated())
    assert held[2] - held[1] < 1 << 20


@pytest.mark.skipif(not ON_GPU, reason="records CUDA graphs")
def test_steps_are_recorded_on_a_gpu_without_a_complaint(caplog: pytest.LogCaptureFixture) -> None:
    run = begun("visual")
    assert isinstance(run.graphs._recorder, CudaRecorder)
    for _ in range(8):
        run.step(0.1)
        run.done += 1
    assert len(run.graphs) == 2
    assert not caplog.records


def test_a_clip_and_a_sound_are_fitted() -> None:
    t, y, x = np.meshgrid(np.arange(6), np.arange(24), np.arange(32), indexing="ij")
    frames = np.stack([0.5 + 0.4 * np.sin(0.3 * x + 0.2 * t + c) * np.cos(0.25 * y) for c in range(3)], -1).astype(np.float32)
    clip = Signal(values=frames, kind=Kind.VIDEO, rate=25)
    settings = EncodeSettings(steps=20, device=DEVICE, threads=1)
    assert encode(clip, settings).psnr > 20
    assert encode(sound(chord(0.5)), settings).psnr > 20


def test_a_start_is_trained(tmp_path: Path) -> None:
    paths = []
    for number in range(6):
        paths.append(tmp_path / f"{number}.png")
        Image.open(COFFEE).convert("RGB").crop((16 * number, 0, 16 * number + 100, 120)).save(paths[-1])
    training = train(split(paths), BatchSettings(steps=3, side=64, batch=2, every=100), tmp_path / "out", device=torch.device(DEVICE))
    assert training.step == 3
