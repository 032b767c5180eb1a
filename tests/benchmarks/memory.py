"""Estimates of memory beside the real heights of processes that encode and decode: python -m tests.benchmarks.memory FILE... [--steps N] [options]

Each encode and each decode is a process of its own. A few steps suffice: the height of a fit is reached in each of them, but for that of the
compensation of weights, which follows fits of 200 steps or more. --tune, --target-size, --field and --grid are those of i2c encode.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from i2compress import View, media
from i2compress.codec import DECODER_MEMORY
from i2compress.config import DEFAULT_FIELD, MOST_HALVINGS, EncodeSettings, Target

MEASURE = (
    "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:]); print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)


def height(*words: str) -> float:
    """Bytes that i2c has at most in a process of its own. Raises RuntimeError where it fails."""
    command = [sys.executable, "-c", MEASURE, sys.executable, "-m", "i2compress", *words, "--quiet", "--threads", "1"]
    code, most = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ)).stdout.split()[-2:]
    if code != "0":
        raise RuntimeError(f"i2c {' '.join(words)} ended with {code}")
    return int(most) * (1 if sys.platform == "darwin" else 1024)


def show(name: str, work: str, need: float, taken: float) -> None:
    """One line."""
    print(f"| {Path(name).name} | {work} | {need / 1e6:.0f} | {taken / 1e6:.0f} | {need / taken:.2f} |", flush=True)


def measure(name: str, settings: EncodeSettings, options: list[str]) -> None:
    """The lines of one file."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "made.i2"
        with media.open_source(name) as opened:
            medium, source = media.MEDIA[opened.source.layout.kind], opened.source
            needs = [medium.encode_memory(source, replace(settings, halvings=number)) for number in range(MOST_HALVINGS + 1)]
        for halvings in (0, MOST_HALVINGS) if needs[-1] < needs[0] else (0,):
            limit = str(int(needs[halvings]) + 1)
            taken = height("encode", name, "-o", str(made), "-f", "--no-verify", "--max-memory", limit, *options)
            show(name, f"encode, parts halved {halvings} times", needs[halvings], taken)
        data = made.read_bytes()
        show(name, "decode", DECODER_MEMORY + len(data) + medium.cost(data, View()).memory, height("decode", str(made), "-O", folder))


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--target-size", type=int)
    parser.add_argument("--grid", type=int)
    parser.add_argument("--tune")
    parser.add_argument("--field", default=DEFAULT_FIELD)
    asked = parser.parse_args()
    settings = EncodeSettings(steps=asked.steps, target=Target(size=asked.target_size), grid=asked.grid, tune=asked.tune, field=asked.field)
    given = {"--steps": asked.steps, "--target-size": asked.target_size, "--grid": asked.grid, "--tune": asked.tune, "--field": asked.field}
    options = [word for option, value in given.items() if value is not None for word in (option, str(value))]
    print("| file | work | foreseen, MB | taken, MB | foreseen / taken |", "|---|---|---|---|---|", sep="\n")
    for name in asked.files:
        measure(name, settings, options)


if __name__ == "__main__":
    main()
