"""The bits of all latents and their gradients in one pass, block after block of latents.

The loss only ever needs the sum of the bits, whose gradient with respect to each latent's bits is 1. So a block goes forward and
backward at once: nothing is kept for a backward pass later, and memory is that of one block. Against autograd's two passes over all
latents this takes less than half the time on a CPU.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..coding.context_model import FEATURES, LOG2_SCALE_SHIFT, NETWORK
from ..coding.laplace import SCALE_LOW_LOG2
from ..field.layer_kernel import suits
from .network_kernel import LEAST_PROBABILITY, SCALE_HIGH_LOG2, TABLE_BITS, CompiledNetwork

BLOCK = 1 << 22  # latents of a block on a GPU
SUMMED = 8  # symbols either side of the mean that hold all of a distribution of scale 1

Block = tuple[slice, ...]


@dataclass(frozen=True)
class GridInputs:
    """What the network reads of one latent grid.

    Args:
        seen: the neighbours' values, padded by `reach` on both sides of every axis.
        features: `[F, *core]` of the coarser grids.
        places: `[P, *core]` constants, or None.
        target: `[*core]`, the latents themselves.
        begin: where in the unpadded grid the core begins, on every axis.
    """

    seen: Tensor
    features: Tensor
    places: Tensor | None
    target: Tensor
    begin: Sequence[int]


def laplace_bits(residual: Tensor, log2_scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Bits of the unit interval around `residual` under a Laplace distribution of mean 0 and scale 2**log2_scale.

    Returns:
        The bits and their derivatives by `residual` and by `log2_scale`.
    """
    inverse = torch.exp2(-log2_scale)
    distance = residual.abs()
    near, far = distance - 0.5, distance + 0.5
    e_near, e_far = torch.exp(-(near * inverse).abs()), torch.exp(-far * inverse)
    half = 0.5 * (e_near - e_far)
    # Both tails on one side of the centre, or one on each; the derivatives are the same expressions.
    probability = torch.where(near > 0, half, 1 - half - e_far) + LEAST_PROBABILITY
    outer = inverse / (math.log(2) * probability)
    bits = TABLE_BITS - torch.log2(probability)
    return bits, outer * half * residual.sign(), (math.log(2) / 2) * outer * (far * e_far - near * e_near)


class Neighbours:
    """Causal neighbours: their offsets, and where they are among the elements of all grids one after the other, a table for each geometry.

    Args:
        offsets: of the neighbours.
    """

    def __init__(self, offsets: Sequence[Sequence[int]]) -> None:
        self.offsets = offsets
        self._tables: dict[tuple[object, ...], tuple[Tensor, Tensor]] = {}

    def tables(self, grids: Sequence[GridInputs]) -> tuple[Tensor, Tensor]:
        """`[n N]` and `[n S]` int32 of n neighbours, N latents and S numbers `seen`.

        The first has the places in `seen` of the neighbours; the second, for each place, where the first names it, or the number after all that
        is read where it does not.
        """
        device = grids[0].target.device
        key = (device, *((tuple(grid.seen.shape), tuple(grid.target.shape), tuple(grid.begin)) for grid in grids))
        if key not in self._tables:
            self._tables[key] = self._made(grids)
        return self._tables[key]

    def _made(self, grids: Sequence[GridInputs]) -> tuple[Tensor, Tensor]:
        rows, first, device = [], 0, grids[0].target.device
        for grid in grids:
            whole = tuple(slice(0, size) for size in grid.target.shape)
            numbers = torch.arange(first, first + grid.seen.numel(), dtype=torch.int32, device=device).view(grid.seen.shape)
            rows.append(torch.stack([numbers[source].reshape(-1) for source in _sources(self.offsets, whole, grid.begin)]))
            first += numbers.numel()
        found = torch.cat(rows, 1)
        nowhere = found.shape[1] * (len(found) + FEATURES + (0 if grids[0].places is None else len(grids[0].places)))
        back = torch.full((len(found), first), nowhere, dtype=torch.int32, device=device)
        back.scatter_(1, found.long(), torch.arange(found.numel(), dtype=torch.int32, device=device).view(found.shape))
        return found.view(-1), back.view(-1)


class CompiledBits(torch.autograd.Function):
    """The sum of the bits of all grids' latents on a CPU, differentiable once."""

    @staticmethod
    def forward(
        ctx: Any, wanted: bool, offsets: Sequence[Sequence[int]], grids: Sequence[tuple[Tensor | None, Sequence[int]]], *tensors: Tensor
    ) -> Tensor:
        """See `network_bits`.

        Args:
            ctx: autograd's.
            wanted: with gradients.
            offsets: of the causal neighbours.
            grids: places and beginning of each.
            tensors: the network's, then seen, features and target of each grid.
        """
        arrays = [tensor.detach().numpy() for tensor in tensors]
        run = CompiledNetwork(arrays[: len(NETWORK)], offsets, wanted=wanted)
        gradients: list[Tensor] = []
        for (places, begin), seen, features, target in zip(grids, *(arrays[len(NETWORK) + k :: 3] for k in range(3)), strict=True):
            found = run.add(seen, features, None if places is None else places.numpy(), target, begin)
            gradients += [torch.from_numpy(gradient) for gradient in found or ()]
        if wanted:
            ctx.save_for_backward(*(torch.from_numpy(total.astype(np.float32)) for total in run.sums), *gradients)
        return torch.tensor(run.total, dtype=torch.float32)

    @staticmethod
    def backward(ctx: Any, *grad: Any) -> Any:
        """The gradients that forward found, times that of the sum."""
        return None, None, None, *(saved * grad[0] for saved in ctx.saved_tensors)


class FlatBits(torch.autograd.Function):
    """The same on any device: all grids at once, one after the other."""

    @staticmethod
    def forward(ctx: Any, wanted: bool, limit: int, tables: tuple[Tensor, Tensor], places: Tensor | None, *tensors: Tensor) -> Tensor:
        """See `network_bits`.

        Args:
            ctx: autograd's.
            wanted: with gradients.
            limit: latents of a block.
            tables: see Neighbours.
            places: `[P, N]` or None.
            tensors: the network's, then seen `[S]`, features `[F, N]` and target `[N]`.
        """
        run = _Network(tensors[: len(NETWORK)], wanted)
        seen, features, target = tensors[len(NETWORK) :]
        near, back = tables[0].view(-1, len(target)), tables[1]
        fixed = features if places is None else torch.cat([features, places])
        found = target.new_zeros((len(near) + len(fixed)) * len(target) + 1)  # gradients by all that is read, and a zero
        by_inputs, by_target = found[:-1].view(-1, len(target)), torch.empty_like(target)
        for start in range(0, len(target), limit):
            part = slice(start, start + limit)
            x = torch.cat([seen.index_select(0, near[:, part].reshape(-1)).view(len(near), -1), fixed[:, part]])
            gradients = run.block(x, target[part])
            if gradients is not None:
                by_inputs[:, part], by_target[part] = gradients
        if wanted:
            by_seen = found.index_select(0, back).view(len(near), -1).sum(0)
            ctx.save_for_backward(*run.gradients(), by_seen, by_inputs[len(near) : len(near) + len(features)], by_target)
        return run.total

    @staticmethod
    def backward(ctx: Any, *grad: Any) -> Any:
        """The gradients that forward found, times that of the sum."""
        return None, None, None, None, *torch._foreach_mul(list(ctx.saved_tensors), grad[0])


def _sources(offsets: Sequence[Sequence[int]], block: Block, begin: Sequence[int]) -> list[Block]:
    """Where in `seen` the neighbours of a block are."""
    reach = [max(abs(o[axis]) for o in offsets) for axis in range(len(offsets[0]))]
    return [
        tuple(slice(b.start + s + r + o, b.stop + s + r + o) for b, s, r, o in zip(block, begin, reach, offset, strict=True)) for offset in offsets
    ]


def _gather(sources: Sequence[Block], block: Block, seen: Tensor, features: Tensor, places: Tensor | None) -> Tensor:
    fixed = [t[(slice(None), *block)] for t in (features, places) if t is not None]
    return torch.cat([torch.stack([seen[source] for source in sources]), *fixed]).flatten(1)


def inputs(offsets: Sequence[Sequence[int]], grid: GridInputs) -> Tensor:
    """`[I, n]`: what the network reads for each latent of a grid."""
    whole = tuple(slice(0, size) for size in grid.target.shape)
    return _gather(_sources(offsets, whole, grid.begin), whole, grid.seen, grid.features, grid.places)


def outputs(network: Sequence[Tensor], x: Tensor) -> Tensor:
    """`[2, n]`: mean and log2 of the scale, within the table's range, for inputs `[I, n]`."""
    out = _forward([t.detach() for t in network], x)[-1]
    out[1] = (out[1] + LOG2_SCALE_SHIFT).clamp_(SCALE_LOW_LOG2, SCALE_HIGH_LOG2)
    return out


def _forward(network: Sequence[Tensor], x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The layers h1, relu(W2 h1 + b2) and h2 of coding.context_model, and the two outputs before their shift."""
    w1, b1, w2, b2, w3, b3, ws = network
    h1 = torch.addmm(b1[:, None], w1, x).relu_()
    a2 = torch.addmm(b2[:, None], w2, h1).relu_()
    h2 = h1 + a2
    return h1, a2, h2, torch.addmm(b3[:, None], ws, x).addmm_(w3, h2)


def fisher_information(found: Tensor) -> Tensor:
    """`[2, 2, n]`: expected second derivatives of a symbol's bits by the mean and the log2 of the scale `[2, n]`."""
    mean, scale = found
    nearest = mean.round()
    total = found.new_zeros(2, 2, mean.shape[0])
    for distance in range(-SUMMED, SUMMED + 1):
        bits, by_residual, by_scale = laplace_bits(nearest + distance - mean, scale)
        score = torch.stack([-by_residual, by_scale])
        total += torch.exp2(-bits) * score[:, None] * score[None]
    total *= math.log(2)
    # Where the distribution is wide, that of the density: 1 / (b^2 ln 2) and ln 2.
    wide = torch.stack([torch.exp2(-2 * scale) / math.log(2), torch.zeros_like(scale), torch.zeros_like(scale), torch.full_like(scale, math.log(2))])
    return torch.where(scale > 0, wide.view(2, 2, -1), total)


class _Network:
    """Sums the bits of block after block, and the gradients of the network's tensors."""

    def __init__(self, network: Sequence[Tensor], wanted: bool) -> None:
        self.w1, self.b1, self.w2, self.b2, self.w3, self.b3, self.ws = (t.detach() for t in network)
        self.wanted = wanted
        self.total = self.w1.new_zeros(())
        self.back = torch.cat([self.ws, self.w1]).t().contiguous()
        self.g_in, self.g_2, self.g_3 = (torch.zeros_like(t) for t in (torch.cat([self.ws, self.w1]), self.w2, self.w3))
        self.g_b1, self.g_b2, self.g_b3 = (torch.zeros_like(t) for t in (self.b1, self.b2, self.b3))

    def block(self, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor] | None:
        """Gradients by x `[I, n]` and by the latents `[n]`."""
        h1, a2, h2, out = _forward([self.w1, self.b1, self.w2, self.b2, self.w3, self.b3, self.ws], x)
        raw = out[1] + LOG2_SCALE_SHIFT
        scale = raw.clamp(SCALE_LOW_LOG2, SCALE_HIGH_LOG2)
        bits, by_residual, by_scale = laplace_bits(target - out[0], scale)
        self.total += bits.sum()
        if not self.wanted:
            return None
        both = torch.empty(2 + len(h1), len(target), dtype=x.dtype, device=x.device)
        torch.neg(by_residual, out=both[0])
        torch.mul(by_scale, raw == scale, out=both[1])
        top = both[:2]
        g_h2 = self.w3.t() @ top
        g_a2 = torch.ops.aten.threshold_backward(g_h2, a2, 0)
        torch.ops.aten.threshold_backward.grad_input(g_h2.addmm_(self.w2.t(), g_a2), h1, 0, grad_input=both[2:])
        self.g_3.addmm_(top, h2.t())
        self.g_2.addmm_(g_a2, h1.t())
        self.g_in.addmm_(both, x.t())
        ones = torch.ones_like(target)  # a product is faster than a sum along the rows
        self.g_b2.addmv_(g_a2, ones)
        sums = both.mv(ones)
        self.g_b3 += sums[:2]
        self.g_b1 += sums[2:]
        return self.back @ both, by_residual

    def gradients(self) -> list[Tensor]:
        """By the seven tensors, in their order."""
        return [self.g_in[2:], self.g_b1, self.g_2, self.g_b2, self.g_3, self.g_b3, self.g_in[:2]]


def network_bits(neighbours: Neighbours, network: Sequence[Tensor], grids: Sequence[GridInputs], *, block: int | None = None) -> Tensor:
    """Bits of all latents, a scalar; its gradient reaches the network and what the grids hold, places excepted.

    Args:
        neighbours: the causal ones.
        network: the tensors named in NETWORK.
        grids: see GridInputs.
        block: latents of a block, without the compiled pass; None for what suits the device.
    """
    wanted = torch.is_grad_enabled()  # inside a Function it never is
    if block is None and suits(network):
        parts = [tensor for grid in grids for tensor in (grid.seen, grid.features, grid.target)]
        constants = [(grid.places, grid.begin) for grid in grids]
        total: Tensor = CompiledBits.apply(wanted, neighbours.offsets, constants, *network, *parts)  # type: ignore[no-untyped-call]
        return total
    places = None if grids[0].places is None else torch.cat([grid.places.flatten(1) for grid in grids if grid.places is not None], 1)
    seen, target = (torch.cat([tensor.reshape(-1) for tensor in each]) for each in zip(*((grid.seen, grid.target) for grid in grids), strict=True))
    features = torch.cat([grid.features.flatten(1) for grid in grids], 1)
    total = FlatBits.apply(wanted, block or BLOCK, neighbours.tables(grids), places, *network, seen, features, target)  # type: ignore[no-untyped-call]
    return total
