"""Loss against steps and seconds, of real files, weights and header included.

    python -m tests.benchmarks.steps PICTURE... [--crop 384x256] [--steps 200,500,1000,2000] [--explicit] [--levels 6] --out FILE.json

Each picture is encoded once for each number of steps (the schedule depends on it). The loss is D + lambda R: D the mean
squared error of the decoded file in [0, 1], R the bits a sample of the whole file.
"""

import argparse
import math
import time
from pathlib import Path

from i2compress import EncodeSettings, Signal, codec
from i2compress.bench.files import to_json
from i2compress.bench.provenance import machine
from i2compress.codec import I2File, encode_signal
from i2compress.media import read


def source(path: Path, crop: str | None) -> Signal:
    """A picture, or its top left part of WxH."""
    whole = read(path)
    if crop is None:
        return whole
    width, height = map(int, crop.split("x"))
    return Signal(values=whole.values[:height, :width].copy(), bit_depth=whole.bit_depth)


def measure(picture: Signal, settings: EncodeSettings) -> dict[str, float]:
    """One encode and one decode."""
    result = encode_signal(picture, settings)
    began = time.perf_counter()
    file = I2File.from_bytes(result.data, threads=settings.threads)
    opened = time.perf_counter()
    file.render()
    samples = math.prod(picture.grid)
    return {
        "steps": result.steps,
        "seconds": round(result.seconds, 1),
        "loss_1e3": round(1e3 * result.loss, 4),
        "psnr": round(result.psnr, 3),
        "bpp": round(result.bpp, 4),
        "weights_bpp": round(8 * result.sizes["weights"] / samples, 4),
        "iterations": file.spec.iterations,
        "entropy_decoding_s": round(opened - began, 3),
        "render_s": round(time.perf_counter() - opened, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--crop", help="WxH: only the top left part")
    parser.add_argument("--steps", default="200,500,1000,2000")
    parser.add_argument("--lambda", dest="lam", type=float, default=1e-3)
    parser.add_argument("--explicit", action="store_true")
    parser.add_argument("--width", type=int)
    parser.add_argument("--levels", type=int, help="at most so many levels of latents")
    parser.add_argument("--planes-from", type=int, help="samples of the smallest picture with a grid for each channel")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    codec.MAX_LEVELS = codec.MAX_LEVELS if options.levels is None else options.levels
    codec.PLANES_FROM = codec.PLANES_FROM if options.planes_from is None else options.planes_from
    rows = []
    for path in options.pictures:
        picture = source(path, options.crop)
        for steps in map(int, options.steps.split(",")):
            settings = EncodeSettings(
                lam=options.lam, steps=steps, explicit=options.explicit, width=options.width, threads=options.threads, seed=options.seed, strip=True
            )
            row = {"picture": path.stem, "crop": options.crop, "explicit": options.explicit, "threads": options.threads, **measure(picture, settings)}
            rows.append(row)
            print(" ".join(f"{key}={value}" for key, value in row.items()), flush=True)
            options.out.write_text(to_json({"cpu": machine(), "lambda": options.lam, "rows": rows}), encoding="utf-8")


if __name__ == "__main__":
    main()
