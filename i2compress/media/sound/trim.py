"""The last few per cent of a bitrate: latents moved by one, those first that cost least error a bit."""

import numpy as np

from ...arrays import Float64Array
from ...coding.context import ContextWeights
from ...coding.laplace import LIMIT, code_length
from ...coding.latents import Grid, predictions

ROUNDS = 12
NEAR, CLOSE = 0.015, 0.008  # shares of the bits asked for: what is left alone, and what is aimed at
SHARE = 0.7  # share of what is missing that one round makes up for: a latent that moves changes what is foreseen of its neighbours
FARTHEST = 0.25  # share of the bits: beyond it a trim would spoil what the fit has weighed


def trim(latents: Grid, wanted: Float64Array, importance: Float64Array | None, context: ContextWeights, *, tile: int, bits: float) -> Grid:
    """Latents that take about `bits` under the context model.

    Args:
        latents: a grid, all of a one-level pyramid.
        wanted: what each latent would be without rounding.
        importance: of the squared errors, of the same shape.
        context: the context model, quantised.
        tile: side of its tiles.
        bits: wanted; where they are further off than FARTHEST, nothing is changed.
    """
    weights = np.ones_like(wanted) if importance is None else importance
    near = NEAR
    for _ in range(ROUNDS):
        means, scales = predictions([latents], 0, context, tile=tile)
        lengths = code_length(latents, means, scales)
        missing = bits - float(lengths.sum())
        if abs(missing) > FARTHEST * bits or abs(missing) <= near * bits:
            break
        near = CLOSE
        towards = np.sign(wanted - latents) if missing > 0 else -np.sign(latents)
        moved = np.clip(latents + towards, -LIMIT, LIMIT).astype(np.int32)
        spent = code_length(moved, means, scales) - lengths
        change = weights * (np.square(moved - wanted) - np.square(latents - wanted))
        if missing > 0:
            possible, order = (spent > 0) & (change < 0), change / np.maximum(spent, 1e-9)
        else:
            possible, order = spent < 0, change / np.maximum(-spent, 1e-9)
        chosen = np.flatnonzero(possible)
        chosen = chosen[np.argsort(order.ravel()[chosen], kind="stable")]
        total = np.cumsum(np.abs(spent.ravel()[chosen]))
        enough = SHARE * abs(missing) if missing > 0 else abs(missing)
        chosen = chosen[: int(np.searchsorted(total, enough)) + 1]
        if not len(chosen):
            break
        latents = latents.copy()
        latents.ravel()[chosen] = moved.ravel()[chosen]
    return latents
