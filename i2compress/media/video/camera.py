"""Where the frames of a group lie when a camera moves: each is registered with some of those before it.

The shift between two frames is begun by phase correlation (Kuglin and Hines 1975) and made exact to parts of a sample by Gauss-Newton steps on
their squared difference (Lucas and Kanade 1981), in which what differs much counts little: it moves by itself.
"""

import numpy as np
import numpy.typing as npt

from ...arrays import Float32Array
from ...coords import KEYS_HALO, keys_taps
from .colour import Colour
from .motion import STEPS, Path, path_of, plane_grid

BEFORE = (1, 2, 4, 8)  # frames back, with which one is registered; several, so that errors do not add up
PAYS = 0.85  # of the difference of frames that lie still, what may be left of it where they move: interpolation alone takes a little
MOST_GROWTH = 2  # of the samples of a group, as its plane holds all that its frames see
ITERATIONS, ENOUGH, FARTHEST = 12, 1 / 64, 1.5  # of Gauss-Newton, in samples: a step so short is the last one, and how far all may lead
SMALLEST = 16  # sides of the smallest frames that are registered
SOFT = 1.5  # times the median difference: what counts half
FINEST = 1 / 512  # the least difference that counts so
LEAST_SLOPE = 1e-7  # mean square of slopes in one direction; with less nothing can be told of a shift

Shift = npt.NDArray[np.float64]  # rows and columns


def brightness(values: Float32Array, colour: Colour) -> Float32Array:
    """`[n, H, W]` of frames `[n, H, W, C]` of luma and chroma, or of other colours."""
    return values[..., 0] if colour.yuv else values[..., :3].mean(-1)


def camera_path(frames: Float32Array, largest: int) -> Path:
    """Where frames `[n, H, W]` lie; nothing where it does not pay to let them move.

    Args:
        frames: of one scene.
        largest: samples that their plane may have.
    """
    path = found_path(frames)
    samples = np.prod(plane_grid(frames.shape, path), dtype=np.float64)
    return () if samples > min(largest, MOST_GROWTH * frames.size) else path


def found_path(frames: Float32Array) -> Path:
    """Where frames `[n, H, W]` of one scene lie, however large their plane; nothing where they are hardly more alike so."""
    if len(frames) < 2 or min(frames.shape[1:]) < SMALLEST:
        return ()
    places = [np.zeros(2)]
    for number in range(1, len(frames)):
        first = shift(frames[number - 1], frames[number], _begun(frames[number - 1], frames[number]))
        begun = places[-1] + first
        found = [begun]
        for back in BEFORE[1:]:
            if back <= number:
                found.append(places[-back] + shift(frames[number - back], frames[number], begun - places[-back]))
        places.append(np.mean(found, 0))
    path = path_of([(round(y * STEPS), round(x * STEPS)) for y, x in places])
    if not any(map(any, path)):
        return ()
    return path if _left(frames, path) < PAYS * _left(frames, ((0, 0),) * len(frames)) else ()


def shift(before: Float32Array, frame: Float32Array, begun: Shift) -> Shift:
    """Where in `before` the first sample of `frame` lies, in rows and columns; `begun` where that cannot be told."""
    at = begun.copy()
    for _ in range(ITERATIONS):
        seen, part = _overlap(before, frame, at)
        if min(seen.shape) < SMALLEST // 2:
            return begun
        error = (part - seen).astype(np.float64)
        weight = 1 / (1 + np.square(error / (SOFT * np.median(np.abs(error)) + FINEST)))
        slopes = np.stack([np.gradient(seen.astype(np.float64), axis=axis) for axis in range(2)])
        matrix = np.einsum("ihw,jhw,hw->ij", slopes, slopes, weight, optimize=True)
        if np.linalg.eigvalsh(matrix)[0] < LEAST_SLOPE * error.size:
            return begun
        step = np.linalg.solve(matrix, np.einsum("ihw,hw->i", slopes, weight * error))
        at += step
        if np.abs(at - begun).max() > FARTHEST:
            return begun
        if np.abs(step).max() < ENOUGH:
            break
    return at


def _begun(before: Float32Array, frame: Float32Array) -> Shift:
    """The shift by whole samples: that of phase correlation, or none, whichever leaves the smaller difference."""
    window = np.outer(*(np.hanning(size + 2)[1:-1] for size in frame.shape))
    first, second = (np.fft.rfft2((part - part.mean()) * window) for part in (before, frame))
    product = first * np.conj(second)
    peak = np.unravel_index(np.argmax(np.fft.irfft2(product / (np.abs(product) + 1e-12), frame.shape)), frame.shape)
    found = np.array([at - size if at > size // 2 else at for at, size in zip(peak, frame.shape, strict=True)], np.float64)
    none = np.zeros(2)
    if (4 * np.abs(found) > frame.shape).any():
        return none
    return min((none, found), key=lambda at: _difference(before, frame, at))


def _left(frames: Float32Array, path: Path) -> float:
    """The mean difference of all frames from the ones before them, where they lie so."""
    steps = np.diff(np.array(path, np.float64) / STEPS, axis=0)
    return float(np.mean([_difference(before, frame, step) for before, frame, step in zip(frames[:-1], frames[1:], steps, strict=True)]))


def _difference(before: Float32Array, frame: Float32Array, at: Shift) -> float:
    seen, part = _overlap(before, frame, at)
    return float(np.abs(seen - part).mean())


def _overlap(before: Float32Array, frame: Float32Array, at: Shift) -> tuple[Float32Array, Float32Array]:
    """What both show of a frame that lies at `at`, as the one before has it and as it has it itself."""
    seen, part = before, frame
    for axis, offset in enumerate(at):
        whole = round(float(offset))
        taps, size = keys_taps(float(offset) - whole).astype(np.float32), frame.shape[axis]
        # The samples of the frame for which the one before has all taps.
        start, stop = max(0, KEYS_HALO - whole), min(size, size - KEYS_HALO - whole)
        stop = max(start, stop)
        part = _cut(part, axis, start, stop)
        seen = np.sum([weight * _cut(seen, axis, start + whole + k, stop + whole + k) for k, weight in enumerate(taps, -KEYS_HALO)], 0)
    return seen, part


def _cut(values: Float32Array, axis: int, start: int, stop: int) -> Float32Array:
    return values[(slice(None),) * axis + (slice(start, stop),)]
