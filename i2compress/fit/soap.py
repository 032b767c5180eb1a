"""SOAP (Vyas et al. 2024, https://arxiv.org/abs/2409.11321): Adam in the eigenbases of Shampoo's preconditioners, all small tensors at once.

The gradient G of a tensor has a matrix L_i = E[G_(i) G_(i)^T] for each axis, G_(i) its unfolding along that axis. Adam runs on G turned into
the eigenbases of all L_i; the bases are refreshed by one round of power iteration and a QR decomposition. Vectors have no bases.

Tensors of one shape make one batch, and all vectors one, so that a step is a few dozen operations for each shape, and none of them waits for the
device. Where nothing is compiled (a GPU) operations cost more than what they do: there all tensors of as many axes make one batch, padded with zeros
to the largest of them, and their bases are refreshed by Gram-Schmidt, which needs no decomposition. Both move tensors alike but for rounding.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor

from ..field.layer_kernel import compiles
from .numbers import fill

EPSILON = 1e-8
PADDED_UP_TO = 64  # longest side of a tensor that is padded to the largest of its batch; column after column, larger ones would take long


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
        members: dict[tuple[int, ...], list[tuple[Tensor, int]]] = {}
        for number, group in enumerate(self.param_groups):
            for tensor in group["params"]:
                padded = not compiles(tensor.device) and max(tensor.shape, default=0) <= PADDED_UP_TO
                kind = () if tensor.ndim < 2 else (tensor.ndim,) if padded else tuple(tensor.shape)
                members.setdefault(kind, []).append((tensor, number))
        moved = [pair for batch in members.values() for pair in batch]
        self._tensors = [tensor for tensor, _ in moved]
        self._sizes = [tensor.numel() for tensor in self._tensors]
        self._batches = [_Batch([tensor for tensor, _ in batch]) for batch in members.values()]
        like = self._tensors[0]
        self._mean = like.new_zeros(sum(self._sizes))
        self._square = like.new_zeros(sum(batch.shape.numel() for batch in self._batches))
        self._rates = like.new_zeros(len(self.param_groups))
        self._group_of = torch.tensor([number for tensor, number in moved for _ in range(tensor.numel())], device=like.device)

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

    def step(self) -> None:
        """Move all tensors by their gradients; the first time, only find the bases."""
        self.prepare()
        self.move()
        if self.due:
            self.refresh()
        self.done += 1

    def prepare(self) -> None:
        """Fill in what changes from step to step, so that `move` reads no number of the host."""
        first, second = (1 - beta ** max(self.done, 1) for beta in self.betas)
        fill(self._rates, [-group["lr"] * math.sqrt(second) / first for group in self.param_groups])

    @torch.no_grad()
    def move(self) -> None:
        """All of a step but for `refresh`; the same operations at any step but the first."""
        flat = torch.cat([(torch.zeros_like(t) if t.grad is None else t.grad).reshape(-1) for t in self._tensors])
        if self.clip is not None:
            flat *= (self.clip / (torch.linalg.vector_norm(flat) + 1e-6)).clamp(max=1.0)
        gradients = self._spread(flat)
        if self.done:
            self._mean.lerp_(flat, 1 - self.betas[0])
            self._square.lerp_(self._turned(gradients).square_(), 1 - self.betas[1])
            found = self._turned(self._spread(self._mean)).div_(self._square.sqrt().add_(EPSILON))
            turned = [batch.gathered(batch.turned(part, back=True)) for batch, part in zip(self._batches, self._parts(found), strict=True)]
            moves = torch.cat(turned).mul_(self._rates.index_select(0, self._group_of))
            parts = [move.view(tensor.shape) for move, tensor in zip(torch.split(moves, self._sizes), self._tensors, strict=True)]
            torch._foreach_add_([tensor.detach() for tensor in self._tensors], parts)
        for batch, gradient in zip(self._batches, gradients, strict=True):
            batch.learn(gradient, self.betas[1])

    @property
    def due(self) -> bool:
        """Whether the bases are to be refreshed after this step."""
        return self.done % self.every == 0

    @torch.no_grad()
    def refresh(self) -> None:
        """Find the bases, the first time, or the next ones."""
        for batch, square in zip(self._batches, self._parts(self._square), strict=True):
            if self.done:
                batch.refresh(square)
            else:
                batch.begin()

    def _spread(self, flat: Tensor) -> list[Tensor]:
        """Values of all tensors one after the other, as each batch has them."""
        parts = torch.split(flat, [batch.count for batch in self._batches])
        return [batch.spread(part) for batch, part in zip(self._batches, parts, strict=True)]

    def _parts(self, flat: Tensor) -> list[Tensor]:
        """Views of each batch's elements."""
        parts = torch.split(flat, [batch.shape.numel() for batch in self._batches])
        return [part.view(batch.shape) for batch, part in zip(self._batches, parts, strict=True)]

    def _turned(self, batches: Sequence[Tensor]) -> Tensor:
        """Each batch's values in its eigenbases, one after the other."""
        return torch.cat([batch.turned(values, back=False).reshape(-1) for batch, values in zip(self._batches, batches, strict=True)])


class _Batch:
    """The preconditioners of n tensors, padded with zeros to one shape: `[n, *shape]`; or of all vectors, `[n]`, which have none.

    Args:
        tensors: all of as many axes, or all vectors.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        like, shapes = tensors[0], [tuple(tensor.shape) for tensor in tensors]
        self.count = sum(tensor.numel() for tensor in tensors)
        shape = tuple(max(sides) for sides in zip(*shapes, strict=True)) if like.ndim > 1 else ()
        self.shape = torch.Size((len(tensors) if shape else self.count, *shape))
        self.grams, self.bases = ([like.new_zeros(self.shape[0], side, side) for side in shape] for _ in range(2))
        self._places: Tensor | None = None  # of the tensors' elements among those of the batch, where it is padded
        self._inside: list[Tensor] = []  # by axis `[n, side]`: which rows are a tensor's own, there
        if self.count < self.shape.numel():
            numbers = np.arange(self.shape.numel()).reshape(self.shape)
            own = [numbers[number][tuple(map(slice, sides))].ravel() for number, sides in enumerate(shapes)]
            self._places = torch.from_numpy(np.concatenate(own)).to(like.device)
            along = np.array(shapes).T
            self._inside = [torch.from_numpy(np.arange(most) < sides[:, None]).to(like.device) for most, sides in zip(shape, along, strict=True)]

    def spread(self, flat: Tensor) -> Tensor:
        """The tensors' elements one after the other as the batch."""
        if self._places is None:
            return flat.view(self.shape)
        return flat.new_zeros(self.shape.numel()).index_copy_(0, self._places, flat).view(self.shape)

    def gathered(self, values: Tensor) -> Tensor:
        """Undoes `spread`."""
        return values.reshape(-1) if self._places is None else values.reshape(-1).index_select(0, self._places)

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
        for axis, (basis, gram) in enumerate(zip(self.bases, self.grams, strict=True)):
            if self._inside:  # what is padding comes last, and stays by itself
                inside = self._inside[axis].to(gram.dtype)
                gram = gram - torch.diag_embed((1 - inside) * gram.diagonal(dim1=1, dim2=2).sum(1, keepdim=True))
            plain = _decomposed(gram, _eigenvectors)
            safe = _decomposed(_scaled(gram), lambda matrices: _eigenvectors(matrices.double()).to(matrices.dtype))
            basis.copy_(torch.where(plain.isfinite().all(-1, keepdim=True).all(-2, keepdim=True), plain, safe))
            if self._inside:
                basis.mul_(inside[:, :, None] * inside[:, None]).add_(torch.diag_embed(1 - inside))

    def refresh(self, square: Tensor) -> None:
        """The next bases, in the order of their eigenvalues; so are the second moments, which belong to them."""
        for axis, (basis, gram) in enumerate(zip(self.bases, self.grams, strict=True), 1):
            product = torch.bmm(gram, basis)
            values = (basis * product).sum(1)
            if self._inside:
                values = values.masked_fill(~self._inside[axis - 1], -math.inf)
            order = values.argsort(dim=1, descending=True, stable=True)
            along = [len(order) if i == 0 else order.shape[1] if i == axis else 1 for i in range(square.ndim)]
            square.copy_(square.take_along_dim(order.view(along), axis))
            if compiles(basis.device) or basis.shape[1] > PADDED_UP_TO:
                basis.copy_(_decomposed(product.take_along_dim(order[:, None], 2), lambda matrices: torch.linalg.qr(matrices)[0]))
            else:
                basis.copy_(orthogonal(product.take_along_dim(order[:, None], 2), basis.take_along_dim(order[:, None], 2)))


def orthogonal(matrices: Tensor, near: Tensor) -> Tensor:
    """Q of the QR decompositions of matrices `[n, C, C]` but for the signs of its columns, by operations alone that every device has.

    By Gram-Schmidt, column after column, each twice, as what is left of one that is almost among those before it is rounding at first; and a step of
    Newton's iteration for the nearest orthogonal matrix. A column that is next to nothing is instead made of `near`, an orthogonal matrix.
    """
    numbers = torch.finfo(matrices.dtype)
    scale = torch.linalg.vector_norm(matrices, dim=(1, 2), keepdim=True).clamp_min(numbers.tiny)
    columns = (matrices / scale).add_(near, alpha=numbers.eps)
    found = torch.zeros_like(columns)
    for number in range(columns.shape[2]):
        own, before = columns[:, :, number : number + 1], found[:, :, :number]
        for _ in range(2):
            if number:
                own = torch.baddbmm(own, before, torch.bmm(before.mT, own), alpha=-1)
            own = own / torch.linalg.vector_norm(own, dim=1, keepdim=True).clamp_min(numbers.tiny)
        found[:, :, number : number + 1] = own
    return torch.baddbmm(found, found, torch.bmm(found.mT, found), beta=1.5, alpha=-0.5)


def _eigenvectors(matrices: Tensor) -> Tensor:
    """Of symmetric matrices, those of large eigenvalues first. Of ones of low rank, LAPACK makes NaN now and then in single precision."""
    found: Tensor = torch.linalg.eigh(matrices)[1].flip(-1)
    return found


def _scaled(matrices: Tensor) -> Tensor:
    """Matrices times a power of two each, so that their largest element is about 1."""
    largest = matrices.abs().amax((-2, -1), keepdim=True).clamp(min=torch.finfo(matrices.dtype).tiny)
    return matrices * torch.exp2(-torch.floor(torch.log2(largest)))


def _decomposed(matrices: Tensor, decompose: Callable[[Tensor], Tensor]) -> Tensor:
    """On the CPU, as MPS has no decompositions, and CUDA's are slow to load; large ones on a CUDA device.

    In the tensors' own precision, but where that gives NaN: double precision was tried, and small implicit coordinate fields fitted worse with it.
    """
    if matrices.device.type == "cpu" or (matrices.device.type == "cuda" and matrices.shape[-1] > PADDED_UP_TO):
        return decompose(matrices)
    return decompose(matrices.cpu()).to(matrices.device)
