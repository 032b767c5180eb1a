"""Loss against steps and seconds, of real files, weights and header included.

    python -m tests.benchmarks.steps PICTURE... [--crop 384x256] [--steps 200,500,1000,2000] [--explicit] [--levels 6] --out FILE.json

Each picture is encoded once for each number of steps (the schedule depends on it). The loss is D + lambda R: D the mean
squared error of the decoded file in [0, 1], R the bits a sample of the whole file.
"""

import argparse
import math
import time
from pathlib import Path

from i2compress import EncodeSettings, Signal
from i2compress.bench.files import to_json
from i2compress.bench.provenance import machine
from i2compress.codec import Encoded, I2File
from i2compress.config import SQUARES
from i2compress.container import chunk_sizes
from i2compress.media import SignalSource, image, read
from i2compress.media.image.content import Picture
from i2compress.media.image.encode import MAX_LEVELS, PLANES_FROM
from i2compress.media.protocol import Hooks


def source(path: Path, crop: str | None) -> Signal:
    """A picture, or its top left part of WxH."""
    whole = read(path)
    if crop is None:
        return whole
    width, height = map(int, crop.split("x"))
    return Signal(values=whole.values[:height, :width].copy(), bit_depth=whole.bit_depth)


def measure(picture: Signal, settings: EncodeSettings, *, planes_from: int, levels: int) -> dict[str, float]:
    """One encode and one decode."""
    start = time.perf_counter()
    coded = image.encode(SignalSource(picture), settings, Hooks(), planes_from=planes_from, levels=levels)
    began = time.perf_counter()
    file = I2File.from_bytes(coded.data, threads=settings.threads)
    assert isinstance(file.content, Picture)
    opened = time.perf_counter()
    file.render()
    rendered = time.perf_counter()
    result = Encoded(coded=coded, layout=picture.layout, figures=file.score(picture), seconds=began - start)
    assert result.loss is not None  # the tune is psnr
    weights = sum(chunk.size for chunk in chunk_sizes(coded.data) if chunk.name == "weights")
    samples = math.prod(picture.grid)
    return {
        "steps": coded.steps,
        "seconds": round(result.seconds, 1),
        "loss_1e3": round(1e3 * result.loss, 4),
        "psnr": round(result.psnr, 3),
        "bpp": round(result.bpp, 4),
        "weights_bpp": round(8 * weights / samples, 4),
        "iterations": file.content.plane.spec.iterations,
        "entropy_decoding_s": round(opened - began, 3),
        "render_s": round(rendered - opened, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--crop", help="WxH: only the top left part")
    parser.add_argument("--steps", default="200,500,1000,2000")
    parser.add_argument("--lambda", dest="lam", type=float, default=1e-3)
    parser.add_argument("--explicit", action="store_true")
    parser.add_argument("--width", type=int)
    parser.add_argument("--levels", type=int, default=MAX_LEVELS, help="at most so many levels of latents")
    parser.add_argument("--planes-from", type=int, default=PLANES_FROM, help="samples of the smallest picture with a grid for each channel")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    rows = []
    for path in options.pictures:
        picture = source(path, options.crop)
        for steps in map(int, options.steps.split(",")):
            settings = EncodeSettings(
                tune=SQUARES,
                lam=options.lam,
                steps=steps,
                explicit=options.explicit,
                width=options.width,
                threads=options.threads,
                seed=options.seed,
                strip=True,
                start="none",
            )
            found = measure(picture, settings, planes_from=options.planes_from, levels=options.levels)
            row = {"picture": path.stem, "crop": options.crop, "explicit": options.explicit, "threads": options.threads, **found}
            rows.append(row)
            print(" ".join(f"{key}={value}" for key, value in row.items()), flush=True)
            options.out.write_text(to_json({"cpu": machine(), "lambda": options.lam, "rows": rows}), encoding="utf-8")


if __name__ == "__main__":
    main()
