"""Numbers that change from step to step, as a step reads them: rates, temperatures, lambda."""

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from ..field.layer_kernel import compiles

Number: TypeAlias = float | Tensor


class Numbers:
    """Floats on a CPU; elsewhere elements of one tensor, filled before each step, so that a step recorded once is valid at any (fit.graphs).

    Args:
        count: how many.
        device: of the steps that read them.
    """

    def __init__(self, count: int, device: torch.device) -> None:
        self._tensor = None if compiles(device) else torch.zeros(count, device=device)
        self.values: Sequence[Number] = [0.0] * count if self._tensor is None else self._tensor.unbind()

    def set(self, *values: float) -> None:
        """What they are from now on."""
        if self._tensor is None:
            self.values = values
        else:
            fill(self._tensor, values)


def fill(tensor: Tensor, values: Sequence[float]) -> None:
    """Overwrite a tensor `[n]` of any device; the host does not wait for a CUDA device, which takes a copy of so few values at once."""
    tensor.copy_(torch.tensor(values, dtype=tensor.dtype), non_blocking=tensor.is_cuda)
