"""How far a field's values are from the signal: what a fit makes small, beside the rate."""

import copy
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..arrays import Float32Array
from .windows import Part, Window, cut


class Distortion(Protocol):
    """Measures what a field makes of the windows of a signal, in units of the mean squared error of values in [0, 1].

    `is_error` is whether it is the mean squared error itself, so that it has a PSNR; `reach` is how many samples along rows and columns it looks
    beyond a window's core, but for a few.
    """

    is_error: bool
    reach: int

    def __call__(self, output: Tensor, window: Window, held: Sequence[Tensor] | None = None) -> Tensor:
        """The mean over the window's core, a scalar, differentiable by `output`: `[1, D, *whole]`, the values on all that the window sees.

        `held` is what is read of the signal, where that is not the window's own: of one that is like it, in the order of `held`.
        """

    def held(self, window: Window) -> list[Tensor]:
        """What is read of the signal there."""

    def variant(self, window: Window) -> Hashable:
        """Tells windows apart that are alike in their sizes, and for which something else is computed."""

    def share(self, window: Window) -> float:
        """Of the samples of the window's core, those that count: what differs there is an error."""

    def residual(self, values: Tensor, part: Part) -> Tensor:
        """`[D, *part]`: what such values leave of that part of the signal; 0 where it does not count."""

    def curvature(self, window: Window, part: Part) -> Tensor:
        """`[1, D, *part]`, not negative: on a part of what the window sees, the second derivatives by the output of the sum before the mean."""

    def halved(self) -> "Distortion":
        """The same, or what stands for it, of the signal at half its resolution: `ceil(size / 2)` samples along each axis."""


class SquaredError:
    """The squared error.

    Args:
        values: `[*grid, D]` float32 in [0, 1], of the whole signal.
        importance: weights of the errors, of the shape of `values`; None for 1.
        device: of all tensors.
    """

    is_error = True
    reach = 0

    def __init__(self, values: Float32Array, importance: Float32Array | None = None, *, device: torch.device) -> None:
        self._target = _channels_first(values, device)
        self._importance = None if importance is None else _channels_first(importance, device)

    def __call__(self, output: Tensor, window: Window, held: Sequence[Tensor] | None = None) -> Tensor:
        """See Distortion."""
        target, *importance = SquaredError.held(self, window) if held is None else held
        error: Tensor = (cut(output, window.inner[0]) - target).square()
        if importance:
            error = error * importance[0]
        mean: Tensor = error.mean()
        return mean

    def held(self, window: Window) -> list[Tensor]:
        """See Distortion."""
        return [cut(values, window.core[0]) for values in (self._target, self._importance) if values is not None]

    def variant(self, window: Window) -> Hashable:
        """See Distortion."""
        return None

    def share(self, window: Window) -> float:
        """See Distortion."""
        return 1.0 if self._importance is None else float((cut(self._importance, window.core[0]) > 0).float().mean())

    def source(self, part: Part) -> Tensor:
        """`[D, *part]`: the values that are wanted on a part of the signal."""
        return cut(self._target, part)[0]

    def residual(self, values: Tensor, part: Part) -> Tensor:
        """See Distortion."""
        left = self.source(part) - values
        return left if self._importance is None else left * (cut(self._importance, part)[0] > 0)

    def curvature(self, window: Window, part: Part) -> Tensor:
        """See Distortion: the same for all values."""
        if self._importance is None:
            return torch.full_like(cut(cut(self._target, window.whole[0]), part), 2.0)
        return 2 * cut(cut(self._importance, window.whole[0]), part)

    def halved(self) -> "SquaredError":
        """See Distortion: of means of two samples along each axis, weighed by their importance."""
        new = copy.copy(self)
        new._target = _pairs(self._target)
        if self._importance is not None:
            new._importance = _pairs(self._importance)
            weighed = _pairs(self._target * self._importance) / new._importance
            new._target = torch.where(new._importance > 0, weighed, new._target)
        return new


def _pairs(values: Tensor) -> Tensor:
    """Means of two samples along each axis of the grid; of one where a last one is alone."""
    return {2: F.avg_pool2d, 3: F.avg_pool3d}[values.ndim - 2](values, 2, ceil_mode=True)


def _channels_first(values: Float32Array, device: torch.device) -> Tensor:
    return torch.from_numpy(np.moveaxis(values, -1, 0)[None].copy()).to(device)


def squared(values: Tensor, wanted: Tensor) -> Tensor:
    """The squared difference."""
    return (values - wanted).square()


def entropy(values: Tensor, wanted: Tensor) -> Tensor:
    """The cross entropy of logits with the probabilities that are wanted, in nats."""
    return F.binary_cross_entropy_with_logits(values, wanted, reduction="none")


@dataclass(frozen=True, kw_only=True)
class PointDistortion:
    """Measures the values of a field at points.

    Args:
        loss: of values and wanted values `[N, D]`, element by element.
        unit: what a mean loss of 1 counts.
    """

    loss: Callable[[Tensor, Tensor], Tensor] = squared
    unit: float = 1.0

    @property
    def is_error(self) -> bool:
        """Whether it is the squared error, so that it has a PSNR."""
        return self.loss is squared

    def __call__(self, values: Tensor, wanted: Tensor, importance: Tensor | None) -> Tensor:
        """The mean loss, a scalar, not yet times `unit`; `importance` weighs its elements, None for 1."""
        loss = self.loss(values, wanted)
        if importance is not None:
            loss = loss * importance
        return loss.mean()
