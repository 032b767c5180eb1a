"""MS-SSIM of a picture against its source, differentiable: Wang, Simoncelli and Bovik, Multiscale structural similarity, 2003."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ..field.layer_kernel import suits
from . import measures_kernel as kernel
from .blur import RADIUS, blur
from .measures import Similarities
from .pairs import halved

C1, C2 = 0.01**2, 0.03**2
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
SMALLEST = 2 * RADIUS + 1  # samples a side of a scale
LEAST = 1e-3  # of a similarity: powers of smaller ones are too steep


class _Reference(NamedTuple):
    """A scale of the source: its values `[C, H, W]`, and `[2, C, H, W]` of their blur and their variance."""

    values: Tensor
    statistics: Tensor


class MsSsim:
    """The measure against one source.

    Args:
        source: `[C, H, W]` in [0, 1], sides of at least SMALLEST.
        first: the finest scale that counts, where there is a coarser one; the usual 0 is the source itself, which has a weight of 0.045.
        margin: samples at the edges of each scale that do not count; the usual RADIUS leaves out what a blur cannot see whole.
    """

    def __init__(self, source: Tensor, *, first: int = 0, margin: int = 0) -> None:
        self._first, self._margin = first, margin
        self.reference: list[_Reference] = []
        with torch.no_grad():
            for values in self._scales(source):
                mean, square = blur(torch.stack([values, values * values]))
                self.reference.append(_Reference(values, torch.stack([mean, square - mean * mean])))

    def __call__(self, picture: Tensor, held: Iterator[Tensor] | None = None) -> Tensor:
        """The mean over the channels, 1 where equal, a scalar differentiable by `picture` `[C, H, W]`; `held` as in Ssimulacra2."""
        weights = WEIGHTS[self._first : self._first + len(self.reference)]
        product: Tensor | None = None
        for number, (values, source) in enumerate(zip(self._scales(picture), self.reference, strict=True)):
            bright = number == len(weights) - 1
            if suits((values,)) and not self._margin:
                means = _Similarity.apply(values, *source, bright)  # type: ignore[no-untyped-call]
            else:
                known = source if held is None else (next(held), next(held))
                means = Similarities.apply(values, *known, (C1 if bright else 0.0, C2), self._margin)  # type: ignore[no-untyped-call]
            factor = means.clamp(min=LEAST) ** (weights[number] / sum(weights))
            product = factor if product is None else product * factor
        assert product is not None  # there is a scale at least
        return product.mean()

    def _scales(self, picture: Tensor) -> list[Tensor]:
        found = [picture]
        for _ in WEIGHTS[1:]:
            if min(found[-1].shape[1:]) < 2 * SMALLEST - 1:
                break
            odd = [side % 2 for side in found[-1].shape[1:]]
            found.append(avg_pool2d(found[-1][None], 2, padding=odd).squeeze(0) if any(odd) else halved(found[-1]))
        return found[min(self._first, len(found) - 1) :]


class _Similarity(torch.autograd.Function):
    """What measures.Similarities finds, on a CPU: the gradient of each channel is a factor times a plane, which is made along with it."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, source: Tensor, statistics: Tensor, bright: bool) -> Tensor:
        plane, own = values.detach().contiguous(), source.contiguous()
        rows, width = plane.shape[0] * plane.shape[1], plane.shape[2]
        flat, other = (tensor.view(rows, width).numpy() for tensor in (plane, own))
        moments = torch.empty(3, *plane.shape)
        kernel.moments(flat, other, moments.view(3, rows, width).numpy())
        slopes = torch.empty_like(moments)
        found = kernel.similarities(blur(moments).numpy(), statistics.numpy(), (C1 if bright else 0, C2), slopes.numpy())
        if ctx.needs_input_grad[0]:
            direct = torch.zeros_like(plane)
            kernel.gathered(blur(slopes).view(3, rows, width).numpy(), direct.view(rows, width).numpy(), flat, other)
            ctx.save_for_backward(direct)
        return torch.tensor(found)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (direct,) = ctx.saved_tensors
        return grads[0].view(-1, 1, 1) * direct, None, None, None
