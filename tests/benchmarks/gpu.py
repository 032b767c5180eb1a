"""Seconds and memory of fits on a GPU, in less than eight minutes.

    python -m tests.benchmarks.gpu [--picture P] [--device cuda] [--out docs/results/gpu.json]

- step: seconds of a step at 0.4, 2 and 12 megapixels in the steady state, the operations it issues, the peak of memory,
  and what fits of 400, 2500 and 10000 steps take by that;
- encode: whole encodes of the 0.4-megapixel picture with 400 steps on the GPU and on the CPU of the same machine, their bytes and PSNR.

The picture is made larger by mirror images of itself side by side. A case that does not fit into memory is a row that says so.
With `--device cpu` the same runs without a GPU, which shows that the script works and no more; `--seconds` shortens it.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from i2compress.bench.files import to_json
from i2compress.bench.provenance import commit, machine, versions
from i2compress.codec import encode
from i2compress.config import SQUARES, EncodeSettings
from i2compress.fit.distortion import SquaredError
from i2compress.fit.problem import Problem
from i2compress.fit.pyramid import PyramidFit
from i2compress.fit.schedule import Schedule
from i2compress.media import read
from i2compress.media.image.encode import pyramid_spec
from i2compress.signal import Signal
from tests.benchmarks.operations import Operations

COFFEE = Path(__file__).parent.parent / "media" / "coffee.png"
SIZES = {"0.4 MP": (512, 768), "2 MP": (1152, 1728), "12 MP": (2832, 4240)}  # rows and columns
STEPS = (400, 2500, 10000)
WARM_UP = 5  # steps, in which kernels are loaded and a graph would be captured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picture", type=Path, default=COFFEE)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--lambda", dest="lam", type=float, default=1e-3)
    parser.add_argument("--seconds", type=float, default=60, help="of each measurement of a step, at most about")
    parser.add_argument("--out", type=Path, default=Path("docs/results/gpu.json"))
    options = parser.parse_args()
    device = torch.device(options.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else machine()
    found: dict[str, object] = {"device": name, "cpu": machine(), "commit": commit(), "versions": versions(), "lambda": options.lam}
    picture = read(options.picture)
    rows: list[dict[str, object]] = []
    found["steps"] = rows
    for size, (height, width) in SIZES.items():
        rows.append({"size": size, **timed(mirrored(picture, height, width), device, options.lam, options.seconds)})
        print(rows[-1], flush=True)
        options.out.write_text(to_json(found), encoding="utf-8")
    encodes: list[dict[str, object]] = []
    found["encodes"] = encodes
    for where in dict.fromkeys((options.device, "cpu")):
        encodes.append(encoded(mirrored(picture, *SIZES["0.4 MP"]), where, options.lam, STEPS[0] if options.seconds >= 60 else 20))
        print(encodes[-1], flush=True)
        options.out.write_text(to_json(found), encoding="utf-8")


def mirrored(picture: Signal, height: int, width: int) -> Signal:
    """The picture continued by its mirror images and cut to that size."""
    values = picture.values
    pads = [(0, max(0, size - have)) for size, have in zip((height, width), values.shape, strict=False)]
    return Signal(values=np.pad(values, [*pads, (0, 0)], mode="symmetric")[:height, :width].copy(), bit_depth=picture.bit_depth)


def timed(picture: Signal, device: torch.device, lam: float, seconds: float) -> dict[str, object]:
    """Steps for about so many seconds; what is found of them."""
    spec = pyramid_spec(picture.grid, picture.channels, EncodeSettings(lam=lam))
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    try:
        problem = Problem(SquaredError(picture.values, device=device), spec, lam, device=device, schedule=Schedule(steps=1000))
        run = PyramidFit(problem, seed=0, on_step=None, stop=None)
        began = time.perf_counter()
        for _ in range(WARM_UP):
            run.step(0.1)
        finished(device)
        warm = time.perf_counter() - began
        with Operations() as operations:
            run.step(0.1)
        finished(device)
        count, began = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - began) < seconds and count < 20 * len(problem.windows):
            run.step(0.1)
            finished(device)
            count += 1
    except torch.OutOfMemoryError:
        return {"error": "out of memory"}
    pass_seconds = elapsed / count * len(problem.windows)  # each window once
    return {
        "windows": len(problem.windows),
        "first_steps_s": round(warm, 3),
        "step_s": round(pass_seconds, 5),
        "operations": operations.count,
        "host_reads": operations.reads,
        "peak_memory_mb": round(torch.cuda.max_memory_allocated(device) / 2**20) if device.type == "cuda" else None,
        "estimated_fit_s": {str(steps): round(steps * pass_seconds, 1) for steps in STEPS},
    }


def finished(device: torch.device) -> None:
    """Waits until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def encoded(picture: Signal, device: str, lam: float, steps: int) -> dict[str, object]:
    """A whole encode, its file decoded and measured."""
    result = encode(picture, EncodeSettings(lam=lam, steps=steps, device=device, tune=SQUARES))
    return {"device": device, "steps": steps, "seconds": round(result.seconds, 2), "bytes": len(result.data), "psnr": round(result.psnr, 3)}


if __name__ == "__main__":
    main()
