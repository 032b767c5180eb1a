"""The fit of a sparse pyramid: to signed distances at points near a surface, with latents in a lattice's cells only.

It is the fit of fit.pyramid with a single window: the latents of a level are a list of cells, and what a pyramid finds by slices is a gather here.
Halos of windows around a surface would be several times what they enclose.

D is the mean squared error of the distances, in squared samples of the grid; R the bits for each sample of the grid that the surface crosses.
Beyond `BAND` only the side counts: a value that is far enough on the right side is right, and costs no bits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..arrays import Float32Array, Float64Array, IndexArray
from ..coding.context_model import FEATURES, INPUT_LIMIT, NETWORK
from ..coding.lattice import Lattice
from ..config import EncodeSettings
from ..field.sparse_field import Gather, SparseField, parent_gathers, point_gather
from ..field.sparse_spec import SparseSpec, sparse_prior
from ..field.spec import Arrays
from .network_bits import _Network
from .problem import FittedPyramid, Problem, Start, weight_bits
from .schedule import Schedule, sparse_schedule
from .windows import Window

BAND = 1.0  # samples of the grid
BLOCK = 1 << 16  # latents that go through the network at once


@dataclass(frozen=True, kw_only=True)
class Distances:
    """What a sparse pyramid is fitted to.

    Args:
        points: `[M, 3]`, in samples of the grid.
        values: `[M]`, the signed distances there, in samples of the grid.
        importance: `[M]`, weights of the squared errors; what is over 1 makes D larger, and does not make other points weigh less.
        surface: samples of the grid that the surface crosses, about; what bits are counted for.
        band: beyond it only the side of a value counts; infinite for values that are no distances.
    """

    points: Float32Array
    values: Float32Array
    importance: Float32Array
    surface: float
    band: float = BAND


class DistanceError:
    """The weighted mean squared error of distances; beyond their band, of what is missing to it on the right side.

    It is in squared samples, which have no PSNR.
    """

    is_error = False
    reach = 0

    def share(self, window: Window) -> float:
        """See Distortion."""
        return 1.0

    def __init__(self, distances: Distances, *, device: torch.device) -> None:
        self._wanted = torch.from_numpy(distances.values).to(device)
        self._side = torch.sign(self._wanted)
        self._band = distances.band
        self._near = self._wanted.abs() < self._band
        self._importance = torch.from_numpy(distances.importance / np.minimum(distances.importance, 1).sum()).to(device)

    def __call__(self, values: Tensor) -> Tensor:
        """A scalar, of values `[M]`."""
        missing = torch.clamp(self._band - values * self._side, min=0)
        error = torch.where(self._near, values - self._wanted, missing).square()
        return (error * self._importance).sum()


class SparseContext(torch.nn.Module):
    """The context model in floats; see coding.sparse_latents for what it reads."""

    def __init__(self, spec: SparseSpec, values: Arrays, lattice: Lattice, parents: Sequence[Gather], *, device: torch.device) -> None:
        super().__init__()
        self.tensors = torch.nn.ParameterDict(
            {name: torch.nn.Parameter(torch.tensor(values[name], dtype=torch.float32).contiguous()) for name in spec.context.tensors}
        )
        self._parents = parents
        self._neighbours = [_tensor(level.neighbours(spec.neighbours), device) for level in lattice.levels]

    def forward(self, latents: Sequence[Tensor]) -> Tensor:
        """Bits of all latents `[N_l]`, finest first, a scalar."""
        parts: list[Tensor] = []
        for level, own in enumerate(latents):
            clamped = own.clamp(-INPUT_LIMIT, INPUT_LIMIT)
            parts += [torch.cat([clamped, clamped.new_zeros(1)]), self._features(latents, level), own]
        network = [self.tensors[name] for name in NETWORK]
        total: Tensor = _SparseBits.apply(torch.is_grad_enabled(), self._neighbours, *network, *parts)  # type: ignore[no-untyped-call]
        return total

    def _features(self, latents: Sequence[Tensor], level: int) -> Tensor:
        """`[4, N]`: the map of a level times the latents of the coarser ones, interpolated."""
        if level == len(latents) - 1:
            return latents[level].new_zeros(FEATURES, len(latents[level]))
        matrix = self.tensors[f"m{level}"]
        total: Tensor | None = None
        for column in reversed(range(matrix.shape[1])):
            above = level + 1 + column
            own = latents[above].clamp(-INPUT_LIMIT, INPUT_LIMIT)[:, None] * matrix[:, column]
            total = own if total is None else self._parents[above](total) + own
        assert total is not None
        return self._parents[level](total).t()


class _SparseBits(torch.autograd.Function):
    """As network_bits.NetworkBits, of cells whose neighbours are in a table."""

    @staticmethod
    def forward(ctx: Any, wanted: bool, neighbours: Sequence[Tensor], *tensors: Tensor) -> Tensor:
        run = _Network(tensors[: len(NETWORK)], wanted)
        gradients: list[Tensor] = []
        for table, seen, features, target in zip(neighbours, *(tensors[len(NETWORK) + k :: 3] for k in range(3)), strict=True):
            g_seen, g_features, g_target = torch.zeros_like(seen), torch.empty_like(features), torch.empty_like(target)
            for start in range(0, len(target), BLOCK):
                part = slice(start, start + BLOCK)
                rows = table[:, part]
                found = run.block(torch.cat([seen[rows], features[:, part]]), target[part])
                if found is None:
                    continue
                g_x, g_target[part] = found
                g_seen.index_add_(0, rows.reshape(-1), g_x[: len(rows)].reshape(-1))
                g_features[:, part] = g_x[len(rows) : len(rows) + len(features)]
            gradients += [g_seen, g_features, g_target]
        if wanted:
            ctx.save_for_backward(*run.gradients(), *gradients)
        return run.total

    @staticmethod
    def backward(ctx: Any, *grad: Any) -> Any:
        return None, None, *(saved * grad[0] for saved in ctx.saved_tensors)


class SparseProblem(Problem):
    """Distances near a surface and the networks that are fitted to them; the names are those of Problem."""

    distortion: DistanceError  # type: ignore[assignment]  # of points, not of windows
    spec: SparseSpec  # type: ignore[assignment]  # what the fit asks of either spec, both have
    field: SparseField  # type: ignore[assignment]
    context: SparseContext  # type: ignore[assignment]

    def __init__(
        self,
        distances: Distances,
        spec: SparseSpec,
        lattice: Lattice,
        lam: float,
        *,
        device: torch.device,
        schedule: Schedule,
        start: Start | None = None,
    ) -> None:
        self.spec, self.lam, self.device, self.schedule = spec, lam, device, schedule
        self.start = Start() if start is None else start
        self.surface = distances.surface
        self.prior = sparse_prior(self.start.prior, spec)
        self._parents = parent_gathers(lattice, device=device)
        self._points = point_gather(lattice, distances.points, device=device)
        self.distortion = DistanceError(distances, device=device)
        self.field = SparseField(spec, self.prior, iterations=schedule.iterations, gradient=schedule.gradient).to(device)
        self.context = SparseContext(spec, self.prior, lattice, self._parents, device=device).to(device)
        whole = tuple((slice(0, level.count),) for level in lattice.levels)
        self.windows = [Window(whole, whole, whole)]
        self.latent_shapes = [(level.count,) for level in lattice.levels]
        self._moved = list(self.weights().values())
        self._bases = [torch.from_numpy(self.prior[name].astype(np.float32)).to(device) for name in self.weights()]
        self.begin_at(self.start)

    def distortion_on(self, latents: list[Tensor], window: Window, held: Sequence[Tensor] | None = None) -> Tensor:
        """See Problem."""
        h = self.field.features([grid[0, 0] for grid in latents], self._parents)
        return self.distortion(self.field.values(self._points(h))[:, 0])

    def rate_on(self, latents: list[Tensor], window: Window) -> Tensor:
        """See Problem: bits for each sample that the surface crosses, those of the weights counted too."""
        bits = self.latent_bits(latents)
        if self.start.prior:
            bits = bits + sum(weight_bits(tensor - base) for tensor, base in zip(self._moved, self._bases, strict=True))
        return bits / self.surface

    def weight_rate(self) -> None:
        """See Problem; rate_on has them."""

    def latent_bits(self, latents: list[Tensor]) -> Tensor:
        """Bits of latents `[1, 1, N_l]`, finest first."""
        bits: Tensor = self.context([grid[0, 0] for grid in latents])
        return bits


class SparseTrial:
    """A sparse pyramid whose tensors are quantised one by one; see quantise.Trial."""

    def __init__(self, problem: SparseProblem, fitted: FittedPyramid) -> None:
        self.problem, self.weights, self.prior = problem, fitted.weights, problem.prior
        self.lam, self.samples, self.max_exponent = problem.lam, problem.surface, problem.spec.max_exponent
        self._latents = [torch.from_numpy(grid.astype(np.float32))[None, None].to(problem.device) for grid in fitted.latents]

    def load(self, name: str, value: Float64Array) -> None:
        """See Trial."""
        self.problem.weights()[name].data.copy_(torch.from_numpy(value))

    def allows(self, name: str) -> bool:
        """See Trial."""
        return name != "A" or float(torch.linalg.matrix_norm(self.problem.field.tensors["A"].detach().double(), 2)) <= MOST_CONTRACTION

    def loss(self, name: str) -> float:
        """See Trial."""
        window = self.problem.windows[0]
        if self.problem.spec.is_context(name):
            return self.lam * self.problem.rate_of(self._latents, window)
        return self.problem.distortion_of(self._latents, window)


MOST_CONTRACTION = 0.9


def sparse_problem(
    distances: Distances, spec: SparseSpec, lattice: Lattice, settings: EncodeSettings, *, device: torch.device, start: Start | None
) -> SparseProblem:
    """The problem of an encode with those settings."""
    schedule = sparse_schedule(settings, trained=start is not None and start.prior > 0).shortened(settings.search)
    problem = SparseProblem(distances, spec, lattice, settings.rate_weight, device=device, schedule=schedule, start=start)
    problem.search = settings.search
    return problem


def _tensor(rows: IndexArray, device: torch.device) -> Tensor:
    return torch.from_numpy(rows.astype(np.int64)).to(device)
