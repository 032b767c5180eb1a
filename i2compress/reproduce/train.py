"""One fit of one network to one signal, with everything that the tables show of it."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..field.coordinate import build, initial
from ..field.coordinate_field import ANEW, CHEAPEST, CoordinateField, Solving
from ..field.coordinate_spec import CoordinateSpec, explicit_twin
from ..field.implicit import Phantom
from ..field.points import Stop
from ..fit.coordinate import CoordinateFit, Points
from ..fit.distortion import PointDistortion, entropy, squared
from ..fit.schedule import CoordinateSchedule
from ..fit.training_loop import StepInfo
from ..metrics import psnr
from .presets import Experiment, Network
from .signals import Task

SOLVED = Solving(stop=Stop(absolute=1e-5, relative=1e-4, iterations=300))  # when z* counts as reached
ONCE = Solving(stop=Stop(iterations=0), gradient=Phantom(steps=1))  # one application, from zero
BLOCK = 2**14
IMPLICIT, EXPLICIT, ONE_PASS = "implicit", "explicit", "one-pass"
CURVE_POINTS = 40  # points of each curve in the results


@dataclass(kw_only=True)
class Row:
    """What is known of one fit.

    Args:
        signal, network: names; way, kind, layers, width, parameters: of the network. The way is IMPLICIT, EXPLICIT or ONE_PASS.
        steps: optimiser steps.
        seconds: of all steps, evaluation left out. CPU seconds on one CPU thread, else wall-clock ones.
        step_seconds: the median step.
        quality: dB of the training points (IoU for shapes), fixed points solved from zero.
        step_quality: dB of the last training step's own output.
        tests: the same as quality for held-out points.
        forward_iterations: applications of F in the forward pass of a training step.
        solved_iterations: applications from zero until the slowest point met its tolerance, or the cap.
        failed: share of the points that did not meet it.
        saved_bytes: of tensors kept for the backward pass of one step.
        peak_bytes: most memory allocated in a step, on a GPU.
        curve: step, seconds and dB of the step's own output.
        test_curve: step, seconds and mean quality of the tests.
    """

    signal: str
    kind: str
    network: str
    way: str
    layers: int
    width: int
    parameters: int = 0
    steps: int = 0
    seconds: float = 0.0
    step_seconds: float = 0.0
    quality: float = math.nan
    step_quality: float = math.nan
    tests: dict[str, float] = field(default_factory=dict)
    forward_iterations: float = 1.0
    solved_iterations: int = 1
    failed: float = 0.0
    saved_bytes: int = 0
    peak_bytes: int | None = None
    curve: list[tuple[int, float, float]] = field(default_factory=list)
    test_curve: list[tuple[int, float, float]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Implicit siren 1L256D."""
        return f"{self.way} {self.kind} {self.network}"

    @property
    def implicit(self) -> bool:
        """Whether it is a fixed point."""
        return self.way == IMPLICIT


def specs(kind: str, network: Network, task: Task, experiment: Experiment) -> dict[str, CoordinateSpec]:
    """The implicit network and its explicit twins of as many layers and parameters, by way.

    The twin of siren is the network of Sitzmann et al. (2020), which is more than one application of F; so that one application from zero,
    the authors' own baseline, is there as well. Those of fourier and gabor are one application as they are.
    """
    picture = task.points.x.shape[1] == 2
    scale = experiment.input_scale / (2 if kind == "siren" and picture else 1)
    implicit = CoordinateSpec(
        kind=kind,
        axes=task.points.x.shape[1],
        channels=task.points.y.shape[1],
        width=network.width,
        layers=network.layers,
        input_scale=scale,
        normalise=experiment.contract,
    )
    # The twin is no fixed point, so nothing has to contract.
    twin = explicit_twin(replace(implicit, normalise=False), layers=network.layers).spec
    found = {IMPLICIT: implicit, EXPLICIT: twin}
    return found | {ONE_PASS: replace(implicit, normalise=False)} if kind == "siren" else found


def run(
    way: str,
    spec: CoordinateSpec,
    network: Network,
    task: Task,
    experiment: Experiment,
    *,
    device: torch.device,
    seed: int,
    on_step: Callable[[StepInfo], None],
) -> Row:
    """Train, then solve the fixed points of all points."""
    row = Row(signal=task.name, kind=spec.kind, network=network.name, way=way, layers=spec.layers, width=spec.width)
    row.parameters = spec.parameters
    field = CoordinateField(build(spec, initial(spec, generator=torch.Generator().manual_seed(seed)))).to(device)
    solved = ONCE if way == ONE_PASS else SOLVED
    points = moved(task.points, device)
    tests = {name: moved(test, device) for name, test in task.tests.items()}
    schedule = CoordinateSchedule(
        steps=experiment.steps,
        rate=experiment.rate,
        batch=experiment.batch or len(points),
        reuse=experiment.reuse and way != ONE_PASS,
        solving=CHEAPEST if way == ONE_PASS else None if experiment.reuse else ANEW,
    )
    distortion = PointDistortion(loss=entropy if task.occupancy else squared, unit=task.unit)
    watch = _Watch(row, schedule.steps, device, experiment.checkpoints, lambda: score(field, tests, task, solved), on_step)
    fit = _LastState(field, points, schedule, distortion=distortion, seed=seed, on_step=watch)
    watch.fit = fit
    row.saved_bytes = saved_bytes(lambda: fit.step(0.0))
    watch.begin()
    fit.advance(1.0)
    watch.end()
    _finish(row, field, points, tests, task, solved)
    return row


class _LastState(CoordinateFit):
    """A fit whose last state counts, as in the paper: none is compared, so that nothing but steps takes time."""

    def keep(self) -> None:
        """Nothing."""


def _finish(row: Row, field: CoordinateField, points: Points, tests: dict[str, Points], task: Task, solving: Solving) -> None:
    row.quality, solution = measured(field, points, task, solving)
    row.solved_iterations, row.failed = solution if row.implicit else (1, 0.0)
    row.tests = {name: measured(field, test, task, solving)[0] for name, test in tests.items()}
    row.curve = thinned(row.curve)
    row.step_quality = row.curve[-1][2] if row.curve and not task.occupancy else math.nan


class _Watch:
    """Reads the clock at every step, and the tests now and then with the clock stopped."""

    def __init__(
        self, row: Row, steps: int, device: torch.device, checkpoints: int, tests: Callable[[], float], on_step: Callable[[StepInfo], None]
    ) -> None:
        self.row, self.device, self.tests, self.on_step = row, device, tests, on_step
        self.every = math.ceil(steps / checkpoints) if checkpoints else 0
        self.fit: CoordinateFit | None = None
        self.times: list[float] = []
        self.iterations = 0
        self.started: float | None = None

    def begin(self) -> None:
        """Start the clock."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        self.started = self.clock()

    def clock(self) -> float:
        """Seconds: of this process's CPU on one CPU thread, so that other processes do not count; else of the wall."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "cpu" and torch.get_num_threads() == 1:
            return time.process_time()
        return time.perf_counter()

    def __call__(self, info: StepInfo) -> None:
        if self.started is None or self.fit is None:  # the step that was made to count its tensors
            return
        now = self.clock()
        self.times.append(now - self.started)
        self.row.seconds += self.times[-1]
        self.iterations += self.fit.iterations
        self.row.curve.append((info.step, self.row.seconds, info.psnr))
        if self.every and (info.step % self.every == 0 or info.step == info.steps):
            self.row.test_curve.append((info.step, self.row.seconds, self.tests()))
        self.on_step(info)
        self.started = self.clock()

    def end(self) -> None:
        """Sum up."""
        row = self.row
        row.steps = len(self.times)
        row.step_seconds = sorted(self.times)[len(self.times) // 2]
        row.forward_iterations = self.iterations / row.steps if row.implicit else 1.0
        if self.device.type == "cuda":
            row.peak_bytes = torch.cuda.max_memory_allocated(self.device)


def moved(points: Points, device: torch.device) -> Points:
    """The points on a device."""
    return Points(x=points.x.to(device), y=points.y.to(device))


@torch.no_grad()
def measured(field: CoordinateField, points: Points, task: Task, solving: Solving) -> tuple[float, tuple[int, float]]:
    """Quality with fixed points solved from zero; the iterations of the slowest point, and the share that failed."""
    total, both, either, slowest, failed = 0.0, 0, 0, 1, 0
    for start in range(0, len(points), BLOCK):
        part = slice(start, start + BLOCK)
        output = field(points.x[part], solving=solving)
        wanted = points.y[part]
        if task.occupancy:
            inside, there = output.values > 0, wanted > 0.5
            both, either = both + int((inside & there).sum()), either + int((inside | there).sum())
        else:
            total += float((output.values.cpu().double() - wanted.cpu().double()).square().sum())
        if output.solution.points is not None:
            slowest, failed = max(slowest, output.solution.iterations), failed + output.solution.points.failed
    quality = both / max(either, 1) if task.occupancy else psnr(task.unit * total / points.y.numel()) if math.isfinite(total) else -math.inf
    return quality, (slowest, failed / len(points))


def score(field: CoordinateField, tests: dict[str, Points], task: Task, solving: Solving) -> float:
    """Mean quality of the tests."""
    found = [measured(field, test, task, solving)[0] for test in tests.values()]
    return sum(found) / max(len(found), 1)


def saved_bytes(step: Callable[[], None]) -> int:
    """Bytes of the tensors that autograd keeps for a backward pass at one time, each counted once."""
    held: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        held[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        step()
    return sum(held.values())


def thinned(curve: list[tuple[int, float, float]]) -> list[tuple[int, float, float]]:
    """At most about CURVE_POINTS points of a curve, evenly, the last one with them."""
    every = max(1, len(curve) // CURVE_POINTS)
    return [point for at, point in enumerate(curve) if at % every == 0 or at == len(curve) - 1]
