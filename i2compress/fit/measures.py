"""The maps of SSIMULACRA 2 and MS-SSIM and the slopes of their norms by torch's own passes, all planes of a scale at once: for a GPU.

What is wanted of a map is a norm or a mean, a scalar for each plane, so its gradient by the picture is made along with it, and no map is kept:
half the operations of autograd's, and those few are what a GPU waits for on small pictures. measures_kernel has the same, compiled for a CPU.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .blur import blur

TINY = 1e-28  # keeps the slope of the fourth norm finite where two pictures are equal

Blur = Callable[[Tensor], Tensor]


class Moments:
    """Blurs of planes and of their products with those of a source.

    Args:
        values, source: `[P, H, W]`.
        blurred: makes blurs.
    """

    def __init__(self, values: Tensor, source: Tensor, blurred: Blur) -> None:
        self._values, self._source, self._blurred = values, source, blurred
        self.mean, self.square, self.product = blurred(torch.stack([values, values * values, values * source])).unbind()

    def gathered(self, slopes: Tensor) -> Tensor:
        """`[P, H, W]`: the slope by the values, of slopes by mean, square and product `[3, P, H, W]`."""
        by_mean, by_square, by_product = self._blurred(slopes).unbind()
        return by_mean.addcmul(self._values, by_square, value=2).addcmul_(self._source, by_product)


class Differences(torch.autograd.Function):
    """The norms of SSIMULACRA 2's three maps of planes, weighed: the mean and the fourth norm of what is positive."""

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, source: Tensor, statistics: Tensor, weights: Tensor, constant: float, mirrored: tuple[bool, bool]
    ) -> Tensor:
        """A scalar of planes `[P, H, W]`.

        Args:
            ctx: autograd's.
            values: of the picture.
            source: of its source.
            statistics: `[3, P, H, W]` of the source: blur, variance, and 1 + the distance from the blur.
            weights: `[2, 3, P, 1, 1]`: of means and of fourth norms.
            constant: C2.
            mirrored: see blur.
        """
        own, variance, edges = statistics.unbind()
        moments = Moments(values, source, lambda planes: blur(planes, mirrored))
        below = moments.square.addcmul(moments.mean, moments.mean, value=-1).add_(variance).add_(constant)
        structure = moments.product.addcmul(moments.mean, own, value=-1).mul_(2).add_(constant).div_(below)
        off, apart = moments.mean - own, values - moments.mean
        bright = 1 - off * off
        ratio = (apart.abs() + 1).div_(edges).sub_(1)
        positive = torch.stack([1 - bright * structure, ratio, -ratio]).clamp_(min=0)
        cubes = positive * positive * positive
        count = values[0].numel()
        fourths = ((cubes * positive).mean((-2, -1), keepdim=True) + TINY) ** 0.25
        found = (weights[0] * positive.mean((-2, -1), keepdim=True) + weights[1] * fourths).sum()
        if ctx.needs_input_grad[0]:
            slopes = (cubes * (weights[1] / count / fourths**3)).add_((positive > 0) * (weights[0] / count))
            by_structure = slopes[0] * bright  # less it
            by_ratio = (slopes[1] - slopes[2]).div_(edges).mul_(apart.sign())
            by_product = by_structure.div_(below).mul_(-2)
            by_square = by_product * structure * -0.5
            by_mean = (slopes[0] * structure).mul_(off).mul_(2)
            by_mean.addcmul_(by_product, own, value=-1).addcmul_(by_square, moments.mean, value=-2).sub_(by_ratio)
            ctx.save_for_backward(moments.gathered(torch.stack([by_mean, by_square, by_product])).add_(by_ratio))
        return found

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """The slope that forward made, times that of the sum."""
        return grads[0] * ctx.saved_tensors[0], None, None, None, None, None


class Similarities(torch.autograd.Function):
    """The means `[C]` of MS-SSIM's map of planes: how alike structure is, and brightness where it counts."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, source: Tensor, statistics: Tensor, constants: tuple[float, float], margin: int) -> Tensor:
        """Of planes `[C, H, W]`.

        Args:
            ctx: autograd's.
            values: of the picture.
            source: of its source.
            statistics: `[2, C, H, W]` of the source: blur and variance.
            constants: C1, 0 where brightness does not count, and C2.
            margin: samples at the edges that do not count.
        """
        own, variance = statistics.unbind()
        moments = Moments(values, source, blur)
        below = moments.square.addcmul(moments.mean, moments.mean, value=-1).add_(variance).add_(constants[1])
        structure = moments.product.addcmul(moments.mean, own, value=-1).mul_(2).add_(constants[1]).div_(below)
        found, bright = structure, None
        if constants[0]:
            dark = moments.mean.square().addcmul_(own, own).add_(constants[0])
            bright = (moments.mean * own).mul_(2).add_(constants[0]).div_(dark)
            found = structure * bright
        counted = (..., slice(margin, found.shape[1] - margin), slice(margin, found.shape[2] - margin))
        inner = found[counted]
        if ctx.needs_input_grad[0]:
            slope = torch.zeros_like(found)
            slope[counted].fill_(1 / inner[0].numel())
            by_structure = slope if bright is None else slope * bright
            by_product = by_structure / below * 2
            by_square = by_product * structure * -0.5
            by_mean = (by_product * own).neg_().addcmul_(by_square, moments.mean, value=-2)
            if bright is not None:
                by_mean.add_((own - moments.mean * bright).mul_(structure).mul_(slope).div_(dark).mul_(2))
            ctx.save_for_backward(moments.gathered(torch.stack([by_mean, by_square, by_product])))
        return inner.mean((1, 2))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """The slopes that forward made, times those of the means."""
        return grads[0].view(-1, 1, 1) * ctx.saved_tensors[0], None, None, None, None
