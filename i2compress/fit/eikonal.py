"""The fit of a coordinate field to points of a surface with normals: a distance that is given nowhere else.

The loss is that of Gropp et al., Implicit Geometric Regularization for Learning Shapes, ICML 2020, eq. 2 and 3, with their weights, and the
penalty of Sitzmann et al., Implicit Neural Representations with Periodic Activation Functions, NeurIPS 2020, section 4.2, for zeros elsewhere:

    mean |f(p)|  +  mean |grad f(p) - n|  +  0.1 mean (|grad f(q)| - 1)^2  +  OFF mean exp(-100 |f(q)|)

over the points p with normals n and random places q. A length of 1 is half the longest side of the grid.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..efforts import CLOUD_BATCH
from ..field.coordinate_field import CoordinateField, Solving
from ..field.implicit import Phantom
from ..field.points import Stop
from .coordinate import CHECK, CoordinateFit, Points
from .distortion import PointDistortion
from .schedule import CoordinateSchedule
from .training_loop import StepInfo

EIKONAL, OFF, SHARPNESS = 0.1, 0.3, 100.0  # the weights of the last two terms, and how far from 0 the last one reaches
NEAR_SHARE, NEAR = 0.5, 0.03  # of the random places are about the points, spread so far
WARM_SHARE, RADIUS = 0.1, 0.5  # of the fit is to a ball of that radius
CHECKED = 2**13  # points, and as many places, on which steps of the weights are compared
NEAR_IMPORTANCE = 2.0  # of those points

# The gradient of f in x is differentiated once more, in the weights: through the last applications of the layer, recorded from a solution, which in
# equal time comes closer than the exact gradient (docs/results/shape.md). An explicit field has its exact one.
GRADIENT = Solving(stop=Stop(absolute=1e-5, relative=1e-3, iterations=15), gradient=Phantom(steps=5))


@dataclass(frozen=True, kw_only=True)
class OrientedPoints:
    """Points of a surface with their normals, and what distances are to be in the field.

    Args:
        x: coordinates `[N, d]` in [-1, 1].
        normals: `[N, d]`, unit vectors out of the solid, in samples.
        extents: `[d]`, samples of half of each axis.
        slope: how much Phi rises for each sample away from the surface.
        unit: what Phi is where distances are cut when states are compared.
    """

    x: Tensor
    normals: Tensor
    extents: Tensor
    slope: float
    unit: float


def magnitude(values: Tensor, wanted: Tensor) -> Tensor:
    """The absolute difference."""
    return (values - wanted).abs()


class EikonalFit(CoordinateFit):
    """Trains a field of one channel to be the signed distance to the surface of a cloud; see CoordinateFit for what is not in the cloud."""

    def __init__(
        self,
        field: CoordinateField,
        cloud: OrientedPoints,
        schedule: CoordinateSchedule,
        *,
        seed: int = 0,
        on_step: Callable[[StepInfo], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> None:
        points = Points(x=cloud.x, y=cloud.x.new_zeros(len(cloud.x), 1))
        schedule = replace(schedule, batch=CLOUD_BATCH, reuse=False)
        super().__init__(field, points, schedule, distortion=PointDistortion(loss=magnitude), seed=seed, on_step=on_step, stop=stop)
        self.cloud = cloud
        self.length = float(cloud.extents.max())  # samples
        self._checked_places = self._places(cloud.x[self.checked[:CLOUD_BATCH]])
        self._known: tuple[Tensor, Tensor, Tensor] | None = None

    def run(self) -> int:
        """See CoordinateFit.run. What is compared from then on are the distances that were found, and those that are left of them."""
        done = super().run()
        near = self.cloud.x[self.checked[:CHECKED]]
        x = torch.cat([near, self._uniform(CHECKED)])
        importance = torch.ones_like(x[:, :1])
        importance[: len(near)] = NEAR_IMPORTANCE
        self._known = x, self._cut(x), importance
        return done

    def loss(self, index: Tensor | slice) -> Tensor:
        """See CoordinateFit.loss: at first that of a ball, so that the outside is one (Atzmon and Lipman 2020)."""
        if self.progress() < WARM_SHARE:
            x = self._uniform(2 * CLOUD_BATCH)
            ball = (x.norm(dim=1, keepdim=True) - RADIUS) * (self.cloud.extents.min() / self.length)
            found: Tensor = (self.field(x, solving=self.solving).values / (self.cloud.slope * self.length) - ball).square().mean()
            return found
        x = self.cloud.x[index]
        return self._eikonal(x, self.cloud.normals[index], self._places(x))

    def check(self) -> float:
        """See CoordinateFit.check: after the fit the squared change of the distances that were found, cut as a signal's are."""
        if self._known is None:
            index = self.checked[:CLOUD_BATCH]
            return float(self._eikonal(self.cloud.x[index], self.cloud.normals[index], self._checked_places).detach())
        x, wanted, importance = self._known
        return float(((self._cut(x) - wanted).square() * importance).mean())

    def _eikonal(self, x: Tensor, normals: Tensor, places: Tensor) -> Tensor:
        """The loss at points `[N, d]` with normals and at random places `[M, d]`, of which the first ones are anywhere."""
        f, slopes = self._distances(torch.cat([x, places]))
        count, anywhere = len(x), len(x) + len(places) - round(NEAR_SHARE * len(places))
        on = self.distortion(f[:count], self.points.y[:count, 0], None)
        turned = (slopes[:count] - normals).norm(dim=1).mean()
        stretched = (slopes[count:].norm(dim=1) - 1).square().mean()
        zeros = torch.exp(-SHARPNESS * f[count:anywhere].abs()).mean()
        loss: Tensor = on + turned + EIKONAL * stretched + OFF * zeros
        return loss

    def _distances(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """f `[N]` in half longest sides and its gradient `[N, d]`, both differentiable in the weights."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            output = self.field(x, solving=GRADIENT)
            samples = output.values[:, 0] / self.cloud.slope
            (slopes,) = torch.autograd.grad(samples.sum(), x, create_graph=True)
        self.iterations, self.residual = output.solution.iterations, output.solution.residual
        return samples / self.length, slopes / self.cloud.extents

    @torch.no_grad()
    def _cut(self, x: Tensor) -> Tensor:
        """The distances as a signal has them."""
        found: Tensor = (self.field(x, solving=CHECK).values / self.cloud.unit).clamp(-1, 1)
        return found

    def _places(self, x: Tensor) -> Tensor:
        """Random places, as many as points `[N, d]`: some anywhere, then some about the points."""
        near = round(NEAR_SHARE * len(x))
        spread = torch.randn(near, x.shape[1], generator=self.generator).to(x.device) * (NEAR * self.length / self.cloud.extents)
        return torch.cat([self._uniform(len(x) - near), x[:near] + spread])

    def _uniform(self, count: int) -> Tensor:
        return (2 * torch.rand(count, len(self.cloud.extents), generator=self.generator) - 1).to(self.cloud.x.device)
