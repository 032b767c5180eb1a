"""Between two groups of pictures: where nothing moves, the first frames of a group fade over from the last one of the group before.

Each group is fitted by itself. So what the decoded frames are wrong by is another thing before and after, and all that stands still jumps. What is
nearly the same on both sides cannot be told from that, and fades; what differs by more moves, and is left alone. Section 15.3 of docs/format.md.
"""

import math

import numpy as np
import numpy.typing as npt

from ...arrays import Float32Array

FRAMES = 8  # over which a group fades over, fewer where it has fewer
LIMITS = (4, 6, 8, 10, 12, 16, 20, 24, 32)  # that the encoder tries: differences of so many 255ths fade, and none of twice as many
CHANGE = 4  # frames that the change where groups meet counts for: people see a jump of all that stands still better than its error


def fades(places: npt.NDArray[np.float64], length: int) -> bool:
    """Whether any of these places of a group, rising, lies where it fades over."""
    return bool(places[0] + 0.5 < min(FRAMES, length))


def faded(values: Float32Array, last: Float32Array, places: npt.NDArray[np.float64], length: int, limit: int) -> Float32Array:
    """Frames as they are shown.

    Args:
        values: `[n, H, W, C]`, as the group's field has them.
        last: `[H, W, C]`, the last frame of the group before, as its field has it.
        places: float64 `[n]`, of the frames, in frames from the group's first one.
        length: frames of the group.
        limit: 255 times the difference up to which a sample fades in full; 0 for none.
    """
    shares = np.clip(1 - (places + 0.5) / min(FRAMES, length), 0, 1).astype(np.float32)
    if not limit or not shares.any():
        return values
    differences = last - values
    most = np.abs(differences).max(-1, keepdims=True)
    alike = np.clip(2 - most * np.float32(255 / limit), 0, 1)
    result: Float32Array = values + shares[:, None, None, None] * alike * differences
    return result


def best_limit(
    values: Float32Array, last: Float32Array, wanted: Float32Array, before: Float32Array, importance: Float32Array | None, length: int
) -> int:
    """The limit of least squared error, that of the change from one group to the other counted as CHANGE more frames; 0 where none gains.

    Args:
        values: the first frames of a group, as many as fade or all, `[n, H, W, C]`, as its field has them.
        last: `[H, W, C]`, the last one of the group before, likewise.
        wanted, before: of the source, the same frames as `values` and `last`.
        importance: of squared errors, of the shape of `values`; None for 1.
        length: frames of the group.
    """
    places = np.arange(len(values), dtype=np.float64)

    def error(limit: int) -> float:
        errors = faded(values, last, places, length, limit) - wanted
        squares = np.square(np.concatenate([errors, math.sqrt(CHANGE) * (errors[:1] - (last - before))]))
        return float((squares if importance is None else squares * np.concatenate([importance, importance[:1]])).sum(dtype=np.float64))

    return min((0, *LIMITS), key=error)
