"""What a coordinate field can be fitted to, and the fit that each begins."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..arrays import Float32Array
from ..field.coordinate_field import CoordinateField
from .coordinate import CoordinateFit, Points, grid_points
from .distortion import PointDistortion, entropy
from .eikonal import EikonalFit, OrientedPoints
from .schedule import CoordinateSchedule
from .training_loop import StepInfo


@dataclass(frozen=True, kw_only=True)
class Asked:
    """How a fit is to go.

    Args:
        schedule: steps and rates.
        seed: of everything random.
        on_step, stop: see TrainingLoop.
    """

    schedule: CoordinateSchedule
    seed: int = 0
    on_step: Callable[[StepInfo], None] | None = None
    stop: Callable[[], bool] | None = None


class Wanted(Protocol):
    """What a field is fitted to."""

    @property
    def unit(self) -> float:
        """What Phi is of a value of 1 of the signal on its grid."""

    def begin(self, field: CoordinateField, grid: tuple[int, ...], asked: Asked) -> CoordinateFit:
        """The fit of a field, on the field's device, of a file with that grid."""


@dataclass(frozen=True, kw_only=True)
class Samples:
    """The values of a signal on its grid.

    Args:
        values: `[*grid, D]`, offset + gain * Phi.
        gain, offset: as above.
        importance: weights of the squared errors, of the shape of `values`; None for 1.
    """

    values: Float32Array
    gain: float
    offset: float
    importance: Float32Array | None = None

    @property
    def unit(self) -> float:
        """See Wanted; the offset is left to who renders."""
        return 1.0

    def begin(self, field: CoordinateField, grid: tuple[int, ...], asked: Asked) -> CoordinateFit:
        """See Wanted."""
        y = _column(field, (self.values.reshape(-1, self.values.shape[-1]) - self.offset) / self.gain)
        importance = None if self.importance is None else _column(field, self.importance.reshape(y.shape))
        points = Points(x=grid_points(grid).to(y.device), y=y, importance=importance)
        return _fit(field, points, PointDistortion(unit=self.gain**2), asked)


@dataclass(frozen=True, kw_only=True)
class Labels:
    """On which side of a surface points lie; the field has the logits of their being outside (Mescheder et al., Occupancy Networks, CVPR 2019).

    Args:
        points: `[N, d]` coordinates in [-1, 1].
        outside: `[N]`, 1 outside and 0 inside.
    """

    points: Float32Array
    outside: Float32Array

    @property
    def unit(self) -> float:
        """See Wanted: logits have none of a distance."""
        return 1.0

    def begin(self, field: CoordinateField, grid: tuple[int, ...], asked: Asked) -> CoordinateFit:
        """See Wanted."""
        points = Points(x=_column(field, self.points), y=_column(field, self.outside[:, None]))
        return _fit(field, points, PointDistortion(loss=entropy), asked)


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """Points of a surface with their normals.

    Args:
        points: `[N, d]` coordinates in [-1, 1].
        normals: `[N, d]`, unit vectors out of the solid, in the space of the grid's samples.
        slope: how much Phi rises from one sample to the next, straight away from the surface.
        truncation: samples of distance that are a value of 1.
    """

    points: Float32Array
    normals: Float32Array
    slope: float
    truncation: float

    @property
    def unit(self) -> float:
        """See Wanted."""
        return self.slope * self.truncation

    def begin(self, field: CoordinateField, grid: tuple[int, ...], asked: Asked) -> CoordinateFit:
        """See Wanted."""
        extents = torch.tensor(grid, dtype=torch.float32, device=next(field.parameters()).device) / 2
        cloud = OrientedPoints(x=_column(field, self.points), normals=_column(field, self.normals), extents=extents, slope=self.slope, unit=self.unit)
        return EikonalFit(field, cloud, asked.schedule, seed=asked.seed, on_step=asked.on_step, stop=asked.stop)


def _fit(field: CoordinateField, points: Points, distortion: PointDistortion, asked: Asked) -> CoordinateFit:
    return CoordinateFit(field, points, asked.schedule, distortion=distortion, seed=asked.seed, on_step=asked.on_step, stop=asked.stop)


def _column(field: CoordinateField, values: Float32Array) -> Tensor:
    return torch.from_numpy(values).to(next(field.parameters()).device)
