"""MS-SSIM of a picture against its source, differentiable: Wang, Simoncelli and Bovik, Multiscale structural similarity, 2003."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from .blur import RADIUS, blur
from .pairs import halved

C1, C2 = 0.01**2, 0.03**2
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
SMALLEST = 2 * RADIUS + 1  # samples a side of a scale
LEAST = 1e-3  # of a similarity: powers of smaller ones are too steep


class _Reference(NamedTuple):
    values: Tensor
    mean: Tensor
    variance: Tensor


class MsSsim:
    """The measure against one source.

    Args:
        source: `[C, H, W]` in [0, 1], sides of at least SMALLEST.
        first: the finest scale that counts, where there is a coarser one; the usual 0 is the source itself, which has a weight of 0.045.
        margin: samples at the edges of each scale that do not count; the usual RADIUS leaves out what a blur cannot see whole.
    """

    def __init__(self, source: Tensor, *, first: int = 0, margin: int = 0) -> None:
        self._first, self._margin = first, margin
        self._reference = []
        with torch.no_grad():
            for values in self._scales(source):
                mean, square = blur(torch.stack([values, values * values]))
                self._reference.append(_Reference(values, mean, square - mean * mean))

    def __call__(self, picture: Tensor) -> Tensor:
        """The mean over the channels, 1 where equal, a scalar differentiable by `picture` `[C, H, W]`."""
        weights = WEIGHTS[self._first : self._first + len(self._reference)]
        product: Tensor | None = None
        for number, (values, source) in enumerate(zip(self._scales(picture), self._reference, strict=True)):
            mean, square, both = blur(torch.stack([values, values * values, values * source.values]))
            found = (2 * (both - mean * source.mean) + C2) / (square - mean * mean + source.variance + C2)
            if number == len(weights) - 1:
                found = found * (2 * mean * source.mean + C1) / (mean * mean + source.mean.square() + C1)
            margin = self._margin
            inside = found[:, margin : found.shape[1] - margin, margin : found.shape[2] - margin]
            factor = inside.mean((1, 2)).clamp(min=LEAST) ** (weights[number] / sum(weights))
            product = factor if product is None else product * factor
        assert product is not None  # there is a scale at least
        return product.mean()

    def _scales(self, picture: Tensor) -> list[Tensor]:
        found = [picture]
        for _ in WEIGHTS[1:]:
            if min(found[-1].shape[1:]) < 2 * SMALLEST - 1:
                break
            odd = [side % 2 for side in found[-1].shape[1:]]
            found.append(avg_pool2d(found[-1][None], 2, padding=odd)[0] if any(odd) else halved(found[-1]))
        return found[min(self._first, len(found) - 1) :]
