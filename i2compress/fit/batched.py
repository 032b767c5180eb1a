"""Many small tensors as one, where operations cost more than what they do: on a GPU. A CPU, whose loops are compiled, keeps them apart."""

from collections.abc import Hashable, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from ..field.layer_kernel import compiles


def together(grids: Sequence[Tensor]) -> list[Tensor]:
    """Where nothing is compiled one tensor of all grids' elements, so that what is done to each is one operation; elsewhere the grids."""
    return list(grids) if compiles(grids[0].device) else [torch.cat([grid.reshape(-1) for grid in grids])]


def apart(joined: list[Tensor], like: Sequence[Tensor]) -> list[Tensor]:
    """Undoes `together`, of grids of these shapes."""
    if compiles(like[0].device):
        return joined
    return [part.view(grid.shape) for part, grid in zip(torch.split(joined[0], [grid.numel() for grid in like]), like, strict=True)]


def constant(values: Hashable, like: Tensor) -> Tensor:
    """A tensor of nested tuples of numbers, of that type and device; made once, so that nothing is copied to a device in each step."""
    return _made(values, like.dtype, like.device)


@lru_cache(maxsize=4096)  # small, and what a recorded step has read must stay
def _made(values: Hashable, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=dtype, device=device)
