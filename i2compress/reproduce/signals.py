"""What the experiments fit: pictures, a rendered page of text, clips of sound and video, as points and wanted values."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from ..arrays import Float32Array
from ..errors import SignalError, UsageError
from ..fit.coordinate import Points, grid_points
from ..kinds import Kind
from ..signal import to_codes

if TYPE_CHECKING:
    from ..media import Source

PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".ppm", ".pgm"}
CLIPS = {".wav", ".flac", ".ogg", ".mp3"}
VIDEOS = {".mp4", ".mkv", ".webm", ".avi", ".mov"}
MESHES = {".ply", ".obj", ".off", ".stl"}
SUFFIXES = {"image": PICTURES, "generalisation": PICTURES, "audio": CLIPS, "video": VIDEOS, "occupancy": MESHES}

_TEXT = "An implicit layer says what its output is, not how to compute it: z = F(z, x). One layer, solved, is as deep as it needs to be. 0123456789 "


@dataclass(frozen=True, kw_only=True)
class Task:
    """A signal to fit.

    Args:
        name: of the signal.
        points: what is trained on.
        tests: held-out points by name, for generalisation and shapes.
        unit: what a squared error of 1 counts: 1/4 for values in [-1, 1] whose PSNR is that of [0, 1].
        occupancy: whether values are logits of being inside.
        note: how the signal was cut.
    """

    name: str
    points: Points
    tests: dict[str, Points]
    unit: float = 1.0
    occupancy: bool = False
    note: str = ""


def picture(path: Path, side: int) -> Float32Array:
    """The middle square of a picture, reduced to `side` samples a side, `[side, side, D]` in [-1, 1]; alpha is left out."""
    from .. import media

    signal = media.read(path)
    codes = to_codes(signal.values, 8)
    return square(codes[..., :-1] if signal.channels in (2, 4) else codes, side)


def camera(side: int) -> Float32Array | None:
    """scikit-image's photographer, in the same way; None where scikit-image is not installed.

    The authors used the picture of its version 0.16, which is another one.
    """
    try:
        from skimage.data import camera as load
    except ImportError:
        return None
    return square(load()[..., None], side)


def text(side: int) -> Float32Array:
    """A page of text, dark on light, in the same way."""
    from PIL import Image, ImageDraw, ImageFont

    page = Image.new("L", (512, 512), 255)
    draw = ImageDraw.Draw(page)
    for line in range(16):
        draw.text((8, 8 + 31 * line), (_TEXT * 2)[9 * line : 9 * line + 40], fill=0, font=ImageFont.load_default(24))
    return square(np.asarray(page)[..., None], side)


def square(codes: npt.NDArray[np.uint8] | npt.NDArray[np.uint16], side: int) -> Float32Array:
    """The middle square of `[H, W, D]` codes of 8 bits, reduced by averages to at most `side`, in [-1, 1]."""
    size = min(codes.shape[:2])
    top, left = (codes.shape[0] - size) // 2, (codes.shape[1] - size) // 2
    out = min(side, size)
    return reduced(codes[top : top + size, left : left + size], out, out)


def reduced(codes: npt.NDArray[np.uint8] | npt.NDArray[np.uint16], height: int, width: int) -> Float32Array:
    """`[H, W, D]` codes of 8 bits, reduced by averages, in [-1, 1]."""
    from PIL import Image

    planes = [Image.fromarray(plane).resize((width, height), Image.Resampling.BOX) for plane in np.moveaxis(codes.astype(np.uint8), -1, 0)]
    return np.stack([np.asarray(plane) for plane in planes], -1).astype(np.float32) / np.float32(127.5) - 1


def whole(name: str, values: Float32Array, *, unit: float, note: str) -> Task:
    """All samples of a grid `[*grid, D]`."""
    y = torch.from_numpy(values.reshape(-1, values.shape[-1]))
    return Task(name=name, points=Points(x=grid_points(values.shape[:-1]), y=y), tests={}, unit=unit, note=note)


def halves(name: str, values: Float32Array) -> Task:
    """A picture `[H, W, D]` whose even rows and columns are trained on, and the odd ones tested."""
    task = whole(name, values, unit=0.25, note=f"{values.shape[1]}x{values.shape[0]}, even samples for training, odd for the test")
    height, width = values.shape[:2]
    index = np.arange(height * width).reshape(height, width)
    even, odd = (torch.from_numpy(index[start::2, start::2].ravel()) for start in (0, 1))
    x, y = task.points.x, task.points.y
    return Task(name=name, points=Points(x=x[even], y=y[even]), tests={"odd": Points(x=x[odd], y=y[odd])}, unit=0.25, note=task.note)


def clip(path: Path, samples: int) -> tuple[Float32Array, str]:
    """The middle `samples` of a clip's channels' mean (all for 0), `[N, 1]`, its largest magnitude 1; and how it was cut."""
    with _opened(path, Kind.AUDIO, "give a WAV or another file with an audio stream") as source:
        wave, rate = np.asarray(source.read(0, source.layout.grid[0]), np.float32).mean(-1), source.layout.rate
    if not wave.any():
        raise SignalError(f"{path} is silent or empty; give a clip with sound in it")
    start = max(0, (len(wave) - samples) // 2) if samples else 0
    cut = wave[start : start + samples] if samples else wave
    scaled = cut / np.float32(max(float(np.abs(cut).max()), 1e-6))
    return scaled[:, None], f"{len(cut)} samples at {rate} Hz from {start / rate:.2f} s, {len(cut) / rate:.3f} s"


def video(path: Path, size: tuple[int, ...]) -> tuple[Float32Array, str]:
    """Frames `[T, H, W, D]` in [-1, 1]: all, or `size` of them from the first, reduced by averages; and how they were cut."""
    frames, height, width = size
    with _opened(path, Kind.VIDEO, "give an MP4 or another file with a video stream") as source:
        taken = to_codes(source.read(0, frames or source.layout.grid[0]), 8)
    values = np.stack([reduced(frame, height or frame.shape[0], width or frame.shape[1]) for frame in taken])
    return values, f"{len(values)} frames of {values.shape[2]}x{values.shape[1]}"


@contextmanager
def _opened(path: Path, kind: Kind, advice: str) -> "Iterator[Source]":
    """A file of that kind of media. Raises SignalError where it is none."""
    from .. import media

    with media.open_source(path) as opened:
        if opened.source.layout.kind is not kind:
            raise SignalError(f"{path} holds {media.MEDIA[opened.source.layout.kind].noun}; {advice}")
        yield opened.source


def chosen(experiment: str, inputs: list[Path]) -> list[Path]:
    """The inputs that are of an experiment's kind, by their names. Raises UsageError where it needs some and there are none."""
    found = [path for path in inputs if path.suffix.lower() in SUFFIXES[experiment]]
    if not found and experiment not in ("image", "generalisation"):
        kinds = ", ".join(sorted(SUFFIXES[experiment]))
        raise UsageError(f"{experiment} has no input; give files ending in one of {kinds}")
    return found
