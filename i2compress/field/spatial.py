"""The spatial implicit layer z* = relu(A z* + K * z* + u): its solve, its gradient and its contraction.

K is a depthwise convolution with taps one source sample apart and zero padding, so ||A||_2 + max_c sum|K_c| bounds the
Lipschitz constant of the map (relu is 1-Lipschitz); below 1 the fixed point exists, is unique, and Picard iteration
converges to it at that rate from any start (Banach).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .layer_kernel import compiles
from .solver import FULL, Gradient, fixed_point

CONVOLUTIONS = {2: F.conv2d, 3: F.conv3d}
SQUARINGS = 7
SELDOM = 3  # squares from one scaling to the next, where operations cost more than what they do: of 64 channels the norm falls to 1e-8 at most
SMALLEST = 1e-30  # of a norm that is divided by
FORMATS = {2: torch.channels_last, 3: torch.channels_last_3d}


def pointwise(matrix: Tensor, z: Tensor, bias: Tensor | None = None) -> Tensor:
    """`matrix` `[D, C]` times the channels of `z` `[1, C, *grid]`, plus `bias` `[D]`."""
    flat = z.movedim(1, -1).reshape(-1, z.shape[1])
    out = flat @ matrix.t() if bias is None else torch.addmm(bias, flat, matrix.t())
    return out.view(z.shape[0], *z.shape[2:], len(matrix)).movedim(-1, 1)


def depthwise(taps: Tensor, z: Tensor) -> Tensor:
    """Cross-correlation of each channel of `z` `[1, C, *grid]` with its own `taps` `[C, 3, ...]`, zero outside."""
    return CONVOLUTIONS[z.ndim - 2](z, taps[:, None], padding=1, groups=len(taps))


def contraction(matrix: Tensor, taps: Tensor | None = None) -> float:
    """||A||_2 + max_c sum|K_c|, a bound of the layer's Lipschitz constant; without K, ||A||_2."""
    bound = float(torch.linalg.matrix_norm(matrix.detach().cpu().double(), 2))
    return bound if taps is None else bound + float(taps.detach().cpu().double().abs().flatten(1).sum(1).max())


def norm_bound(matrix: Tensor, *, every: int = 1) -> Tensor:
    """||A||_2 from above, a scalar on its device: at most `C^(1 / 2^(SQUARINGS + 2))` times it, 1.006 for 16 channels.

    (A^T A)^n has the Frobenius norm |.|, with ||A||_2^2n <= |(A^T A)^n| <= sqrt(C) ||A||_2^2n. n is a power of two; every so many squares one is
    scaled to a norm of 1. Unlike a decomposition this reads no value from the device.
    """
    power = matrix.t() @ matrix
    logarithm = torch.zeros((), device=matrix.device, dtype=matrix.dtype)
    for squaring in range(SQUARINGS + 1):
        if squaring % every == 0 or squaring == SQUARINGS:
            norm = torch.linalg.vector_norm(power).clamp_min(SMALLEST)
            logarithm = logarithm + norm.log() / 2**squaring
            power = power / norm
        power = power @ power
    return (logarithm / 2).exp()


def contract(tensors: Sequence[Tensor], rho: float) -> None:
    """Scale A, and K where there is one, in place by min(1, rho / bound), the bound that of norm_bound; no value is read from the device."""
    with torch.no_grad():
        bound = norm_bound(tensors[0], every=1 if compiles(tensors[0].device) else SELDOM)
        for taps in tensors[1:]:
            bound = bound + taps.abs().flatten(1).sum(1).amax()
        scale = (rho / bound).clamp_max(1.0)
        for tensor in tensors:
            tensor *= scale


def solve(u: Tensor, matrix: Tensor, taps: Tensor, *, iterations: int, gradient: Gradient) -> Tensor:
    """z after `iterations` applications from 0 (the first gives relu(u)), differentiable as `gradient` says.

    Args:
        u: `[1, C, *grid]`, channels last in memory where speed matters.
        matrix: A, `[C, C]`.
        taps: K, `[C, 3, 3]` or `[C, 3, 3, 3]`.
        iterations: at least 1.
        gradient: FULL records the graph of every application; terms = m runs all of them outside the graph.
    """
    if gradient == FULL:
        return fixed_point(
            lambda z: torch.relu(pointwise(matrix, z) + depthwise(taps, z) + u), torch.relu(u), iterations=iterations - 1, gradient=FULL
        )
    result: Tensor = _Solve.apply(u, matrix, taps, iterations, gradient.terms)  # type: ignore[no-untyped-call]
    return result


class _Solve(torch.autograd.Function):
    """Iterations outside the graph; the gradient by a Neumann series at the solution.

    With M = diag(z* > 0) and J = M (A + K), v_1 = M g, v_{k+1} = M (g + (A + K)^T v_k), the gradient for u is v_m, for A
    it is v_m z*^T and for K the correlation of z* with v_m. Memory is that of one application whatever the iterations
    and the terms; and the nine taps' weight gradient, the dearest part on a CPU, is taken once instead of m times.
    """

    @staticmethod
    def forward(ctx: Any, u: Tensor, matrix: Tensor, taps: Tensor, iterations: int, terms: int) -> Tensor:
        z = torch.relu(u)
        for _ in range(iterations - 1):
            new = pointwise(matrix, z)
            new += depthwise(taps, z)
            new += u
            z = new.relu_()
        ctx.save_for_backward(z, matrix, taps)
        ctx.terms = terms
        return z

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        z, matrix, taps = ctx.saved_tensors
        axes, channels = z.ndim - 2, z.shape[1]
        grad = grads[0].contiguous(memory_format=FORMATS[axes])
        mask = (z > 0).to(z.dtype)
        adjoint_matrix, adjoint_taps = matrix.t().contiguous(), taps.flip(tuple(range(1, axes + 1))).contiguous()
        v = grad * mask
        for _ in range(ctx.terms - 1):
            new = pointwise(adjoint_matrix, v)
            new += depthwise(adjoint_taps, v)
            new += grad
            v = new.mul_(mask)
        grad_matrix = v.movedim(1, -1).reshape(-1, channels).t() @ z.movedim(1, -1).reshape(-1, channels)
        once, nothing = [1] * axes, [0] * axes
        grad_taps = torch.ops.aten.convolution_backward(v, z, taps[:, None], None, once, once, once, False, nothing, channels, [False, True, False])[
            1
        ]
        return v, grad_matrix, grad_taps[:, 0], None, None
