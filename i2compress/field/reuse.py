"""Where a training step's solver starts: at the last z* of the same coordinate, or anew."""

from typing import TypeAlias

import torch
from torch import Tensor

Index: TypeAlias = Tensor | slice

ALL = slice(None)


class Starts:
    """A start for every coordinate of a training set, in full batches or mini-batches.

    With fixed-point reuse the last z* of each coordinate starts its next solve, so that one application of F a step is
    enough once the parameters move slowly. Without, every solve starts at zero and nothing is stored.

    Args:
        points: coordinates in the set.
        width: C.
        reuse: store z*.
        like: a tensor of the wanted type and device; None for float32 on the CPU.
    """

    def __init__(self, points: int, width: int, *, reuse: bool = True, like: Tensor | None = None) -> None:
        self.reuse = reuse
        zero = torch.zeros(1, width) if like is None else like.new_zeros(1, width)
        self._stored = zero.repeat(points, 1) if reuse else zero.expand(points, width)

    @property
    def stored(self) -> Tensor | None:
        """z* of every coordinate `[points, C]`; None where none are stored."""
        return self._stored if self.reuse else None

    def get(self, index: Index = ALL) -> Tensor:
        """The starts `[len(index), C]` of the coordinates in `index`: a copy, since a graph may hold it when `put` writes."""
        return self._stored[index].clone()

    def put(self, z: Tensor, index: Index = ALL) -> None:
        """Store z* `[len(index), C]`. Rows that are not finite are passed over: they would spoil every later step."""
        if self.reuse:
            z = z.detach()
            self._stored[index] = torch.where(z.isfinite().all(-1, keepdim=True), z, self._stored[index])
