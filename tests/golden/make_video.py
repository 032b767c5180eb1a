"""Makes the golden files of video anew: python tests/golden/make_video.py, while format version 1 is not frozen.

`still.i2` is of the first encoder of video, whose frames never moved, and is kept as it is; only what is expected of it is made anew.
"""

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from i2compress import View

HERE = Path(__file__).parent / "video"
SOME = View(frames=(None, None, 7))
sys.path.insert(0, str(HERE.parent.parent))


def digest(data: bytes) -> dict[str, list[object]]:
    """Of each group: SHA-256 of its latents and weights, each array little-endian in C order, where its frames lie, and how it fades over."""
    from i2compress.codec import I2File
    from i2compress.media.video.format import read_video

    clip, found = I2File.from_bytes(data, threads=1).content, {"latents": [], "weights": [], "paths": [], "joints": []}
    for number, group in enumerate(read_video(data).groups):
        plane = clip._plane(number)
        for name, arrays, kind in (("latents", plane.latents, "<i4"), ("weights", plane.weights.values(), "<f4")):
            found[name].append(hashlib.sha256(b"".join(array.astype(kind).tobytes() for array in arrays)).hexdigest())
        found["paths"].append([list(place) for place in group.motion.path])
        found["joints"].append([int(group.follows), group.limit])
    return found


def clips() -> dict[str, np.ndarray]:
    """Frames `[T, H, W, C]` over which a camera moves, and which change in the middle."""
    t, y, x = np.meshgrid(np.arange(14), np.arange(20), np.arange(26), indexing="ij")
    rows, columns = y + 0.31 * t, x - 0.57 * t
    waves = [np.sin(0.9 * columns + 0.3 * rows + c) * np.cos(0.7 * rows - 0.4 * columns) for c in range(3)]
    frames = 0.5 + 0.35 * np.stack(waves, -1)
    frames[7:] = 1 - frames[7:, ::-1] / 2
    return {"moving": np.asarray(frames, np.float32), "gray": np.asarray(frames[:6, ..., :1], np.float32)}


def main() -> None:
    from i2compress import EncodeSettings, Signal, codec
    from i2compress.kinds import Kind

    settings = EncodeSettings(lam=2e-3, steps=40, threads=1, device="cpu")
    for name, frames in clips().items():
        signal = Signal(values=frames, kind=Kind.VIDEO, rate=25)
        data = codec.encode(signal, settings if name == "moving" else replace(settings, explicit=True)).data
        (HERE / f"{name}.i2").write_bytes(data)
        print(name, len(data))
    files = {path.stem: path.read_bytes() for path in sorted(HERE.glob("*.i2"))}
    (HERE / "expected.json").write_text(json.dumps({name: digest(data) for name, data in files.items()}, indent=1) + "\n")
    frames = {name: codec.I2File.from_bytes(data, threads=1).render(SOME).values.astype(np.float16) for name, data in files.items()}
    np.savez_compressed(HERE / "frames.npz", **frames)


if __name__ == "__main__":
    main()
