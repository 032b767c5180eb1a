"""The lapped transform's basis functions at any time: another sampling rate without a resampling of samples.

A block of M coefficients that begins at sample t0 is the function

    f(t) = sqrt(2/M) sum_k X_k cos(pi/M (k + 1/2) u),    u = t - t0 + 1/2,

times its window, from half an overlap before the block to half an overlap after it; the sound is the sum of its blocks.
At evenly spaced times the sum over k is a chirp z-transform (Rabiner, Schafer and Rader 1969).
"""

import math

import numpy as np

from ....arrays import Float64Array
from .transform import MAX_SPLIT, Framing, window


class Evaluation:
    """Samples at another rate, of coefficients that come in stretches of whole frames.

    Args:
        framing: of the whole sound.
        step: source samples from one output sample to the next; output sample m lies at source sample m * step.
        first: the frame that comes first.
        channels: of the sound.
    """

    def __init__(self, framing: Framing, step: float, channels: int, first: int = 0) -> None:
        self.framing, self.step, self.next = framing, step, first
        self.position = max(0, math.ceil((first * framing.hop - framing.hop // 2) / step))  # where the first sample held lies
        self._held = np.zeros((channels, 0))

    def push(self, coefficients: Float64Array) -> Float64Array:
        """Output samples `[C, n]` that follow the last ones, of the next frames `[C, F, hop]`; `position` counts them."""
        hop, first = self.framing.hop, self.next
        channels, frames, _ = coefficients.shape
        self.next += frames
        ends = self.next == len(self.framing.splits)
        last = math.ceil((self.next * hop - 0.5 if ends else self.next * hop + hop // 2) / self.step)
        out = np.zeros((channels, last - self.position))
        out[:, : self._held.shape[1]] = self._held
        splits = self.framing.splits[first : self.next]
        for split in range(MAX_SPLIT + 1):
            chosen = np.flatnonzero(splits == split)
            if len(chosen):
                self._add(out, coefficients[:, chosen], chosen + first, split)
        done = out.shape[1] if ends else max(0, math.ceil((self.next * hop - hop // 2 - 0.5) / self.step) - self.position)
        self.position += done
        self._held = out[:, done:]
        return out[:, :done]

    def _add(self, out: Float64Array, coefficients: Float64Array, frames: "np.ndarray[tuple[int], np.dtype[np.int64]]", split: int) -> None:
        """Add the blocks of frames of one split."""
        size, channels = self.framing.hop >> split, len(coefficients)
        kept = min(size, max(0, math.ceil(size / max(self.step, 1.0) - 0.5)))  # (k + 1/2) / size < 1 / step: below the new Nyquist
        if not kept:
            return
        blocks = coefficients.reshape(channels, len(frames), size, 1 << split).swapaxes(2, 3).reshape(channels, -1, size)[..., :kept]
        starts = (frames[:, None] * self.framing.hop + np.arange(1 << split) * size).ravel()
        sides = np.array([self._sides(int(frame), j, split) for frame in frames for j in range(1 << split)])
        low = np.ceil((starts - 0.5 - sides[:, 0] / 2) / self.step).astype(np.int64)
        high = np.ceil((starts - 0.5 + size + sides[:, 1] / 2) / self.step).astype(np.int64)
        count = int((high - low).max())
        origin = low * self.step - starts + 0.5
        values = chirp(blocks, origin, self.step, count, size)
        for b in range(len(starts)):
            u = origin[b] + self.step * np.arange(high[b] - low[b])
            shape = np.ones_like(u)
            for distance, overlap in ((u, sides[b, 0]), (size - u, sides[b, 1])):
                inside = distance < overlap / 2
                shape[inside] *= window(self.framing.kind, np.maximum(distance[inside], -overlap / 2), overlap)
            skip = max(0, self.position - int(low[b]))
            stop = min(len(u), out.shape[1] + self.position - int(low[b]))
            if stop > skip:
                place = int(low[b]) + skip - self.position
                out[:, place : place + stop - skip] += (values[:, b, : len(u)] * shape)[:, skip:stop]

    def _sides(self, frame: int, block: int, split: int) -> tuple[int, int]:
        """Overlaps before and after a block."""
        short = self.framing.hop >> split
        left = self.framing.overlap(frame) if block == 0 else short
        right = self.framing.overlap(frame + 1) if block == (1 << split) - 1 else short
        return left, right


def chirp(blocks: Float64Array, origin: Float64Array, step: float, count: int, size: int) -> Float64Array:
    """sqrt(2/M) sum_k X_k cos(pi/M (k + 1/2) (origin + j step)), j = 0 .. count - 1.

    Args:
        blocks: X, `[C, B, K]`.
        origin: `[B]`.
        step: of the times.
        count: of the times.
        size: M.

    Returns:
        `[C, B, count]`.
    """
    k, j = np.arange(blocks.shape[-1]), np.arange(count)
    half = np.pi * step / size / 2
    length = 1 << (len(k) + count - 1).bit_length()
    kernel = np.zeros(length, np.complex128)
    kernel[:count] = np.exp(-1j * half * j**2)
    kernel[length - len(k) + 1 :] = np.exp(-1j * half * k[:0:-1] ** 2)
    turned = blocks * np.exp(1j * (np.pi / size * origin[:, None] * (k + 0.5) + half * k**2))
    sums = np.fft.ifft(np.fft.fft(turned, length) * np.fft.fft(kernel))[..., :count]
    return np.asarray((sums * np.exp(1j * (half * j**2 + half * j))).real) * math.sqrt(2 / size)
