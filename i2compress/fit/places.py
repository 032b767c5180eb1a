"""The memory in which the steps of a window are made: its own, or one that windows alike share, so that one recording is of them all (fit.graphs)."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .adam import Adam
from .windows import Window, cut, cut_all


@dataclass(frozen=True, kw_only=True)
class Place:
    """What the steps of a window read and move.

    Args:
        key: of the recordings of its steps.
        window: it, or one that is like it.
        whole: the latents that it sees.
        core: those of its core among all latents, where a step writes what it moves; none where that is done after it.
        leaves: what it moves.
        optimizer: of the leaves.
        held: what the distortion reads of the signal; None for what belongs to the window.
    """

    key: Hashable
    window: Window
    whole: list[Tensor]
    core: list[Tensor]
    leaves: list[Tensor]
    optimizer: Adam
    held: list[Tensor] | None = None

    @staticmethod
    def own(number: int, window: Window, latents: Sequence[Tensor], leaves: list[Tensor], optimizer: Adam) -> "Place":
        """A window's own, of that number."""
        core = [cut(grid, part) for grid, part in zip(latents, window.core, strict=True)]
        return Place(key=number, window=window, whole=cut_all(latents, window), core=core, leaves=leaves, optimizer=optimizer)

    def shared(self, key: Hashable, held: Sequence[Tensor]) -> "Place":
        """Memory like its own, for windows that are like it; `held` is what the distortion reads there."""
        leaves = [leaf.detach().clone().requires_grad_() for leaf in self.leaves]
        optimizer = Adam(leaves, betas=self.optimizer.betas)
        whole = [grid.clone() for grid in self.whole]
        return Place(key=key, window=self.window, whole=whole, core=[], leaves=leaves, optimizer=optimizer, held=[tensor.clone() for tensor in held])

    def load(self, own: "Place", held: Sequence[Tensor]) -> None:
        """Take over what a window has in its own."""
        assert self.held is not None
        torch._foreach_copy_(self.whole, own.whole)
        torch._foreach_copy_(self.held, list(held))
        torch._foreach_copy_([leaf.detach() for leaf in self.leaves], [leaf.detach() for leaf in own.leaves])
        self.optimizer.load_state_dict(own.optimizer.state_dict())
        self.optimizer.rate = own.optimizer.rate

    def store(self, own: "Place") -> None:
        """Give it back what a step has moved."""
        torch._foreach_copy_([leaf.detach() for leaf in own.leaves], [leaf.detach() for leaf in self.leaves])
        torch._foreach_copy_(own.core, [leaf.detach() for leaf in self.leaves])
        own.optimizer.load_state_dict(self.optimizer.state_dict())
