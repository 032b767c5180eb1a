"""SOAP (Vyas et al. 2024, https://arxiv.org/abs/2409.11321): Adam in the eigenbases of Shampoo's preconditioners, all small tensors at once.

The gradient G of a tensor has a matrix L_i = E[G_(i) G_(i)^T] for each axis, G_(i) its unfolding along that axis. Adam runs on G turned into
the eigenbases of all L_i; the bases are refreshed by one round of power iteration and a QR decomposition. Vectors have no bases.

Tensors of one number of axes make one batch, padded with zeros where none is long, so that a step is a few dozen operations whatever their
number, and none of them waits for the device. Unit vectors stand for what is padded, as the last of a basis.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypedDict

import torch
from torch import Tensor

PADDED = 32  # rows and columns up to which tensors share a batch; larger ones only with those of their size
EPSILON = 1e-8


class Group(TypedDict):
    """Tensors that move at one rate."""

    params: Sequence[Tensor]
    lr: float


class Soap:
    """The optimiser.

    Args:
        groups: tensors on one device, and their rates, which may be changed between steps.
        betas: of the moments; the second is also that of the preconditioners.
        every: steps from one refreshing of the bases to the next.
        clip: what the norm of all gradients together is cut to; None for any norm.
    """

    def __init__(self, groups: Iterable[Group], *, betas: tuple[float, float], every: int = 1, clip: float | None = None) -> None:
        self.param_groups = list(groups)
        self.betas, self.every, self.clip = betas, every, clip
        self.done = 0
        self._tensors = [tensor for group in self.param_groups for tensor in group["params"]]
        sizes = [tensor.numel() for tensor in self._tensors]
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        members: dict[tuple[int, ...], list[int]] = {}
        for number, tensor in enumerate(self._tensors):
            members.setdefault((tensor.ndim, *(size for size in tensor.shape if tensor.ndim > 1 and size > PADDED)), []).append(number)
        self._batches = [_Batch([self._tensors[i] for i in batch], [starts[i] for i in batch], sum(sizes)) for batch in members.values()]
        self._order = torch.argsort(torch.cat([batch.places for batch in self._batches]))
        self._sizes = sizes

    def state_dict(self) -> dict[str, Any]:
        """All that later steps depend on; the tensors in it are this optimiser's own."""
        return {"done": self.done, "batches": [batch.state() for batch in self._batches]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.done = state["done"]
        for batch, found in zip(self._batches, state["batches"], strict=True):
            torch._foreach_copy_(batch.state(), found)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for tensor in self._tensors:
            tensor.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move all tensors by their gradients; the first time, only find the bases."""
        flat = torch.cat([(torch.zeros_like(t) if t.grad is None else t.grad).reshape(-1) for t in self._tensors] + [self._tensors[0].new_zeros(1)])
        if self.clip is not None:
            flat *= (self.clip / (torch.linalg.vector_norm(flat) + 1e-6)).clamp(max=1.0)
        gradients = [batch.padded(flat) for batch in self._batches]
        if self.done:
            first, second = (1 - beta**self.done for beta in self.betas)
            moves = [batch.move(gradient, self.betas) for batch, gradient in zip(self._batches, gradients, strict=True)]
            found = torch.split(torch.cat(moves)[self._order], self._sizes)
            rates = [group["lr"] * math.sqrt(second) / first for group in self.param_groups for _ in group["params"]]
            torch._foreach_add_(
                [t.detach() for t in self._tensors], [m.view(t.shape) * -r for m, t, r in zip(found, self._tensors, rates, strict=True)]
            )
        for batch, gradient in zip(self._batches, gradients, strict=True):
            batch.learn(gradient, self.betas[1])
            if self.done == 0:
                batch.begin()
            elif self.done % self.every == 0:
                batch.refresh()
        self.done += 1


class _Batch:
    """Tensors of as many axes, `[n, *sizes]` with zeros where one is smaller.

    Args:
        tensors: of the batch.
        starts: where each begins among the elements of all tensors.
        count: of those elements; the index `count` stands for zero.
    """

    def __init__(self, tensors: Sequence[Tensor], starts: Sequence[int], count: int) -> None:
        device, kind = tensors[0].device, tensors[0].dtype
        sizes = [max(sides) for sides in zip(*(tensor.shape for tensor in tensors), strict=True)]
        source = torch.full((len(tensors), *sizes), count)
        for number, (tensor, start) in enumerate(zip(tensors, starts, strict=True)):
            index: Any = (number, *(slice(0, size) for size in tensor.shape))
            source[index] = torch.arange(start, start + tensor.numel()).view(tensor.shape)
        held = (source.flatten() < count).nonzero()[:, 0]
        self.places = source.flatten()[held].to(device)  # which elements the batch holds
        self._source, self._held = source.to(device), held.to(device)
        self._mean, self._square = (torch.zeros(source.shape, device=device, dtype=kind) for _ in range(2))
        self._axes = range(1, source.ndim) if source.ndim > 2 else range(0)
        self._sides = [[tensor.shape[axis - 1] for tensor in tensors] for axis in self._axes]
        self._padding = [torch.stack([torch.arange(max(sides)) >= side for side in sides]).to(device) for sides in self._sides]
        self._grams = [torch.zeros(*padding.shape, padding.shape[1], device=device, dtype=kind) for padding in self._padding]
        self._bases = [torch.diag_embed(padding.to(kind)) for padding in self._padding]

    def state(self) -> list[Tensor]:
        """All tensors that steps change."""
        return [self._mean, self._square, *self._grams, *self._bases]

    def padded(self, flat: Tensor) -> Tensor:
        """The batch's part of the elements of all tensors."""
        return flat[self._source]

    def move(self, gradient: Tensor, betas: tuple[float, float]) -> Tensor:
        """Adam's step in the bases, back in the tensors' own coordinates, of the elements in `places`."""
        self._mean.lerp_(gradient, 1 - betas[0])
        self._square.lerp_(self._turned(gradient, back=False).square(), 1 - betas[1])
        step = self._turned(self._mean, back=False) / self._square.sqrt().add_(EPSILON)
        return self._turned(step, back=True).reshape(-1)[self._held]

    def _turned(self, values: Tensor, *, back: bool) -> Tensor:
        """Into the eigenbases, or out of them."""
        for axis, basis in zip(self._axes, self._bases, strict=True):
            values = _along(values, axis, basis if back else basis.mT)
        return values

    def learn(self, gradient: Tensor, beta: float) -> None:
        """Take the gradient into the preconditioners."""
        for axis, gram in zip(self._axes, self._grams, strict=True):
            unfolded = gradient.movedim(axis, 1).flatten(2)
            gram.lerp_(unfolded @ unfolded.mT, 1 - beta)

    def begin(self) -> None:
        """The first bases: eigenvectors, those of large eigenvalues first."""
        for sides, bases, grams in zip(self._sides, self._bases, self._grams, strict=True):
            for side, basis, gram in zip(sides, bases, grams, strict=True):
                basis[:side, :side] = _decomposed(gram[:side, :side], lambda matrix: torch.linalg.eigh(matrix)[1].flip(-1))

    def refresh(self) -> None:
        """The next bases, in the order of their eigenvalues; so are the second moments, which belong to them."""
        for axis, padding, basis, gram in zip(self._axes, self._padding, self._bases, self._grams, strict=True):
            product = gram @ basis
            order = (basis * product).sum(1).masked_fill(padding, -math.inf).argsort(dim=1, descending=True, stable=True)
            along = [len(order) if i == 0 else order.shape[1] if i == axis else 1 for i in range(self._square.ndim)]
            self._square.copy_(self._square.take_along_dim(order.view(along), axis))
            product = product.take_along_dim(order[:, None], 2) + torch.diag_embed(padding.to(product.dtype))
            basis.copy_(_decomposed(product, lambda matrices: torch.linalg.qr(matrices)[0]))


def _along(values: Tensor, axis: int, matrices: Tensor) -> Tensor:
    """`matrices` `[n, d, d]` times `values` `[n, ..., d, ...]` along that axis."""
    moved = values.movedim(axis, 1)
    return (matrices @ moved.flatten(2)).view(moved.shape).movedim(1, axis)


def _decomposed(matrices: Tensor, decompose: Callable[[Tensor], Tensor]) -> Tensor:
    """On a CUDA device; of any other on the CPU (MPS has none), in double precision, in which the directions of small eigenvalues are no noise."""
    if matrices.device.type == "cuda":
        return decompose(matrices)
    return decompose(matrices.cpu().double()).to(matrices)
