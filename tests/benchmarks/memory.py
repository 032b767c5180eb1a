"""Estimates of memory beside the real heights of processes that encode and decode: python -m tests.benchmarks.memory FILE...

Each encode and each decode is a process of its own. STEPS steps suffice: the height of a fit is reached in each of them.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from i2compress import View, media
from i2compress.codec import DECODER_MEMORY
from i2compress.config import MOST_HALVINGS, EncodeSettings

STEPS = 3
MEASURE = (
    "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:]); print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)


def height(*words: str) -> float:
    """Megabytes that i2c has at most in a process of its own. Raises RuntimeError where it fails."""
    command = [sys.executable, "-c", MEASURE, sys.executable, "-m", "i2compress", *words, "--quiet", "--threads", "1"]
    code, most = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ)).stdout.split()[-2:]
    if code != "0":
        raise RuntimeError(f"i2c {' '.join(words)} ended with {code}")
    return int(most) * (1 if sys.platform == "darwin" else 1024) / 1e6


def main(names: list[str]) -> None:
    """The table."""
    print("| file | work | foreseen, MB | taken, MB |", "|---|---|---|---|", sep="\n")
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            made = Path(folder) / "made.i2"
            with media.open_source(name) as opened:
                medium, source = media.MEDIA[opened.source.layout.kind], opened.source
                needs = [medium.encode_memory(source, EncodeSettings(halvings=halvings)) for halvings in range(MOST_HALVINGS + 1)]
            for halvings in (0, MOST_HALVINGS) if needs[-1] < needs[0] else (0,):
                need = needs[halvings]
                taken = height("encode", name, "-o", str(made), "-f", "--steps", str(STEPS), "--no-verify", "--max-memory", str(int(need) + 1))
                print(f"| {Path(name).name} | encode, parts halved {halvings} times | {need / 1e6:.0f} | {taken:.0f} |", flush=True)
            data = made.read_bytes()
            need = DECODER_MEMORY + len(data) + medium.cost(data, View()).memory
            taken = height("decode", str(made), "-O", folder)
            print(f"| {Path(name).name} | decode | {need / 1e6:.0f} | {taken:.0f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
