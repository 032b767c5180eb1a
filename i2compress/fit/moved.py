"""The error of frames that lie over a plane larger than they are, at places of their own, and whose parts move by themselves."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..arrays import Float32Array
from ..coords import keys_four
from . import moved_kernel as kernel
from .distortion import SquaredError
from .windows import Window, cut


class MovedError(SquaredError):
    """The squared error of frames that are read from beside the samples of the grid.

    Args:
        values, importance, device: see SquaredError; frames first, their rows and columns where they are nearest to what they show.
        moves: `[2, *grid]` float32, in samples: how far from each sample what it shows lies, along rows and then along columns; see `moved`.
    """

    def __init__(self, values: Float32Array, importance: Float32Array | None, moves: Float32Array, *, device: torch.device) -> None:
        super().__init__(values, importance, device=device)
        self._moves = torch.from_numpy(moves).to(device)
        self.reach = int(np.ceil(np.abs(moves).max()))

    def __call__(self, output: Tensor, window: Window, held: Sequence[Tensor] | None = None) -> Tensor:
        """See Distortion."""
        *known, moves = self.held(window) if held is None else held
        return super().__call__(moved(output, moves), window, known)

    def held(self, window: Window) -> list[Tensor]:
        """See Distortion."""
        return [*super().held(window), cut(self._moves, window.whole[0])]

    def halved(self) -> "MovedError":
        """See Distortion: by half as many of the halved samples."""
        new = copy.copy(self)
        plain = super().halved()
        new._target, new._importance = plain._target, plain._importance
        new._moves = F.avg_pool3d(self._moves[None], 2, ceil_mode=True)[0] / 2
        new.reach = (self.reach + 1) // 2
        return new


def moved(values: Tensor, moves: Tensor) -> Tensor:
    """Values `[1, D, T, H, W]` read at row y + moves[0, t, y, x] by Keys' cubic, and what that gives at column x + moves[1, t, y, x].

    Edges are replicated. Differentiable once, by the values; moves `[2, T, H, W]`.
    """
    if values.device.type == "cpu":
        found: Tensor = _Moved.apply(values, moves)  # type: ignore[no-untyped-call]
        return found
    return _read(_read(values, moves[0], 3), moves[1], 4)


class _Moved(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, moves: Tensor) -> Tensor:
        ctx.moves = moves.numpy()
        return torch.from_numpy(kernel.moved(np.ascontiguousarray(values.detach()[0].numpy()), ctx.moves))[None]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return torch.from_numpy(kernel.moved_back(np.ascontiguousarray(grads[0][0].numpy()), ctx.moves))[None], None


def _read(values: Tensor, moves: Tensor, axis: int) -> Tensor:
    """Values `[1, D, T, H, W]` read beside their samples along one of the last two axes, by operations that every device has."""
    size = values.shape[axis]
    shape = [-1 if a == axis else 1 for a in range(2, 5)]
    at = torch.arange(size, device=values.device, dtype=moves.dtype).view(shape) + moves
    whole = at.floor()
    parts = []
    for k, weight in enumerate(keys_four(at - whole), -1):
        places = (whole.long() + k).clamp(0, size - 1)[None, None].expand_as(values)
        parts.append(weight * values.gather(axis, places))
    return torch.stack(parts).sum(0)
