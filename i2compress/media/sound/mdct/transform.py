"""The lapped transform that turns sound into a plane [frames, bins]: MDCT with block switching, orthonormal.

Time is cut into frames of `hop` samples; a frame is one block, or 2, 4, ... 32 shorter ones. At every border between two
blocks the signal is folded over an overlap as long as the shorter of the two, centred on the border: with a the sample
at distance t after it, c the one at distance t before it, and w a window with w(t)^2 + w(-t)^2 = 1,

    a' = w(t) a + w(-t) c        c' = w(t) c - w(-t) a

and each block of M folded samples becomes M coefficients by the orthonormal DCT-IV,

    X_k = sqrt(2/M) sum_n x'_n cos(pi/M (n + 1/2) (k + 1/2))

Both steps are orthogonal, so squared errors of coefficients are squared errors of samples, and the inverse is exact.
With equal blocks this is the MDCT (Princen, Johnson and Bradley 1987) with that window. The blocks of a frame are
interleaved, coefficient k of block j at k * blocks + j, so that a place in the frame means a frequency.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ....arrays import Float64Array

MAX_SPLIT = 5  # a frame has at most 2**5 blocks
SINE, POWER = 0, 1


def dct4(x: Float64Array) -> Float64Array:
    """Orthonormal DCT-IV of the last axis, whose length is even; its own inverse."""
    size = x.shape[-1]
    twist = np.exp(-1j * np.pi / size * (np.arange(size // 2) + 1 / 8))
    spectrum = np.fft.fft((x[..., ::2] + 1j * x[..., ::-2]) * twist) * twist
    out = np.empty((*spectrum.shape[:-1], size))
    out[..., ::2], out[..., ::-2] = spectrum.real, -spectrum.imag
    return out * math.sqrt(2 / size)


def window(kind: int, distance: Float64Array, overlap: float) -> Float64Array:
    """w at a signed distance from the border, |distance| <= overlap / 2, rising; SINE, or POWER (that of Vorbis)."""
    angle = np.pi / 4 * (1 + 2 * distance / overlap)
    if kind == POWER:
        angle = np.pi / 2 * np.sin(angle) ** 2
    return np.asarray(np.sin(angle))


class Framing:
    """Blocks of a stretch of frames.

    Args:
        hop: samples a frame, a power of two, at least 64.
        splits: log2 of the blocks of each frame, 0..5.
        kind: SINE or POWER.
    """

    def __init__(self, hop: int, splits: Sequence[int] | npt.NDArray[np.integer], kind: int = SINE) -> None:
        self.hop, self.kind = hop, kind
        self.splits = np.asarray(splits, np.int64)

    def overlap(self, frame: int) -> int:
        """Samples folded at the border before `frame` (or after the last one); 0 at the ends of the sound."""
        if not 0 < frame < len(self.splits):
            return 0
        return self.hop >> int(max(self.splits[frame - 1], self.splits[frame]))

    def _fold(self, x: Float64Array, at: npt.NDArray[np.int64], overlap: int, sign: int) -> None:
        """Rotate, in place, the samples `x` `[C, n]` around the borders `at`; sign 1 folds, -1 unfolds."""
        if not len(at) or not overlap:
            return
        n = np.arange(overlap // 2, dtype=np.float64)
        near, far = window(self.kind, n + 0.5, overlap), sign * window(self.kind, -n - 0.5, overlap)
        after = at[:, None] + np.arange(overlap // 2)
        before = 2 * at[:, None] - 1 - after
        a, c = x[:, after], x[:, before]
        x[:, after], x[:, before] = near * a + far * c, near * c - far * a

    def fold(self, x: Float64Array, first: int, borders: Sequence[int], sign: int, lead: int = 0) -> None:
        """Fold (1) or unfold (-1) in place at the borders before the frames `borders`.

        Args:
            x: `[C, n]`; sample `lead` is the first one of frame `first`.
            first: see `x`.
            borders: numbers of frames.
            sign: 1 or -1.
            lead: see `x`.
        """
        places: dict[int, list[int]] = {}
        for border in borders:
            places.setdefault(self.overlap(border), []).append((border - first) * self.hop + lead)
        for overlap, at in places.items():
            self._fold(x, np.array(at), overlap, sign)

    def fold_inside(self, x: Float64Array, first: int, sign: int) -> None:
        """As `fold`, at the borders between the blocks inside each frame of `x`."""
        for split in range(1, MAX_SPLIT + 1):
            frames = np.flatnonzero(self.splits[first : first + x.shape[1] // self.hop] == split)
            short = self.hop >> split
            at = (frames[:, None] * self.hop + np.arange(1, 1 << split) * short).ravel()
            self._fold(x, at, short, sign)

    def transform(self, folded: Float64Array, first: int) -> Float64Array:
        """Coefficients `[C, F, hop]` of folded samples of the same shape, frames first.. of the framing."""
        out = np.empty_like(folded)
        for split in range(MAX_SPLIT + 1):
            frames = np.flatnonzero(self.splits[first : first + folded.shape[1]] == split)
            if len(frames):
                blocks = folded[:, frames].reshape(len(folded), len(frames), 1 << split, -1)
                out[:, frames] = dct4(blocks).swapaxes(2, 3).reshape(len(folded), len(frames), -1)
        return out

    def restore(self, coefficients: Float64Array, first: int) -> Float64Array:
        """Mirror of `transform`."""
        out = np.empty_like(coefficients)
        for split in range(MAX_SPLIT + 1):
            frames = np.flatnonzero(self.splits[first : first + coefficients.shape[1]] == split)
            if len(frames):
                blocks = coefficients[:, frames].reshape(len(coefficients), len(frames), -1, 1 << split).swapaxes(2, 3)
                out[:, frames] = dct4(np.ascontiguousarray(blocks)).reshape(len(coefficients), len(frames), -1)
        return out


def analyse(x: Float64Array, framing: Framing, first: int = 0, last: int | None = None) -> Float64Array:
    """Coefficients `[C, F, hop]` of the frames first..last (all where None).

    Args:
        x: samples `[C, n]` from half a frame before frame `first` (or the start of the sound) on, to half a frame after
            the last one; what is missing at the end counts as zero.
        framing: of the whole sound.
        first, last: which frames.
    """
    hop, last = framing.hop, len(framing.splits) if last is None else last
    lead = hop // 2 if first else 0
    padded = np.zeros((len(x), lead + (last - first) * hop + hop // 2))
    count = min(x.shape[1], padded.shape[1])
    padded[:, :count] = x[:, :count]
    frames = padded[:, lead:]  # a view: folds at the outer borders reach into the margins
    framing.fold(padded, first, [first] if first else [], 1, lead)
    framing.fold(padded, first, range(first + 1, last + 1), 1, lead)
    inner = np.ascontiguousarray(frames[:, : (last - first) * hop])
    framing.fold_inside(inner, first, 1)
    return framing.transform(inner.reshape(len(x), last - first, hop), first)


class Synthesis:
    """Samples of coefficients that come in stretches of whole frames, one after the other.

    Args:
        framing: of the whole sound.
        first: the frame that comes first; what it shares with the frame before is not right.
    """

    def __init__(self, framing: Framing, first: int = 0) -> None:
        self.framing, self.next = framing, first
        self._held: Float64Array | None = None  # the second half of the last frame, folded at its right border

    def push(self, coefficients: Float64Array) -> Float64Array:
        """Samples `[C, n]` that follow the last ones given, of the next frames `[C, F, hop]`; half a frame is held back."""
        hop, first = self.framing.hop, self.next
        channels, frames, _ = coefficients.shape
        x = self.framing.restore(coefficients, first).reshape(channels, frames * hop)
        self.framing.fold_inside(x, first, -1)
        lead = 0
        if self._held is not None:
            x, lead = np.concatenate([self._held, x], 1), hop // 2
        self.framing.fold(x, first, range(first if lead else first + 1, first + frames), -1, lead)
        self.next += frames
        if self.next == len(self.framing.splits):
            return x
        self._held = x[:, -(hop // 2) :]
        return x[:, : -(hop // 2)]


def synthesise(coefficients: Float64Array, framing: Framing) -> Float64Array:
    """Samples `[C, F * hop]` of all coefficients; mirror of `analyse`."""
    return Synthesis(framing).push(coefficients)
