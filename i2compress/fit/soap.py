"""SOAP (Vyas et al. 2024, https://arxiv.org/abs/2409.11321): Adam in the eigenbases of Shampoo's preconditioners, all small tensors at once.

The gradient G of a tensor has a matrix L_i = E[G_(i) G_(i)^T] for each axis, G_(i) its unfolding along that axis. Adam runs on G turned into
the eigenbases of all L_i; the bases are refreshed by one round of power iteration and a QR decomposition. Vectors have no bases.

Tensors of one shape make one batch, and all vectors one, so that a step is a few dozen operations for each shape, and none of them waits for the
device. Different shapes padded to one batch were tried: that is fewer operations, and no better a fit for so much more code.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypedDict

import torch
from torch import Tensor

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
        members: dict[tuple[int, ...], list[tuple[Tensor, Group]]] = {}
        for group in self.param_groups:
            for tensor in group["params"]:
                members.setdefault(tuple(tensor.shape) if tensor.ndim > 1 else (), []).append((tensor, group))
        moved = [pair for batch in members.values() for pair in batch]
        self._tensors, self._groups = [tensor for tensor, _ in moved], [group for _, group in moved]
        self._sizes = [tensor.numel() for tensor in self._tensors]
        self._batches = [_Batch(shape, sum(tensor.numel() for tensor, _ in batch), moved[0][0]) for shape, batch in members.items()]
        self._mean, self._square = (moved[0][0].new_zeros(sum(self._sizes)) for _ in range(2))

    def state_dict(self) -> dict[str, Any]:
        """All that later steps depend on; the tensors in it are this optimiser's own."""
        return {"done": self.done, "tensors": self._state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.done = state["done"]
        torch._foreach_copy_(self._state(), state["tensors"])

    def _state(self) -> list[Tensor]:
        return [self._mean, self._square, *(tensor for batch in self._batches for tensor in (*batch.grams, *batch.bases))]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for tensor in self._tensors:
            tensor.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move all tensors by their gradients; the first time, only find the bases."""
        flat = torch.cat([(torch.zeros_like(t) if t.grad is None else t.grad).reshape(-1) for t in self._tensors])
        if self.clip is not None:
            flat *= (self.clip / (torch.linalg.vector_norm(flat) + 1e-6)).clamp(max=1.0)
        if self.done:
            first, second = (1 - beta**self.done for beta in self.betas)
            self._mean.lerp_(flat, 1 - self.betas[0])
            self._square.lerp_(self._turned(flat).square_(), 1 - self.betas[1])
            moves = self._turned(self._turned(self._mean).div_(self._square.sqrt().add_(EPSILON)), back=True)
            torch._foreach_add_(
                [tensor.detach() for tensor in self._tensors],
                [
                    move.view(tensor.shape) * (-group["lr"] * math.sqrt(second) / first)
                    for move, tensor, group in zip(torch.split(moves, self._sizes), self._tensors, self._groups, strict=True)
                ],
            )
        for batch, gradient, square in zip(self._batches, self._parts(flat), self._parts(self._square), strict=True):
            batch.learn(gradient, self.betas[1])
            if self.done == 0:
                batch.begin()
            elif self.done % self.every == 0:
                batch.refresh(square)
        self.done += 1

    def _parts(self, flat: Tensor) -> list[Tensor]:
        """Views of each batch's elements."""
        parts = torch.split(flat, [batch.shape.numel() for batch in self._batches])
        return [part.view(batch.shape) for batch, part in zip(self._batches, parts, strict=True)]

    def _turned(self, flat: Tensor, *, back: bool = False) -> Tensor:
        """Into the eigenbases, or out of them."""
        return torch.cat([batch.turned(part, back=back).reshape(-1) for batch, part in zip(self._batches, self._parts(flat), strict=True)])


class _Batch:
    """The preconditioners of tensors of one shape, `[n, *shape]`, or of all vectors, `[n]`, which have none.

    Args:
        shape: of each tensor; empty for vectors.
        count: of the elements of all of them.
        like: a tensor of their type and device.
    """

    def __init__(self, shape: tuple[int, ...], count: int, like: Tensor) -> None:
        self.shape = torch.Size((count // math.prod(shape), *shape))
        self.grams, self.bases = ([like.new_zeros(self.shape[0], side, side) for side in shape] for _ in range(2))

    def turned(self, values: Tensor, *, back: bool) -> Tensor:
        """Into the eigenbases, or out of them."""
        for basis in self.bases:  # each turns the first axis and makes it the last, so that they end in the order they began in
            values = torch.bmm(values.flatten(2).mT, basis.mT if back else basis).view(len(values), *values.shape[2:], -1)
        return values

    def learn(self, gradient: Tensor, beta: float) -> None:
        """Take the gradient into the preconditioners."""
        for axis, gram in enumerate(self.grams, 1):
            unfolded = gradient.movedim(axis, 1).flatten(2)
            gram.lerp_(torch.bmm(unfolded, unfolded.mT), 1 - beta)

    def begin(self) -> None:
        """The first bases: eigenvectors, those of large eigenvalues first."""
        for basis, gram in zip(self.bases, self.grams, strict=True):
            plain, scaled = (_decomposed(matrices, lambda matrices: torch.linalg.eigh(matrices)[1].flip(-1)) for matrices in (gram, _scaled(gram)))
            basis.copy_(torch.where(plain.isfinite().all(-1, keepdim=True).all(-2, keepdim=True), plain, scaled))

    def refresh(self, square: Tensor) -> None:
        """The next bases, in the order of their eigenvalues; so are the second moments, which belong to them."""
        for axis, (basis, gram) in enumerate(zip(self.bases, self.grams, strict=True), 1):
            product = torch.bmm(gram, basis)
            order = (basis * product).sum(1).argsort(dim=1, descending=True, stable=True)
            along = [len(order) if i == 0 else order.shape[1] if i == axis else 1 for i in range(square.ndim)]
            square.copy_(square.take_along_dim(order.view(along), axis))
            basis.copy_(_decomposed(product.take_along_dim(order[:, None], 2), lambda matrices: torch.linalg.qr(matrices)[0]))


def _scaled(matrices: Tensor) -> Tensor:
    """Matrices times a power of two each, so that their largest element is about 1: of small ones of low rank LAPACK makes NaN now and then."""
    largest = matrices.abs().amax((-2, -1), keepdim=True).clamp(min=torch.finfo(matrices.dtype).tiny)
    return matrices * torch.exp2(-torch.floor(torch.log2(largest)))


def _decomposed(matrices: Tensor, decompose: Callable[[Tensor], Tensor]) -> Tensor:
    """On the CPU or a CUDA device; of any other on the CPU, since MPS has neither decomposition.

    In the tensors' own precision: double precision was tried, and small implicit coordinate fields fitted worse with it.
    """
    if matrices.device.type in ("cpu", "cuda"):
        return decompose(matrices)
    return decompose(matrices.cpu()).to(matrices.device)
