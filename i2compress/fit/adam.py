"""Adam (Kingma and Ba 2015, https://arxiv.org/abs/1412.6980) for latents, in one pass over each where torch has such an operation.

torch.optim's own classes import torch._dynamo with their first step, which takes a second.
"""

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor

from ..field.layer_kernel import compiles
from .numbers import Numbers

EPSILON = 1e-8
FUSED = ("cpu", "cuda")  # devices with torch._fused_adam_


class Adam:
    """The optimiser.

    Args:
        tensors: leaves on one device.
        betas: of the moments.

    Those of the tensors whose numbers are in `resting` do not move; they need no gradients.
    """

    resting: Collection[int] = ()

    def __init__(self, tensors: Sequence[Tensor], *, betas: tuple[float, float]) -> None:
        self.tensors, self.betas = list(tensors), betas
        self.rate = 0.0
        self.done = 0
        self._means, self._squares = ([torch.zeros_like(tensor, requires_grad=False) for tensor in tensors] for _ in range(2))
        self._steps = [torch.zeros((), device=tensor.device) for tensor in tensors]
        device = self.tensors[0].device
        self._fused = device.type in FUSED and (device.type != "cpu" or compiles(device))
        self._numbers = Numbers(3, device)

    def state_dict(self) -> dict[str, Any]:
        """All that later steps depend on; the tensors in it are this optimiser's own."""
        return {"done": self.done, "means": self._means, "squares": self._squares, "steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.done = state["done"]
        for own, found in ((self._means, state["means"]), (self._squares, state["squares"]), (self._steps, state["steps"])):
            torch._foreach_copy_(own, found)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for tensor in self.tensors:
            tensor.grad = None

    def step(self) -> None:
        """Move all tensors by their gradients, at `rate`."""
        self.prepare()
        self.move()

    def prepare(self) -> None:
        """Count a step and fill in what changes from step to step, so that `move` reads no number of the host."""
        self.done += 1
        first, second = (1 - beta**self.done for beta in self.betas)
        self._numbers.set(self.rate, -self.rate / first, second**0.5)

    @torch.no_grad()
    def move(self) -> None:
        """The rest of a step; the same operations at any."""
        moving = [number for number in range(len(self.tensors)) if number not in self.resting]
        tensors, means, squares, steps = ([own[number] for number in moving] for own in (self.tensors, self._means, self._squares, self._steps))
        gradients = [tensor.grad for tensor in tensors if tensor.grad is not None]
        assert len(gradients) == len(tensors)
        first, second = self.betas
        rate, factor, root = self._numbers.values
        if self._fused:
            torch._foreach_add_(steps, 1)
            torch._fused_adam_(
                tensors, gradients, means, squares, [], steps, lr=rate, beta1=first, beta2=second, weight_decay=0.0,
                eps=EPSILON, amsgrad=False, maximize=False,
            )  # fmt: skip
            return
        torch._foreach_lerp_(means, gradients, 1 - first)
        torch._foreach_mul_(squares, second)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - second)
        spread = torch._foreach_sqrt(squares)
        torch._foreach_div_(spread, root)
        torch._foreach_add_(spread, EPSILON)
        moves = torch._foreach_div(means, spread)
        torch._foreach_mul_(moves, factor)
        torch._foreach_add_(tensors, moves)
