"""A coordinate field: a network, how its fixed point is solved, and its values at coordinates, in batches or blocks."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import UsageError
from .coordinate import CoordinateNetwork, build
from .coordinate_file import CoordinateFile, frequencies
from .implicit import ONE_STEP, Exact, Phantom, Scheme, equilibrium
from .points import PICARD, Method, Stop
from .solver import Solution
from .spec import Arrays

BLOCK = 1024


@dataclass(frozen=True, kw_only=True)
class Solving:
    """How a fixed point is found and differentiated.

    Args:
        method: Picard, Anderson or Broyden.
        stop: tolerance and cap.
        gradient: the scheme.
        throw: raise where a point does not converge.
    """

    method: Method = PICARD
    stop: Stop = Stop()  # noqa: RUF009 (frozen)
    gradient: Scheme = ONE_STEP
    throw: bool = False


REUSE = Solving(stop=Stop(iterations=1))  # a training step from the last step's z*: one application and the one-step gradient
CHEAPEST = Solving(stop=Stop(iterations=0), gradient=Phantom(steps=1))  # the same without J in the backward pass
ANEW = Solving(stop=Stop(relative=1e-3))  # a training step from zero
# float32 stalls near eps sqrt(C), so 1e-5 is what every width can meet; 0.97^500 < 1e-6, so 500 applications are enough.
EXACT = Solving(stop=Stop(absolute=0.0, relative=1e-5, iterations=500), gradient=Exact(), throw=True)


@dataclass(frozen=True, kw_only=True)
class Output:
    """What a field says at N points.

    Args:
        values: Phi, `[N, D]`.
        solution: z* `[N, C]` and how it was found.
    """

    values: Tensor
    solution: Solution


class CoordinateField(nn.Module):
    """Phi(x) for coordinates x in [-1, 1]^d.

    Args:
        network: what is solved.
    """

    def __init__(self, network: CoordinateNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, start: Tensor | None = None, *, solving: Solving) -> Output:
        """Values at x `[N, d]`, differentiable in the parameters and in x as `solving` says.

        Args:
            x: coordinates, of the parameters' type and device.
            start: where the solver starts, `[N, C]`; None for zero. See `field.reuse`.
            solving: how.

        Raises:
            UsageError: x of another shape.
            ConvergenceError: as `solving` says.
        """
        spec = self.network.spec
        if x.ndim != 2 or x.shape[1] != spec.axes:
            raise UsageError(f"coordinates have shape {tuple(x.shape)}; expected (N, {spec.axes})")
        u = self.network.inject(x)
        z = x.new_zeros(len(x), spec.width) if start is None else start
        if spec.explicit:
            z = self.network.step(z, u)
            solution = Solution(z=z, iterations=1, residual=0.0, converged=bool(z.isfinite().all()))
        else:
            solution = equilibrium(self.network.step, z, u, method=solving.method, stop=solving.stop, gradient=solving.gradient, throw=solving.throw)
        return Output(values=self.network.readout(solution.z), solution=solution)


@torch.no_grad()
def evaluate(field: CoordinateField, x: Tensor, *, solving: Solving = EXACT, block: int = BLOCK) -> Tensor:
    """Values `[N, D]` at x `[N, d]`, in blocks of exactly `block` points, the last one filled up.

    A matrix product may round a row differently in a product of another height. Every product here has the same height, so
    a value does not depend on which other points were asked for: a tile equals the whole. Memory is that of one block.

    Raises:
        UsageError: block under 1.
        ConvergenceError: as `solving` says.
    """
    if block < 1:
        raise UsageError(f"evaluation has blocks of {block} points; expected at least 1")
    values = [x.new_zeros(0, field.network.spec.channels)]
    for points in torch.split(x, block):
        filled = torch.cat([points, points[-1:].expand(block - len(points), -1)])
        values.append(field(filled, solving=solving).values[: len(points)])
    return torch.cat(values)


def torch_field(spec: CoordinateFile, weights: Arrays) -> CoordinateField:
    """The field in torch, float32, with the weights of a file: for derivatives and for further training.

    Its Phi is in about [-1, 1]; planes.coordinate.output_range says which value that is for a kind of media.
    """
    scales = frequencies(spec.network)
    tensors = {name: torch.from_numpy(np.asarray(value / scales.get(name, 1.0), np.float32)) for name, value in weights.items()}
    return CoordinateField(build(replace(spec.network, normalise=False), tensors))
