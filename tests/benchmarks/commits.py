"""Whether two commits write the same files and decode them to the same samples.

    python -m tests.benchmarks.commits OLD [NEW]

Each commit is checked out beside the tree and runs the command line on tests/media/coffee.png, the pictures of the golden files and two
sounds, with one thread. Every output that differs is named; the exit code is 1 where any does. It takes some two minutes.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FIT = ["--threads", "1", "--device", "cpu", "--seed", "0", "--quiet"]
ENCODES = {
    "coffee": ["coffee.png", "--steps", "40"],
    **{name: [f"{name}.png", "-q", "85", "--steps", "200"] for name in ("gray", "rgb", "rgba16")},
    "explicit": ["rgb.png", "--explicit", "--steps", "60"],
    "fine": ["rgb.png", "--lambda", "1e-7", "--steps", "60"],
    **{field: ["rgb.png", "--field", field, "--width", "24", "--steps", "40"] for field in ("siren", "fourier", "gabor")},
    "mono": ["mono.wav", "--steps", "40"],
    "stereo": ["stereo.wav", "--steps", "40"],
    "stereo-snr": ["stereo.wav", "--tune", "snr", "--steps", "40"],
    "stereo-bitrate": ["stereo.wav", "--bitrate", "24k", "--steps", "40"],
    "waveform": ["mono.wav", "--field", "siren", "--width", "24", "--steps", "40"],
}
DECODES = {
    "coffee.png": ["coffee.i2", "--max-size", "300"],
    "rgb.ppm": ["rgb.i2", "--scale", "1.7"],
    "stereo.wav": ["stereo.i2"],
    "part.wav": ["stereo.i2", "--rate", "8000", "--time", "0.05:0.2"],
    "waveform.wav": ["waveform.i2", "--rate", "5000"],
}


def inputs(folder: Path) -> None:
    """What is encoded."""
    import soundfile

    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "golden")]
    from make import sources
    from pictures import COFFEE, written
    from sounds import RATE, chord

    (folder / "coffee.png").write_bytes(COFFEE.read_bytes())
    for name in ("gray", "rgb", "rgba16"):
        (folder / f"{name}.png").write_bytes(written(sources()[name][0], "png"))
    for name, channels in (("mono", 1), ("stereo", 2)):
        soundfile.write(folder / f"{name}.wav", chord(0.3, channels), RATE)


def made(tree: Path, given: Path, out: Path) -> dict[str, str]:
    """Digests of all that the package in `tree` makes of the inputs, by name."""
    out.mkdir()

    def run(*words: str) -> None:
        command = [sys.executable, "-m", "i2compress", *words]
        subprocess.run(command, cwd=given, env={**os.environ, "PYTHONPATH": str(tree)}, check=True, stderr=subprocess.DEVNULL)

    for name, words in ENCODES.items():
        run("encode", *words, *FIT, "-o", str(out / f"{name}.i2"))
    for name, (source, *words) in DECODES.items():
        run("decode", str(out / source), *words, "--quiet", "-o", str(out / name))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(out.iterdir())}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old")
    parser.add_argument("new", nargs="?", default="HEAD")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        (work / "in").mkdir()
        inputs(work / "in")
        found = []
        for number, commit in enumerate((options.old, options.new)):
            tree = work / f"tree{number}"
            subprocess.run(["git", "worktree", "add", "--detach", "-q", str(tree), commit], cwd=ROOT, check=True)
            try:
                found.append(made(tree, work / "in", work / f"out{number}"))
            finally:
                subprocess.run(["git", "worktree", "remove", "--force", str(tree)], cwd=ROOT, check=True)
    old, new = found
    differing = [name for name in old if old[name] != new[name]]
    print(f"{len(old) - len(differing)} of {len(old)} files are the same" + "".join(f"\n{name} differs" for name in differing))
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
