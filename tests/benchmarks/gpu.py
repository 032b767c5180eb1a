"""Seconds and memory of fits on a GPU, in a few minutes.

    python -m tests.benchmarks.gpu [--minutes 4.5] [--picture P] [--device cuda] [--out docs/results/gpu.json]

- encodes: whole encodes of a picture of 0.4 megapixels with 400 steps, by tune: seconds, bytes, PSNR; on the CPU of the same machine too, and one of
  12 megapixels at the default effort, where there is time for them.
- steps: seconds of a step at 0.4, 2 and 12 megapixels in the steady state, by tune, with recorded steps and without; the seconds of the first ones,
  in which kernels are loaded and steps are recorded; of refreshing the bases; the operations that the host starts; the peak of memory; and what fits
  of 400, 2500 and 10000 steps take by that, of all resolutions that they go through.
- kernels: what takes the time of a step.

The picture is made larger by mirror images of itself side by side. A case that fails is a row that says how, and one for which no time is left is a
row that says so. With `--device cpu --tiny` all of it runs without a GPU in a minute, on little pictures and by the passes that a GPU would make,
and writes nothing unless told where: it shows that the script works and no more.
"""

import argparse
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import torch

from i2compress.bench.files import to_json
from i2compress.bench.provenance import commit, machine, versions
from i2compress.codec import encode
from i2compress.config import SQUARES, EncodeSettings
from i2compress.field.layer_kernel import uncompiled
from i2compress.fit import exact
from i2compress.fit.coarse import halved_spec
from i2compress.fit.distortion import Distortion
from i2compress.fit.graphs import Graphs
from i2compress.fit.perceptual import DISTORTIONS
from i2compress.fit.problem import Problem
from i2compress.fit.pyramid import PyramidFit
from i2compress.fit.schedule import Schedule, pyramid_schedule
from i2compress.media import read
from i2compress.media.image.encode import pyramid_spec
from i2compress.signal import Signal
from tests.benchmarks.operations import Operations
from tests.tape import Tape

COFFEE = Path(__file__).parent.parent / "media" / "coffee.png"
SIZES = {"0.4 MP": (512, 768), "2 MP": (1152, 1728), "12 MP": (2832, 4240)}  # rows and columns
TINY = {"0.4 MP": (40, 64), "2 MP": (48, 72), "12 MP": (72, 80)}
STEPS = (400, 2500, 10000)
TUNES = (SQUARES, "visual")
WINDOW = 32  # side of the windows of a tiny run
MOST_SECONDS, MOST_PASSES = 4.0, 60  # of one measurement
RESERVE = 10.0  # seconds that are left for what a case takes beside its measurements
ENCODE_RESERVE, CPU_RESERVE, LARGE_RESERVE = 30.0, 75.0, 70.0  # and for encodes
KERNELS = 25  # rows of what takes the time

Row = dict[str, object]


@dataclass(frozen=True, kw_only=True)
class Run:
    """What is measured, and how long.

    Args:
        device: of the fits.
        lam: rate weight.
        tiny: little pictures, few steps.
        until: the time.monotonic() at which it is to be over.
        picture: what is fitted.
    """

    device: torch.device
    lam: float
    tiny: bool
    until: float
    picture: Signal

    @property
    def left(self) -> float:
        """Seconds."""
        return self.until - time.monotonic()

    def sized(self, size: str) -> Signal:
        """The picture of that size."""
        return mirrored(self.picture, *(TINY if self.tiny else SIZES)[size])

    def schedule(self, steps: int) -> Schedule:
        """Of a fit of so many steps."""
        found = pyramid_schedule(EncodeSettings(lam=self.lam, steps=steps))
        return replace(found, window_sides=(WINDOW, WINDOW)) if self.tiny else found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picture", type=Path, default=COFFEE)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--lambda", dest="lam", type=float, default=1e-3)
    parser.add_argument("--minutes", type=float, default=4.5, help="that it takes, at most about")
    parser.add_argument("--tiny", action="store_true", help="little pictures, to try the script")
    parser.add_argument("--out", type=Path, help="docs/results/gpu.json on a GPU")
    options = parser.parse_args()
    device = torch.device(options.device)
    until = time.monotonic() + 60 * options.minutes
    run = Run(device=device, lam=options.lam, tiny=options.tiny, until=until, picture=read(options.picture))
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else machine()
    found: Row = {"device": name, "cpu": machine(), "commit": commit(), "versions": versions(), "lambda": run.lam}
    out = options.out or (Path("docs/results/gpu.json") if device.type == "cuda" else None)
    with exact(), nullcontext() if device.type == "cuda" else uncompiled():
        for kind, label, case, needed in cases(run):
            row = guarded(case) if run.left > needed else {"error": "no time was left"}
            rows = found.setdefault(kind, [])
            assert isinstance(rows, list)
            rows.append({**label, **row})
            print(kind, rows[-1], flush=True)
            if out is not None:
                out.write_text(to_json(found), encoding="utf-8")


def cases(run: Run) -> list[tuple[str, Row, Callable[[], Row], float]]:
    """In the order of what is most worth knowing: of which table, what a row is called, what makes it, and the seconds that it may need."""
    where, steps = str(run.device), 10 if run.tiny else STEPS[0]
    found: list[tuple[str, Row, Callable[[], Row], float]] = []

    def add(kind: str, label: Row, case: Callable[[], Row], needed: float) -> None:
        found.append((kind, label, case, 0.0 if run.tiny else needed))

    for tune in TUNES:
        add("encodes", {"size": "0.4 MP", "tune": tune, "device": where}, partial(encoded, run, "0.4 MP", where, tune, steps), ENCODE_RESERVE)
    for size, tune, recorded in product(SIZES, TUNES, (True, False)):
        add("steps", {"size": size, "tune": tune, "recorded": recorded}, partial(timed, run, size, tune, recorded=recorded), RESERVE)
    for tune in TUNES:
        add("kernels", {"size": "0.4 MP", "tune": tune}, partial(kernels, run, tune), RESERVE)
    few = steps if run.tiny else None
    add("encodes", {"size": "12 MP", "tune": "visual", "device": where}, partial(encoded, run, "12 MP", where, "visual", few), LARGE_RESERVE)
    add("encodes", {"size": "0.4 MP", "tune": SQUARES, "device": "cpu"}, partial(encoded, run, "0.4 MP", "cpu", SQUARES, steps), CPU_RESERVE)
    return found


def guarded(case: Callable[[], Row]) -> Row:
    """What a case finds, or how it failed; its memory is given back."""
    try:
        return case()
    except Exception as error:  # whatever it is, the others are still worth their time
        return {"error": f"{type(error).__name__}: {error}".strip().partition("\n")[0]}
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def mirrored(picture: Signal, height: int, width: int) -> Signal:
    """The picture continued by its mirror images and cut to that size."""
    values = picture.values
    pads = [(0, max(0, size - have)) for size, have in zip((height, width), values.shape, strict=False)]
    return Signal(values=np.pad(values, [*pads, (0, 0)], mode="symmetric")[:height, :width].copy(), bit_depth=picture.bit_depth)


def begun(run: Run, problem: Problem, *, recorded: bool) -> PyramidFit:
    """A fit before its first step."""
    fit = PyramidFit(problem, seed=0, on_step=None, stop=None, recorder=None if run.device.type == "cuda" else Tape())
    if not recorded:
        fit.graphs = Graphs(None)
    return fit


def whole(run: Run, size: str, tune: str) -> Problem:
    """The fit of the picture of that size."""
    picture = run.sized(size)
    spec = pyramid_spec(picture.grid, picture.channels, EncodeSettings(lam=run.lam))
    distortion = DISTORTIONS[tune](picture.values, None, device=run.device)
    return Problem(distortion, spec, run.lam, device=run.device, schedule=run.schedule(STEPS[0]))


def timed(run: Run, size: str, tune: str, *, recorded: bool) -> Row:
    """Steps in the steady state; what is found of them."""
    if run.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(run.device)
    problem = whole(run, size, tune)
    row = steady(run, problem, recorded=recorded)
    if run.device.type == "cuda":
        row["peak_memory_mb"] = round(torch.cuda.max_memory_allocated(run.device) / 2**20)
        row["reserved_memory_mb"] = round(torch.cuda.max_memory_reserved(run.device) / 2**20)
    seconds = {problem.spec.grid: float(str(row["step_s"]))}
    distortion: Distortion = problem.distortion
    spec = problem.spec
    while run.schedule(STEPS[0]).coarse is not None and len(seconds) < 3 and spec.levels > 4:
        distortion, spec = distortion.halved(), halved_spec(spec)
        smaller = Problem(distortion, spec, run.lam, device=run.device, schedule=run.schedule(STEPS[0]))
        seconds[spec.grid] = float(str(steady(run, smaller, recorded=recorded)["step_s"]))
    row["coarse_step_s"] = list(seconds.values())[1:]
    row["estimated_fit_s"] = {str(steps): round(estimated(run, problem, steps, seconds), 1) for steps in STEPS}
    return row


def steady(run: Run, problem: Problem, *, recorded: bool) -> Row:
    """Seconds of a pass of steps, one for each window, once they are recorded."""
    fit, device = begun(run, problem, recorded=recorded), run.device
    began = time.perf_counter()
    for _ in range(1 + 4 * len(problem.windows)):  # each window twice as it is, then recorded; and once more
        step(fit)
    finished(device)
    warm = time.perf_counter() - began
    count, began = 0, time.perf_counter()
    most = min(0.5 if run.tiny else MOST_SECONDS, max(1.0, run.left / 8))
    while time.perf_counter() - began < most and count < MOST_PASSES:
        for _ in problem.windows:
            step(fit)
        finished(device)
        count += 1
    elapsed = time.perf_counter() - began
    with Operations() as operations:
        step(fit)
    return {
        "windows": len(problem.windows),
        "first_steps_s": round(warm, 3),
        "step_s": round(elapsed / count, 6),
        "passes": count,
        "graphs": len(fit.graphs),
        "refresh_s": round(per_call(device, fit.weight_optimizer.refresh), 6),
        "host_operations": operations.count,
    }


def step(fit: PyramidFit) -> None:
    """One, in the midst of a fit."""
    fit.step(0.3)
    fit.done += 1


def per_call(device: torch.device, work: Callable[[], None]) -> float:
    """Seconds of a piece of work, as it is."""
    work()
    finished(device)
    began = time.perf_counter()
    for _ in range(5):
        work()
    finished(device)
    return (time.perf_counter() - began) / 5


def estimated(run: Run, problem: Problem, steps: int, seconds: dict[tuple[int, ...], float]) -> float:
    """Seconds of a fit of so many steps: of the whole, and of all halved signals that come before it."""
    schedule, spec, total = run.schedule(steps), problem.spec, 0.0
    while (parts := schedule.with_coarse(spec)) is not None:
        total += parts[1].steps * seconds.get(spec.grid, min(seconds.values()))
        schedule, spec = parts[0], halved_spec(spec)
    return total + schedule.steps * seconds.get(spec.grid, min(seconds.values()))


def finished(device: torch.device) -> None:
    """Waits until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def kernels(run: Run, tune: str) -> Row:
    """What takes the time of a step as it is: microseconds and calls by kernel, those that take most first."""
    fit = begun(run, whole(run, "0.4 MP", tune), recorded=False)
    for _ in range(4):
        step(fit)
    finished(run.device)
    kinds = [torch.profiler.ProfilerActivity.CPU, *([torch.profiler.ProfilerActivity.CUDA] if run.device.type == "cuda" else [])]
    with torch.profiler.profile(activities=kinds) as profile:
        step(fit)
        finished(run.device)
    on_device = run.device.type == "cuda"
    events = [event for event in profile.key_averages() if not on_device or event.device_type.name == "CUDA"]
    times = [event.self_device_time_total if on_device else event.self_cpu_time_total for event in events]
    taken = sorted(((us, event.count, event.key[:90]) for us, event in zip(times, events, strict=True)), reverse=True)
    return {"microseconds": round(sum(each[0] for each in taken)), "most": [[round(us), count, name] for us, count, name in taken[:KERNELS]]}


def encoded(run: Run, size: str, device: str, tune: str, steps: int | None) -> Row:
    """A whole encode, its file decoded and measured."""
    limit = None if steps is not None else max(15.0, run.left - 45)
    made = encode(run.sized(size), EncodeSettings(lam=run.lam, steps=steps, device=device, tune=tune, time_limit=limit))
    return {"steps": made.coded.steps, "seconds": round(made.seconds, 2), "bytes": len(made.data), "psnr": round(made.psnr, 3)}


if __name__ == "__main__":
    main()
