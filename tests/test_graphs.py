"""A step of a fit can be recorded once and made again: proven by recordings on a CPU that do what a CUDA graph does (tests/tape.py)."""

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tape import Strict, Tape
from torch import Tensor

from i2compress.coding.context_model import MAGNITUDES
from i2compress.config import EncodeSettings
from i2compress.field.layer_kernel import uncompiled
from i2compress.field.priors import shipped
from i2compress.field.spec import PyramidSpec
from i2compress.fit import graphs
from i2compress.fit.graphs import CudaRecorder, Graphs
from i2compress.fit.parallel import cpu_threads
from i2compress.fit.perceptual import DISTORTIONS
from i2compress.fit.problem import Problem, Start
from i2compress.fit.pyramid import PyramidFit
from i2compress.fit.schedule import Schedule
from i2compress.fit.steering import SizeSteering
from i2compress.media.image.encode import pyramid_spec

CPU = torch.device("cpu")
SHARES = (0.0, 0.02, 0.3, 0.6, 0.8)  # of a fit while its latents move
FROZEN = (0.9, 0.95, 1.0)

CASES: dict[str, dict[str, Any]] = {
    "psnr": {},
    "visual": {"tune": "visual", "side": 36},
    "ssim": {"tune": "ssim", "side": 36},
    "opacity": {"tune": "visual", "channels": 4},
    "planes": {"planes": 3, "split": 1},
    "windows": {"grid": (20, 144), "windows": 32, "levels": 2, "tune": "visual"},
    "explicit": {"explicit": True},
    "volume": {"grid": (6, 18, 20), "levels": 3, "steady": 1},
    "still": {"grid": (9, 12, 14), "levels": 3, "steady": 1, "still": 2},
    "magnitudes": {"context_inputs": MAGNITUDES, "channels": 1, "levels": 1},
    "start": {"side": 64},
    "silent": {"levels": 2, "silent": 0.4, "lam": 1.0},
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """A fit has one thread where it moves its weights, and a recording has no part of its own for that: sums would be made over other parts."""
    with cpu_threads(1):
        yield


def begun(case: str, recorder: Tape | None = None) -> PyramidFit:
    """A fit before its first step; inside `uncompiled`."""
    changes = dict(CASES[case])
    tune, side, windows = (changes.pop(name, other) for name, other in (("tune", "psnr"), ("side", 28), ("windows", None)))
    silent, lam = changes.pop("silent", None), changes.pop("lam", 1e-3)
    grid, channels = changes.pop("grid", (side, side + 4)), changes.pop("channels", 3)
    values = np.random.default_rng(0).random((*grid, channels), np.float32)
    if case == "start":
        spec, start = pyramid_spec(grid, channels, EncodeSettings(lam=1e-3), planes_from=0), Start(prior=shipped().number)
    else:
        spec, start = PyramidSpec(grid=grid, channels=channels, **{"width": 4, "levels": 4, "hidden": 4, **changes}), None
    schedule = Schedule(steps=20, refresh_every=2, window_sides=None if windows is None else (windows, windows), silent_from=silent)
    problem = Problem(DISTORTIONS[tune](values, None, device=CPU), spec, lam, device=CPU, schedule=schedule, start=start)
    return PyramidFit(problem, seed=0, on_step=None, stop=None, recorder=recorder)


def make(run: PyramidFit, passes: int) -> None:
    """Steps of each window."""
    for _ in range(passes * len(run.cores)):
        run.step(0.3)
        run.done += 1


def state(run: PyramidFit) -> list[Tensor]:
    """All that a step changes."""
    latents = [tensor for leaves, optimizer in run.cores for tensor in (*leaves, *optimizer._means, *optimizer._squares)]
    return [
        tensor.detach().clone() for tensor in (*run.problem.weights().values(), *run.latents, *latents, *run.weight_optimizer._state(), run._found)
    ]


@pytest.mark.parametrize("case", CASES)
def test_a_step_asks_for_the_same_at_every_share_and_reads_nothing(case: str) -> None:
    with uncompiled():
        run = begun(case)
        make(run, 1)
        for shares, frozen in ((SHARES, False), (FROZEN, True)):
            asked = []
            for share in shares:
                run._prepare(share, run._where(0))
                with Strict() as strict:
                    run._work(run._where(0), frozen)
                asked.append(strict.calls)
            assert len(asked[0]) > 200
            assert all(calls == asked[0] for calls in asked)
        refreshed = []
        for done in (2, 40):
            run.weight_optimizer.done = done
            with Strict() as strict:
                run.weight_optimizer.refresh()
            refreshed.append(strict.calls)
        assert refreshed[0] == refreshed[1]


@pytest.mark.parametrize("case", ["opacity", "windows", "magnitudes", "start"])
def test_what_a_recorded_step_reads_stays_where_it_is(case: str) -> None:
    """A graph reads memory by its address, so nothing of it may be made anew for each step, or given back."""
    with uncompiled():
        run = begun(case)
        make(run, 2)
        given = {}
        for number in range(len(run.cores)):
            with Strict() as strict:
                run._work(run._where(number), False)
            given |= strict.given
        assert len(given) > 20
        make(run, 2)
        gc.collect()
        assert not [reference for reference in given.values() if reference.expired()]


@pytest.mark.parametrize("case", ["visual", "opacity", "windows", "volume", "still", "magnitudes", "start", "silent"])
def test_recorded_steps_are_those_that_are_made_anew_bit_for_bit(case: str) -> None:
    with uncompiled():
        tape = Tape()
        plain, recorded = begun(case), begun(case, tape)
        steps = 8 if case == "silent" else 4
        shares = [*np.linspace(0, 0.85, steps * len(plain.cores) + 1), *np.linspace(0.9, 1, 4 * len(plain.cores))]
        for done, share in enumerate(shares):
            for run in (plain, recorded):
                run.done = done
                run.step(float(share))
            assert all(torch.equal(a, b) for a, b in zip(state(plain), state(recorded), strict=True)), done
    kinds = 3 if case == "windows" else 1  # of four windows, the two in the middle are alike
    assert bool(plain.problem.silent) == (case == "silent")
    assert tape.recorded == (2 + (case == "silent")) * kinds + 1  # moved (with all grids and with fewer) and frozen, and the bases


def test_windows_alike_share_a_recording_and_others_do_not() -> None:
    with uncompiled():
        recorded, plain = begun("windows", Tape()), begun("windows")
        assert [recorded._where(number) is recorded.places[number] for number in range(4)] == [True, False, False, True]
        assert recorded._where(1) is recorded._where(2)
        assert all(plain._where(number) is plain.places[number] for number in range(4))


def test_a_recorded_fit_that_is_steered_is_the_one_that_is_made_anew() -> None:
    with uncompiled():
        fits = []
        for tape in (None, Tape()):
            run = begun("planes", tape)
            run.problem.steering = SizeSteering(run.problem, 700.0)
            fitted = run.run()
            again = run.again(760.0)
            fits.append((fitted, again, run.problem.lam))
        (first, more, lam), (second, other, same) = fits
        assert lam == same and first.loss == second.loss
        assert more is not None and other is not None and more.loss == other.loss
        assert all(np.array_equal(a, b) for a, b in zip(more.latents, other.latents, strict=True))


class Fake:
    """A recorder that counts, and fails where it is told to."""

    def __init__(self, *, fails: bool = False, room: int = 100) -> None:
        self.fails, self.room = fails, room
        self.warmed = self.recorded = 0

    def warm_up(self, work: Callable[[], None]) -> None:
        self.warmed += 1
        work()

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        if self.fails:
            raise RuntimeError("operation not permitted when stream is capturing\nand more")
        self.recorded += 1
        return work

    def has_room(self) -> bool:
        return self.recorded < self.room


def test_work_is_recorded_once_for_each_key_after_it_was_warmed_up() -> None:
    fake, done = Fake(), []
    kept = Graphs(fake, warm_up=2)
    for _ in range(5):
        for key in ("a", "b"):
            kept.do(key, lambda key=key: done.append(key))
    assert (fake.warmed, fake.recorded, len(kept)) == (4, 2, 2)
    assert done == ["a", "b"] * 5
    kept.clear()
    kept.do("a", lambda: done.append("a"))
    assert (fake.warmed, len(kept)) == (5, 0)


@pytest.mark.parametrize("limits", [{"most": 2}, {"room": 2}])
def test_no_more_is_kept_than_there_is_room_for(limits: dict[str, int]) -> None:
    fake = Fake(room=limits.pop("room", 100))
    kept, done = Graphs(fake, warm_up=1, **limits), []
    for _ in range(4):
        for key in range(5):
            kept.do(key, lambda key=key: done.append(key))
    assert (len(kept), fake.recorded) == (2, 2)
    assert done == [*range(5)] * 4


def test_a_recording_that_fails_is_told_once_and_all_goes_on_without(caplog: pytest.LogCaptureFixture) -> None:
    fake, done = Fake(fails=True), []
    kept = Graphs(fake, warm_up=1)
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            for key in ("a", "b"):
                kept.do(key, lambda key=key: done.append(key))
    assert done == ["a", "b"] * 4
    assert [record.getMessage().partition(":")[2] for record in caplog.records] == [" operation not permitted when stream is capturing"]


class FakeCuda:
    """torch.cuda as far as CudaRecorder uses it, and what it was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log: list[str] = []
        stream = SimpleNamespace(wait_stream=lambda other: self.log.append("wait"))
        named = {
            "current_stream": lambda device: stream,
            "graph_pool_handle": lambda: "pool",
            "CUDAGraph": self.graph,
            "synchronize": lambda device: self.log.append("synchronize"),
            "empty_cache": lambda: self.log.append("empty cache"),
            "mem_get_info": lambda device: (50, 1000),
            "device": lambda device: nullcontext(),
            "stream": self.on,
        }
        monkeypatch.setattr(graphs, "_stream", lambda device: stream)
        for name, value in named.items():
            monkeypatch.setattr(graphs.torch.cuda, name, value)

    @contextmanager
    def on(self, stream: object) -> Iterator[None]:
        self.log.append("on the stream")
        yield
        self.log.append("off the stream")

    def graph(self) -> "FakeGraph":
        return FakeGraph(self.log)


class FakeGraph:
    """What a graph was asked for."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def register_generator_state(self, generator: object) -> None:
        self.log.append("register")

    def capture_begin(self, pool: object) -> None:
        self.log.append("begin")

    def capture_end(self) -> None:
        self.log.append("end")

    def replay(self) -> None:
        self.log.append("replay")


def test_what_is_asked_of_cuda_for_a_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeCuda(monkeypatch)
    recorder = CudaRecorder(CPU, torch.Generator())
    kept = Graphs(recorder, warm_up=1)
    for _ in range(3):
        kept.do("a", lambda: fake.log.append("work"))
    assert fake.log == [
        *("wait", "on the stream", "work", "off the stream", "wait"),
        *("register", "on the stream", "synchronize", "empty cache", "begin", "work", "end", "off the stream", "replay"),
        "replay",
    ]


def test_after_a_recording_that_fails_random_numbers_go_on_where_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    class Generator:  # those of a CPU share no states
        place = 3

        def __init__(self, device: torch.device | None = None) -> None:
            self.draw()

        def draw(self) -> None:
            self.place += 1

        def get_state(self) -> int:
            return self.place

        def set_state(self, place: int) -> None:
            self.place = place

        graphsafe_get_state, graphsafe_set_state = get_state, set_state

    fake, generator = FakeCuda(monkeypatch), Generator()
    monkeypatch.setattr(graphs.torch, "Generator", Generator)
    kept, drawn = Graphs(CudaRecorder(CPU, generator), warm_up=1), []  # type: ignore[arg-type]

    def work() -> None:
        drawn.append(generator.place)
        generator.draw()
        if fake.log[-1] == "begin":
            raise RuntimeError("no")

    for _ in range(3):
        kept.do("a", work)
    assert fake.log.count("end") == 1
    assert drawn == [4, 5, 5, 6]
