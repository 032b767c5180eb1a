"""What moving the frames of a group and levels that halve time alone give, alone and together, on clips made of photographs.

    python -m tests.benchmarks.motion PICTURE OTHER [--size 140] [--crop 96x64] [--frames 16] [--steps 80] [--lambda 1e-3] [--only NAME,...]

Clips: "pan" and "shake", in which a camera moves over PICTURE; "object", in which a part of OTHER passes in front of it; "both", in which
the camera moves as well; "static". All have noise of one code value. Each is encoded whole, as RGB; the loss is 1000 (D + lambda R) of the
file, header and weights included, the seconds are of the processor, one thread.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from i2compress import EncodeSettings, Signal
from i2compress.arrays import Float32Array
from i2compress.codec import encode
from i2compress.coords import keys_taps
from i2compress.kinds import Kind
from i2compress.media import read
from i2compress.media.video import motion
from i2compress.media.video.camera import camera_path
from i2compress.memory import keep_freed_memory

GROUP = sys.modules["i2compress.media.video.group"]
FINDERS: dict[str, Callable[..., motion.Path]] = {
    "still": lambda frames, largest: (),
    "whole samples": lambda frames, largest: _whole(camera_path(frames, largest)),
    "moving": camera_path,
}
FORMS = [(finder, slow) for slow in (False, True) for finder in FINDERS]


def _whole(path: motion.Path) -> motion.Path:
    return motion.path_of([(row - row % motion.STEPS, column - column % motion.STEPS) for row, column in path]) if path else ()


def shot(picture: Float32Array, y: float, x: float, height: int, width: int) -> Float32Array:
    """A part of a picture that begins at a real place, by Keys' interpolation."""
    for axis, (start, size) in enumerate(((y, height), (x, width))):
        whole = round(start)
        at = np.arange(size) + whole
        picture = np.sum([weight * np.take(picture, at + k, axis=axis, mode="clip") for k, weight in enumerate(keys_taps(start - whole), -2)], 0)
    return np.asarray(picture, np.float32)


def clips(picture: Float32Array, other: Float32Array, frames: int, height: int, width: int) -> dict[str, Float32Array]:
    """Frames `[T, H, W, 3]` by name."""
    rows, columns = np.mgrid[:height, :width]

    def clip(camera: Callable[[int], tuple[float, float]], thing: bool) -> Float32Array:
        made, noise = [], np.random.default_rng(1)
        for t in range(frames):
            y, x = camera(t)
            frame = shot(picture, 20 + y, 15 + x, height, width)
            if thing:
                cy, cx = 0.44 * height + 0.4 * t, 0.25 * width + 2.1 * t
                mask = np.clip((1 - np.hypot((rows - cy) / 17, (columns - cx) / 15)) * 16 + 0.5, 0, 1)[..., None]
                frame = frame * (1 - mask) + mask * shot(other, 60 - cy, 60 - cx, height, width)
            codes = np.round(255 * np.clip(frame + noise.normal(0, 1 / 255, frame.shape), 0, 1))
            made.append(codes.astype(np.float32) / np.float32(255))
        return np.stack(made)

    def pan(t: int) -> tuple[float, float]:
        return 0.45 * t, 1.3 * t

    def shake(t: int) -> tuple[float, float]:
        return 1.5 * math.sin(1.1 * t), 2 * math.sin(0.7 * t + 1)

    def stand(t: int) -> tuple[float, float]:
        return 0.0, 0.0

    return {
        "pan": clip(pan, False),
        "shake": clip(shake, False),
        "object": clip(stand, True),
        "both": clip(pan, True),
        "static": clip(stand, False),
    }


@contextmanager
def form(finder: str, slow: bool) -> Iterator[None]:
    """Encodes inside find where frames lie so, and have levels that halve time alone or none."""
    before = GROUP.camera_path, GROUP.SLOW
    vars(GROUP).update(camera_path=FINDERS[finder], SLOW=before[1] if slow else ())
    try:
        yield
    finally:
        vars(GROUP).update(camera_path=before[0], SLOW=before[1])


def reduced(path: Path, size: int) -> Float32Array:
    """A photograph whose shorter side has so many samples, by means of blocks."""
    values = read(path).values
    factor = max(1, min(values.shape[:2]) // size)
    height, width = (side // factor * factor for side in values.shape[:2])
    blocks = values[:height, :width].reshape(height // factor, factor, width // factor, factor, -1)
    return np.asarray(blocks.mean((1, 3)), np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path)
    parser.add_argument("other", type=Path)
    parser.add_argument("--size", type=int, default=140)
    parser.add_argument("--crop", default="96x64")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--lambda", dest="lam", type=float, default=1e-3)
    parser.add_argument("--only", help="some of the clips")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    width, height = map(int, options.crop.split("x"))
    settings = EncodeSettings(lam=options.lam, steps=options.steps, threads=1, device="cpu")
    made = clips(reduced(options.picture, options.size), reduced(options.other, options.size), options.frames, height, width)
    print("| clip | frames | levels that halve time alone | loss | PSNR | bytes | CPU s |", "|---|---|---|---:|---:|---:|---:|", sep="\n")
    for name in options.only.split(",") if options.only else made:
        signal = Signal(values=made[name], kind=Kind.VIDEO, rate=25)
        for finder, slow in FORMS:
            began = time.process_time()
            with form(finder, slow):
                found = encode(signal, settings)
            seconds, rate = time.process_time() - began, 8 * len(found.data) / math.prod(signal.grid)
            loss = 1e3 * (10 ** (-found.psnr / 10) + options.lam * rate)
            print(
                f"| {name} | {finder} | {'yes' if slow else 'no'} | {loss:.3f} | {found.psnr:.2f} | {len(found.data)} | {seconds:.0f} |", flush=True
            )


if __name__ == "__main__":
    main()
