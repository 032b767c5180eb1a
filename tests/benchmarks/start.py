"""Loss of fits that begin with a trained start, and of fits from nothing, after the same steps.

    python -m tests.benchmarks.start mine/start.npz photos --steps 0,30,60,120 --codes 50 --out start.json

The pictures are crops of 256x256 from the middle of the photographs that a training on the folder holds out. Bits are those of an ideal
coder, and of the stream of weights; none is quantised with compensation, so that both are treated alike.
"""

import argparse
import json
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from i2compress.coding.latents import latent_bits
from i2compress.coding.weights import encode_weights
from i2compress.config import EncodeSettings
from i2compress.field.priors import VARIABLE, StartFile, find_prior, read_start, trained_spec
from i2compress.field.weights import context_weights
from i2compress.fit import fit_signal, pyramid_schedule, trained_schedule, trained_start
from i2compress.metrics import psnr
from i2compress.train import split
from i2compress.train.crops import load
from i2compress.train.loop import lambda_of

SIDE = 256


def measure(values: np.ndarray, step_code: int, steps: int, file: StartFile | None) -> tuple[float, float, float, float]:
    """loss / lambda, PSNR, bits a sample, and bytes of the weights among them."""
    lam = lambda_of(step_code)
    spec, settings = trained_spec(step_code, (SIDE, SIDE)), EncodeSettings(lam=lam, steps=max(steps, 1), threads=1)
    guessed = file is not None and file.guesses
    schedule = replace(trained_schedule(settings) if guessed else pyramid_schedule(settings), compensation=None, steps=steps)
    start = None if file is None else trained_start(values, spec, file)
    result = fit_signal(values, spec, settings, schedule=schedule, start=start)
    context = context_weights(spec, result.groups, find_prior(0 if start is None else start.prior, spec))
    weights = len(encode_weights(list(result.groups.values())))
    rate = (8 * weights + float(latent_bits(result.latents, context, tile=spec.tile).sum())) / SIDE**2
    return result.squared_error / lam + rate, psnr(result.squared_error), rate, weights


def main() -> None:
    """Run it all; one line a setting, and JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("start", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--steps", default="0,20,60,120,240,400")
    parser.add_argument("--codes", default="50", help="step codes; lambda is 1e-3 at 50, and doubles every 4")
    parser.add_argument("--pictures", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path("start.json"))
    given = parser.parse_args()
    os.environ[VARIABLE] = str(given.start)
    file = read_start(given.start)
    held = split(sorted(given.photos.iterdir()))[1][: given.pictures]
    rows = []
    for code in map(int, given.codes.split(",")):
        for steps in map(int, given.steps.split(",")):
            for name, used in (("trained", file), ("none", None)):
                if not steps and used is None:  # a fit from nothing has to make some
                    continue
                began, found = time.process_time(), []
                for path in held:
                    whole = load(path)
                    top, left = ((size - SIDE) // 2 for size in whole.shape[:2])
                    found.append(measure(np.ascontiguousarray(whole[top : top + SIDE, left : left + SIDE]), code, steps, used))
                mean = dict(zip(("loss", "psnr", "bpp", "weights"), np.mean(found, 0).round(4).tolist(), strict=True))
                row = {
                    "start": name,
                    "lambda": lambda_of(code),
                    "steps": steps,
                    **mean,
                    "seconds": round((time.process_time() - began) / len(held), 2),
                }
                rows.append(row | {"seconds": round((time.process_time() - began) / len(held), 2)})
                print(rows[-1], flush=True)
    given.out.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


if __name__ == "__main__":
    main()
