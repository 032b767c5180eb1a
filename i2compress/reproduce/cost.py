"""What a training step costs: memory against iterations and depth, each in a fresh process, and seconds beside an explicit layer.

`python -m i2compress.reproduce.cost` is such a process: it makes a few steps and prints its peak.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch

from ..errors import ResourceError
from ..field.coordinate import build, initial
from ..field.coordinate_field import CHEAPEST, REUSE, CoordinateField, Solving
from ..field.coordinate_spec import CoordinateSpec
from ..field.implicit import Phantom
from ..field.points import Stop
from ..fit.coordinate import CoordinateFit, Points
from ..fit.schedule import CoordinateSchedule
from .presets import Cost

STEPS = 2  # training steps of a memory measurement
# The C library keeps freed blocks below a threshold that grows as it goes; fixed, a tensor's memory goes back at once and the peak is exact.
_EXACT = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
_ROUNDS = 3  # how often timings are repeated: the ways take turns, so that all meet the same machine


@dataclass(frozen=True, kw_only=True)
class Memory:
    """One measurement.

    Args:
        way: "implicit", "unrolled" or "explicit".
        count: solver iterations, unrolled applications, or layers.
        bytes: the peak of the process (of the allocator on a GPU) above what it held before the first step.
        peak: the peak itself.
    """

    way: str
    count: int
    bytes: int
    peak: int


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Seconds of a training step, the median, and their ratio to the explicit layer's."""

    kind: str
    way: str
    seconds: float
    ratio: float


def memory(cost: Cost, device: torch.device, say: Callable[[str], None]) -> list[Memory]:
    """Memory of a step of a fourier network: implicit and unrolled by iterations, explicit by depth."""
    plan = [("implicit", n) for n in cost.iterations] + [("unrolled", n) for n in cost.iterations] + [("explicit", n) for n in cost.depths]
    found = []
    for way, count in plan:
        words = [way, str(count), str(cost.points), str(cost.width), str(device)]
        command = [sys.executable, "-m", "i2compress.reproduce.cost", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **_EXACT})
        if done.returncode:
            raise ResourceError(f"the memory of {way} {count} could not be measured: {done.stderr.strip().splitlines()[-1:]}")
        found.append(Memory(**json.loads(done.stdout)))
        say(f"memory: {way} {count}: {found[-1].bytes / 1e6:.1f} MB")
    return found


def peak(way: str, count: int, points: int, width: int, device: torch.device) -> Memory:
    """Make a few steps in this process, and say its peak."""
    layers = count if way == "explicit" else 1
    solvings = {
        "implicit": Solving(stop=Stop(absolute=0.0, relative=0.0, iterations=count)),
        "unrolled": Solving(stop=Stop(iterations=0), gradient=Phantom(steps=count)),
    }
    fit = trainer("fourier", points, width, device, explicit=way == "explicit", layers=layers, solving=solvings.get(way))
    cuda = device.type == "cuda"
    before = torch.cuda.memory_allocated(device) if cuda else _resident()
    for _ in range(STEPS):
        fit.step(0.0)
    top = torch.cuda.max_memory_allocated(device) if cuda else _most()
    return Memory(way=way, count=count, bytes=top - before, peak=top)


def trainer(kind: str, points: int, width: int, device: torch.device, *, explicit: bool, layers: int, solving: Solving | None) -> CoordinateFit:
    """A fit to random values at random points of the square."""
    generator = torch.Generator().manual_seed(0)
    spec = CoordinateSpec(kind=kind, axes=2, channels=1, explicit=explicit, width=width, layers=layers, normalise=False)
    field = CoordinateField(build(spec, initial(spec, generator=generator))).to(device)
    x, y = torch.rand(points, 2, generator=generator) * 2 - 1, torch.rand(points, 1, generator=generator)
    data = Points(x=x.to(device), y=y.to(device))
    return CoordinateFit(field, data, CoordinateSchedule(steps=1, batch=points, reuse=True, solving=solving))


def speed(kind: str, cost: Cost, device: torch.device) -> list[Speed]:
    """Steps of one layer of one kind: explicit, and implicit with the last z* reused and with the cheapest gradient."""
    ways = {"explicit": (True, None), "one-step (1 + J), reuse": (False, REUSE), "one-step (1), reuse": (False, CHEAPEST)}
    fits = {
        way: trainer(kind, cost.points, cost.width, device, explicit=explicit, layers=1, solving=solving) for way, (explicit, solving) in ways.items()
    }
    times: dict[str, list[float]] = {way: [] for way in ways}
    for fit in fits.values():
        fit.step(0.0)
    for _ in range(_ROUNDS):
        for way, fit in fits.items():
            times[way] += [_timed(fit, device) for _ in range(max(1, cost.repeats // _ROUNDS))]
    medians = {way: sorted(found)[len(found) // 2] for way, found in times.items()}
    return [Speed(kind=kind, way=way, seconds=seconds, ratio=seconds / medians["explicit"]) for way, seconds in medians.items()]


def _timed(fit: CoordinateFit, device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    clock = time.process_time if device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
    start = clock()
    fit.step(0.0)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - start


def _resident() -> int:
    """Bytes of memory this process holds now; its peak where the system does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        return _most()


def _most() -> int:
    """The most bytes this process ever held."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    torch.set_num_threads(1)
    given = sys.argv[1:]
    sys.stdout.write(json.dumps(asdict(peak(given[0], int(given[1]), int(given[2]), int(given[3]), torch.device(given[4])))))
