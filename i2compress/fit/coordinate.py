"""The fit of coordinate fields: a network to the values of a signal at its coordinates, in the loop of every fit.

Implicit networks are trained as in (Implicit)^2: each step starts from the last step's z*, makes one application, and takes
the one-step gradient; points that are too many to store z* for are solved anew.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..arrays import Float64Array, FloatingArray
from ..coding.weights import MAX_EXPONENT, WeightGroup
from ..coords import normalised
from ..efforts import CHECKED_POINTS, coordinate_batch
from ..field.coordinate import build
from ..field.coordinate_field import REUSE, CoordinateField, Solving
from ..field.coordinate_file import MAX_NORM_PRODUCT, CoordinateFile, frequencies, norm_product, prior
from ..field.points import Stop
from ..field.reuse import Starts
from ..field.spec import Arrays
from .distortion import PointDistortion
from .quantise import search
from .schedule import CoordinateSchedule
from .soap import Group, Soap
from .training_loop import TAIL_STEPS, StepInfo, TrainingLoop

STORED = 2**27  # numbers of z* that are kept for reuse
CLIP = 0.1  # largest norm of SOAP's gradient

FRESH = Solving(stop=Stop(absolute=1e-5, relative=1e-3, iterations=30))  # a step or a check without a stored z*
CHECK = Solving(stop=Stop(absolute=1e-5, relative=1e-3, iterations=100))

State = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Points:
    """What a field is fitted to.

    Args:
        x: coordinates `[N, d]` in [-1, 1].
        y: wanted Phi `[N, D]`.
        importance: weights `[N, D]` of the losses; None for 1.
    """

    x: Tensor
    y: Tensor
    importance: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)


def grid_points(grid: tuple[int, ...]) -> Tensor:
    """Coordinates of a grid's samples in raster order, float32 `[N, d]`."""
    axes = np.meshgrid(*(normalised(size) for size in grid), indexing="ij")
    return torch.from_numpy(np.stack([axis.ravel() for axis in axes], -1).astype(np.float32))


class CoordinateFit(TrainingLoop[State]):
    """Trains a field; `run` does it all and leaves the best state in it.

    Args:
        field: what is trained.
        points: to what.
        schedule: how.
        distortion: what is made small.
        seed: of the order of mini-batches and of the points on which states are compared.
        on_step, stop: see TrainingLoop.
    """

    def __init__(
        self,
        field: CoordinateField,
        points: Points,
        schedule: CoordinateSchedule,
        *,
        distortion: PointDistortion | None = None,
        seed: int = 0,
        on_step: Callable[[StepInfo], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> None:
        super().__init__(schedule.steps, time_limit=schedule.time_limit, tail=TAIL_STEPS, on_step=on_step, stop=stop)
        self.field, self.points, self.schedule = field, points, schedule
        self.distortion = PointDistortion() if distortion is None else distortion
        spec, count = field.network.spec, len(points)
        batch = schedule.batch or coordinate_batch(count)
        self.batch = min(batch, count)
        self.generator = torch.Generator().manual_seed(seed)
        reuse = schedule.reuse and not spec.explicit and count * spec.width <= STORED
        self.starts = Starts(count, spec.width, reuse=reuse, like=points.x)
        self.solving = schedule.solving or (REUSE if reuse else FRESH)
        self.checked = torch.randperm(count, generator=self.generator)[:CHECKED_POINTS].to(points.x.device)
        self.optimizer = self._optimizer()
        self.iterations = 0
        self.residual = 0.0
        self._queue = torch.empty(0, dtype=torch.int64)

    def _optimizer(self) -> Soap | torch.optim.Optimizer:
        parameters = list(self.field.parameters())
        if self.schedule.optimiser == "soap":
            return Soap([Group(params=parameters, lr=self.schedule.rate)], betas=(0.9, 0.95), every=5, clip=CLIP)
        return torch.optim.Adam(parameters, lr=self.schedule.rate)

    def run(self) -> int:
        """The whole fit; the steps made."""
        self.advance(1.0)
        self.keep()
        assert self.best is not None
        for name, tensor in self.field.network.tensors.items():
            tensor.data.copy_(self.best[name])
        return self.done

    def step(self, share: float) -> None:
        """See TrainingLoop.step."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.learning_rate(share)
        loss = self.loss(self._next())
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        value = float(loss.detach()) * self.distortion.unit
        self.report(share, loss=value, error=value if self.distortion.is_error else math.nan, rate=math.nan)

    def loss(self, index: Tensor | slice) -> Tensor:
        """What a step makes small, a scalar, on the points that are its turn."""
        output = self.field(self.points.x[index], self.starts.get(index), solving=self.solving)
        self.starts.put(output.solution.z, index)
        self.iterations, self.residual = output.solution.iterations, output.solution.residual
        return self._mean(output.values, index)

    def state(self) -> dict[str, Any]:
        """See TrainingLoop.state."""
        chance = {"generator": self.generator.get_state(), "queue": self._queue}
        field = {"field": self.field.state_dict(), "starts": self.starts.stored, "optimizer": self.optimizer.state_dict()}
        return {**field, "best": self.best, **chance}

    def restore(self, state: dict[str, Any]) -> None:
        """See TrainingLoop.restore."""
        self.field.load_state_dict(state["field"])
        if state["starts"] is not None:
            self.starts.put(state["starts"].to(self.points.x.device))
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        self._queue = state["queue"]
        best = state["best"]
        self.best = None if best is None else {name: tensor.to(self.points.x.device) for name, tensor in best.items()}

    def measure(self) -> tuple[float, Callable[[], State]]:
        """The mean loss with the fixed points solved, on the points that are checked."""
        tensors = self.field.network.tensors
        return self.check(), lambda: {name: tensor.detach().clone() for name, tensor in tensors.items()}

    @torch.no_grad()
    def check(self) -> float:
        """The distortion with the fixed points solved, on some of the points."""
        output = self.field(self.points.x[self.checked], self.starts.get(self.checked), solving=CHECK)
        value = float(self._mean(output.values, self.checked)) * self.distortion.unit
        return value if math.isfinite(value) else math.inf

    def _mean(self, values: Tensor, index: Tensor | slice) -> Tensor:
        importance = self.points.importance
        return self.distortion(values, self.points.y[index], None if importance is None else importance[index])

    def _next(self) -> Tensor | slice:
        """The points of a step: all, or the next ones of a random order."""
        if self.batch == len(self.points):
            return slice(None)
        if len(self._queue) < self.batch:
            self._queue = torch.randperm(len(self.points), generator=self.generator)
        index, self._queue = self._queue[: self.batch], self._queue[self.batch :]
        return index.to(self.points.x.device)


class CoordinateTrial:
    """A fitted network whose weights are to be quantised; see quantise.Trial."""

    def __init__(self, fit: CoordinateFit, spec: CoordinateFile, lam: float) -> None:
        self.fit, self.spec, self.lam = fit, spec, lam
        self.samples = float(math.prod(spec.grid))
        self.prior = prior(0, spec)
        self._frequencies = frequencies(spec.network)
        network = fit.field.network
        values = {name: tensor.detach() for name, tensor in network.tensors.items()}
        values["A"] = network.matrices().detach()
        self.weights: Arrays = {name: values[name].cpu().double().numpy() * self._frequencies.get(name, 1.0) for name in self.prior}
        # From here on the matrices are what they are: normalising a quantised one again would move it.
        fit.field = CoordinateField(build(replace(network.spec, normalise=False), values)).to(fit.points.x.device)

    def max_exponent(self, name: str) -> int:
        """See Trial."""
        return MAX_EXPONENT

    def load(self, name: str, value: Float64Array) -> None:
        """See Trial."""
        self.fit.field.network.tensors[name].data.copy_(torch.from_numpy(value / self._frequencies.get(name, 1.0)))

    def allows(self, name: str) -> bool:
        """See Trial: matrices have to contract where they promise to."""
        return name != "A" or not self.spec.network.normalised or norm_product(self._matrices()) <= MAX_NORM_PRODUCT

    def loss(self, name: str) -> float:
        """See Trial."""
        return self.fit.check()

    def _matrices(self) -> FloatingArray:
        matrices: FloatingArray = self.fit.field.network.tensors["A"].detach().cpu().double().numpy()
        return matrices


def quantise_coordinates(
    fit: CoordinateFit, spec: CoordinateFile, lam: float, on_tensor: Callable[[int, int], None] | None = None
) -> dict[str, WeightGroup]:
    """The integers of a fitted field, which is left holding the values that the decoder will see."""
    return search(CoordinateTrial(fit, spec, lam), on_tensor, until=fit.until).groups


def starting_field(spec: CoordinateFile, device: torch.device) -> CoordinateField:
    """The field that a fit for a file starts from: prior 0."""
    scales = frequencies(spec.network)
    values = {name: torch.from_numpy((value / scales.get(name, 1.0)).astype(np.float32)) for name, value in prior(0, spec).items()}
    return CoordinateField(build(spec.network, values)).to(device)
