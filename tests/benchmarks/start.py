"""Files of fits that begin at a trained start, and of fits from nothing, after the same steps.

    python -m tests.benchmarks.start mine/start.npz photos --steps 30,60,120,250 --sides 128,256 --out start.json

The pictures are squares from the middle of the photographs that a training on the folder holds out, reduced to four times that side. What is
compared is the loss of the whole file, D / lambda + bits a sample, with D as the tune weighs errors, measured on the decoded file.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from i2compress import codec
from i2compress.arrays import Float32Array
from i2compress.cli.train import PICTURES
from i2compress.config import SQUARES, EncodeSettings
from i2compress.container import chunk_sizes
from i2compress.field.priors import VARIABLE
from i2compress.signal import Signal
from i2compress.train import split
from i2compress.train.loop import lambda_of

REDUCED = 4  # the longest side of a photograph, in sides of the square


def held_out(photos: Path) -> list[Path]:
    """The photographs of a folder that a training on it holds out."""
    return split([path for path in sorted(photos.iterdir()) if path.suffix.lower() in PICTURES])[1]


def square(path: Path, side: int, channels: int = 3) -> Float32Array:
    """`[side, side, channels]` in [0, 1]; with 2 or 4 of them the last is the opacity of a disc with a soft edge."""
    with Image.open(path) as photo:
        picture = photo.convert("RGB")
    picture.thumbnail((REDUCED * side, REDUCED * side), Image.Resampling.LANCZOS)
    left, top = ((size - side) // 2 for size in picture.size)
    values = np.asarray(picture.crop((left, top, left + side, top + side)), np.float32) / np.float32(255)
    if channels < 3:
        values = (values @ np.array([0.299, 0.587, 0.114], np.float32))[..., None]
    if channels % 2 == 0:
        y, x = np.mgrid[:side, :side] - (side - 1) / 2
        disc = np.clip((0.45 * side - np.hypot(y, x)) / 2 + 0.5, 0, 1)
        values = np.concatenate([values, disc[..., None]], -1)
    return np.round(255 * values).astype(np.float32) / np.float32(255)


def measure(values: Float32Array, settings: EncodeSettings) -> dict[str, float]:
    """Loss / lambda, PSNR, bits a sample, and bytes of the weights, of one file."""
    encoded = codec.encode(Signal(values=values, bit_depth=8), settings)
    squares = 10 ** (-encoded.psnr / 10)
    measured = encoded.coded.distortion_of
    distortion = squares if measured is None else measured(codec.I2File.from_bytes(encoded.data, threads=1).content)
    weights = sum(chunk.size for chunk in chunk_sizes(encoded.data) if chunk.name == "weights")
    return {"loss": distortion / settings.rate_weight + encoded.bpp, "psnr": encoded.psnr, "bpp": encoded.bpp, "weights": weights}


def rows(given: argparse.Namespace, paths: list[Path]) -> Iterator[dict[str, float | str]]:
    """A line a setting, without a start and with it: geometric means of the losses, means of the rest."""
    for side in map(int, given.sides.split(",")):
        pictures = [square(path, side, given.channels) for path in paths]
        for tune in given.tunes.split(","):
            for code in map(int, given.codes.split(",")):
                for steps in map(int, given.steps.split(",")):
                    first: list[float] = []
                    for name, start in (("none", "none"), ("trained", str(given.start))):
                        if not steps and start == "none":  # a fit from nothing has to make some
                            continue
                        settings = EncodeSettings(lam=lambda_of(code), steps=steps, tune=tune, threads=1, device="cpu", start=start)
                        began = time.process_time()
                        found = [measure(values, settings) for values in pictures]
                        seconds = (time.process_time() - began) / len(found)
                        losses = [figures["loss"] for figures in found]
                        first = first or losses
                        mean = {key: round(float(np.mean([figures[key] for figures in found])), 4) for key in ("psnr", "bpp", "weights")}
                        ratio = float(np.exp(np.mean(np.log(np.array(losses) / first))))
                        loss = round(float(np.exp(np.mean(np.log(losses)))), 4)
                        yield {
                            "side": side, "channels": given.channels, "tune": tune, "lambda": lambda_of(code), "steps": steps, "start": name,
                            "loss": loss, "ratio": round(ratio, 4), **mean, "seconds": round(seconds, 2),
                        }  # fmt: skip


def main() -> None:
    """Run it all; one line a setting, and JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("start", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--steps", default="30,60,120,250")
    parser.add_argument("--sides", default="128,256")
    parser.add_argument("--tunes", default=f"visual,{SQUARES}")
    parser.add_argument("--codes", default="50", help="step codes; lambda is 1e-3 at 50, and doubles every 4")
    parser.add_argument("--pictures", type=int, default=6)
    parser.add_argument("--channels", type=int, default=3, help="1 for gray, 2 and 4 with opacity")
    parser.add_argument("--out", type=Path, default=Path("start.json"))
    given = parser.parse_args()
    os.environ[VARIABLE] = str(given.start)
    held = held_out(given.photos)[: given.pictures]
    found = []
    for row in rows(given, held):
        found.append(row)
        print(row, flush=True)
    given.out.write_text("[\n" + ",\n".join(json.dumps(row) for row in found) + "\n]\n")


if __name__ == "__main__":
    main()
