"""Choices made before a fit: frames and blocks, by the bits that an adaptive coder of their coefficients would take."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ...arrays import Float64Array
from .mdct import MAX_SPLIT, POWER, Framing, analyse

IntArray = npt.NDArray[np.int64]

HOPS = (128, 256, 512, 1024, 2048, 4096)
SHORTEST = 64  # samples of a block
STEP_OF_LAMBDA = 6.6  # squared step of the best uniform quantiser at low rates, in lambdas
_DEAD = 0.62  # magnitudes below it are quantised to zero
_MAGNITUDES = 41


def rotate(coefficients: Float64Array, rotation: int, sign: int) -> Float64Array:
    """Two channels `[2, ...]` turned by `rotation` / 64 of half a turn (sign 1) or back (-1); others as they are."""
    if len(coefficients) != 2 or not rotation:
        return coefficients
    angle = sign * np.pi * rotation / 64
    first, second = coefficients
    return np.stack([np.cos(angle) * first + np.sin(angle) * second, np.cos(angle) * second - np.sin(angle) * first])


def best_rotation(x: Float64Array) -> int:
    """The rotation 0..63 that decorrelates two channels `[2, n]`; 0 for other counts."""
    if len(x) != 2:
        return 0
    angle = 0.5 * np.arctan2(2 * float(x[0] @ x[1]), float(x[0] @ x[0] - x[1] @ x[1]))
    return int(np.rint(64 * angle / np.pi)) % 64


def cost(coefficients: Float64Array, lam: float) -> tuple[Float64Array, Float64Array]:
    """Bits and squared error of each frame, `[F]` each, of coefficients `[C, F, K]` under the step that suits lambda."""
    step = np.sqrt(STEP_OF_LAMBDA * lam)
    scaled = np.abs(coefficients) / step
    q = np.where(scaled < _DEAD, 0.0, np.rint(scaled))
    return ideal_bits(q), np.square((scaled - q) * step).sum((0, 2))


def ideal_bits(q: npt.NDArray[np.floating]) -> Float64Array:
    """Bits of each frame `[F]` of magnitudes `[C, F, K]`, of a coder that knows their statistics given six causal neighbours."""
    frames, bins = q.shape[1:]
    padded = np.pad(q, ((0, 0), (2, 0), (2, 1)))

    def at(frame: int, place: int) -> npt.NDArray[np.floating]:
        return padded[:, 2 + frame : 2 + frame + frames, 2 + place : 2 + place + bins]

    near = 2 * at(0, -1) + at(0, -2) + 2 * at(-1, 0) + at(-1, -1) + at(-1, 1) + at(-2, 0)
    context = np.minimum(np.log2(near + 0.5) * 3 + 3, _MAGNITUDES - 1).astype(np.int64)
    symbol = np.minimum(q, _MAGNITUDES - 1).astype(np.int64)
    counts = np.bincount((context * _MAGNITUDES + symbol).ravel(), minlength=_MAGNITUDES**2).reshape(_MAGNITUDES, _MAGNITUDES)
    lengths = -np.log2((counts + 0.05) / (counts.sum(1, keepdims=True) + 0.05 * _MAGNITUDES))
    bits = lengths[context, symbol] + (symbol > 0)
    bits += np.where(symbol == _MAGNITUDES - 1, 2 * np.log2(np.maximum(q, 1) / (_MAGNITUDES - 1)) + 1, 0)
    return np.asarray(bits.sum((0, 2)))


def choose_splits(x: Float64Array, hop: int, lam: float) -> tuple[IntArray, float]:
    """Log2 of the blocks of each frame of `x` `[C, n]`, and what they cost: bits and squared error over lambda."""
    frames = -(-x.shape[1] // hop)
    costs = []
    for split in range(MAX_SPLIT + 1):
        if hop >> split < SHORTEST:
            break
        bits, error = cost(analyse(x, Framing(hop, np.full(frames, split), POWER)), lam)
        costs.append(bits + error / lam)
    plain = np.zeros(frames, np.int64)
    chosen = np.argmin(costs, 0)
    # A frame among others pays for their shorter overlaps, so what was foreseen is measured.
    bits, error = cost(analyse(x, Framing(hop, chosen, POWER)), lam)
    switched = float((bits + error / lam).sum())
    return (chosen, switched) if switched < float(costs[0].sum()) else (plain, float(costs[0].sum()))


def choose_hop(x: Float64Array, lam: float) -> int:
    """Samples a frame that make the least cost on `x` `[C, n]`."""
    costs = {hop: choose_splits(x, hop, lam)[1] for hop in HOPS}
    return min(costs, key=lambda hop: costs[hop])


def lambda_of_bits(x: Float64Array, bits: float, weighted: Callable[[Float64Array, int], Float64Array]) -> float:
    """Lambda at which `x` `[C, n]`, cut into its best frames, would take so many bits; `weighted` weighs coefficients of a hop."""
    low, high = 1e-13, 10.0
    coefficients = {hop: weighted(analyse(x, Framing(hop, np.zeros(-(-x.shape[1] // hop), np.int64), POWER)), hop) for hop in HOPS[1:]}
    for _ in range(14):
        middle = float(np.sqrt(low * high))
        found = min((cost(c, middle) for c in coefficients.values()), key=lambda pair: float(pair[0].sum() + pair[1].sum() / middle))
        low, high = (middle, high) if found[0].sum() > bits else (low, middle)
    return float(np.sqrt(low * high))
