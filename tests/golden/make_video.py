"""Makes the golden files of video that are missing, and what is expected of all: python tests/golden/make_video.py.

`still.i2` is of the first encoder of video, whose frames never moved.
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
    """Of each group: SHA-256 of its latents and weights, each array little-endian in C order, how its frames move, and how it fades over."""
    from i2compress.codec import I2File
    from i2compress.media.video.format import read_video

    clip, found = I2File.from_bytes(data, threads=1).content, {"latents": [], "weights": [], "paths": [], "meshes": [], "joints": []}
    for number, group in enumerate(read_video(data).groups):
        plane = clip._plane(number)
        for name, arrays, kind in (("latents", plane.latents, "<i4"), ("weights", plane.weights.values(), "<f4")):
            found[name].append(hashlib.sha256(b"".join(array.astype(kind).tobytes() for array in arrays)).hexdigest())
        found["paths"].append([list(place) for place in group.motion.path])
        found["meshes"].append(None if (mesh := group.motion.mesh) is None else [mesh.cell, mesh.pace, mesh.moves.tolist()])
        found["joints"].append([int(group.follows), group.limit])
    return found


def clips() -> dict[str, np.ndarray]:
    """Frames `[T, H, W, C]` over which a camera moves, and which change in the middle; some in which a part sways; and some that rest."""
    t, y, x = np.meshgrid(np.arange(14), np.arange(20), np.arange(26), indexing="ij")
    rows, columns = y + 0.31 * t, x - 0.57 * t
    waves = [np.sin(0.9 * columns + 0.3 * rows + c) * np.cos(0.7 * rows - 0.4 * columns) for c in range(3)]
    frames = 0.5 + 0.35 * np.stack(waves, -1)
    frames[7:] = 1 - frames[7:, ::-1] / 2
    clips = {"moving": frames, "gray": frames[:6, ..., :1], "swaying": np.stack(sway(), -1), "resting": rest()}
    return {name: np.asarray(values, np.float32) for name, values in clips.items()}


def sway() -> list[np.ndarray]:
    """Three colours of frames `[T, H, W]` in the middle of which a part sways, while what is about it rests."""
    t, y, x = np.meshgrid(np.arange(9), np.arange(52), np.arange(60), indexing="ij")
    far = 5 * np.sin(0.4 * t) * np.exp(-(((y - 26) / 16) ** 2) - ((x - 30) / 18) ** 2)
    rows, columns = y + 0.5 * far, x + far
    waves = [np.sin(0.5 * columns + 0.2 * rows + c) * np.cos(0.4 * rows - 0.3 * columns) for c in range(3)]
    return [np.asarray(0.5 + 0.35 * wave, np.float32) for wave in waves]


def rest() -> np.ndarray:
    """Frames `[T, H, W, 3]` of a fine texture that rests, of two colours, over which a square passes."""
    y, x = np.mgrid[:20, :26]
    texture = 0.5 + 0.2 * np.sin(1.9 * x + 0.7 * y) * np.cos(2.3 * y) + 0.1 * np.sin(0.9 * x * y)
    frames = np.repeat(np.stack([texture, texture, 1 - texture], -1)[None], 40, 0)
    for number, frame in enumerate(frames):
        frame[6:12, number // 2 : number // 2 + 6] = 0.9
    return frames


def main() -> None:
    from i2compress import EncodeSettings, Signal, codec
    from i2compress.kinds import Kind

    settings = EncodeSettings(lam=2e-3, steps=40, threads=1, device="cpu")
    for name, frames in clips().items():
        if (HERE / f"{name}.i2").exists():
            continue
        signal = Signal(values=frames, kind=Kind.VIDEO, rate=25)
        data = codec.encode(signal, replace(settings, explicit=name == "gray")).data
        (HERE / f"{name}.i2").write_bytes(data)
        print(name, len(data))
    files = {path.stem: path.read_bytes() for path in sorted(HERE.glob("*.i2"))}
    (HERE / "expected.json").write_text(json.dumps({name: digest(data) for name, data in files.items()}, indent=1) + "\n")
    frames = {name: codec.I2File.from_bytes(data, threads=1).render(SOME).values.astype(np.float16) for name, data in files.items()}
    np.savez_compressed(HERE / "frames.npz", **frames)


if __name__ == "__main__":
    main()
