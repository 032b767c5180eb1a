"""SSIMULACRA 2 of a picture against its source, differentiable: Sneyers, https://github.com/cloudinary/ssimulacra2.

Both become planes of brightness (Y) and of opponent colours (X, B) at several scales. There, three maps are compared: structural
similarity, edges that were not there (artefacts), and edges that are lost. Of each, two norms count, the mean and the fourth.
Most of the 108 weights are next to nothing, and what they alone need is not computed.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..field.layer_kernel import suits
from . import measures_kernel as kernel
from .batched import constant
from .blur import blur
from .measures import TINY, Differences
from .pairs import halved

C2 = 0.0009
SMALLEST = 8  # samples a side of a scale
MIRRORED = (True, True)
PADDED = (True, False)  # zeros at the left and the right, as in the package ssimulacra2: columns there are hardly seen

OPSIN = ((0.30, 0.622, 0.078), (0.23, 0.692, 0.078), (0.24342268924547819, 0.20476744424496821, 0.5518098665095536))
OPSIN_BIAS = 0.0037930732552754493
LIFTS = {"Y": 0.01, "X": 0.42, "B": 0.55}  # what is added to the planes, which are positive then

# By plane and scale: of similarity, artefacts and lost edges, each of the mean and of the fourth norm. All others are under 0.003.
Weights = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
WEIGHTS: dict[tuple[str, int], Weights] = {
    ("X", 1): ((0.0, 1.1041726426657346), (0.0, 0.0), (0.0, 0.0)),
    ("X", 2): ((0.0, 1.8422455520539298), (0.0016406437456599754, 11.441172603757666), (0.0, 0.0)),
    ("X", 3): ((0.0007989109436015163, 1.8787594979546387), (0.000176816438078653, 10.94906990605142), (0.0, 0.0)),
    ("X", 4): ((0.0007289346991508072, 0.00014003424285435884), (0.9677937080626833, 0.9981766977854967), (0.0, 0.00031949755934435053)),
    ("Y", 0): ((0.0, 7.466890328078848), (0.0, 0.0), (0.0, 17.445833984131262)),
    ("Y", 1): ((0.0006235601634041466, 6.683678146179332), (0.0, 0.00037724407979611296), (0.0, 1.027889937768264)),
    ("Y", 2): ((225.20515300849274, 19.213238186143016), (0.0, 0.0011401524586618361), (0.0, 0.001237755635509985)),
    ("Y", 3): ((176.39317598450694, 24.43300999870476), (0.0, 0.28520802612117757), (0.0, 0.0004485436923833408)),
    ("Y", 4): ((0.0, 34.77906344483772), (0.0, 44.835625328877896), (0.0, 0.0)),
    ("B", 3): ((0.0020827005846636437, 8.826982764996862), (0.0, 23.19243343998926), (0.0, 0.0)),
    ("B", 4): ((95.1080498811086, 0.0012286405048278493), (0.9863978034400682, 171.2667255897307), (0.9834382792465353, 0.9807858872435379)),
}
SCALES = 1 + max(scale for _, scale in WEIGHTS)


class _Reference(NamedTuple):
    """Planes of the source at one scale.

    Args:
        values: `[P, H, W]`.
        statistics: `[P, 3, H, W]` of their blur, their variance, and 1 + the distance of both; where nothing is compiled `[3, P, H, W]`.
        weights: of each; where nothing is compiled `[2, 3, P, 1, 1]` of the means and the fourth norms.
    """

    values: Tensor
    statistics: Tensor
    weights: Sequence[Weights] | Tensor


class Ssimulacra2:
    """The measure against one source.

    Args:
        source: `[3, H, W]` sRGB in [0, 1], sides of at least SMALLEST.
        mirrored: how blurs go on beyond the edges, see blur.
    """

    def __init__(self, source: Tensor, *, mirrored: tuple[bool, bool] = MIRRORED) -> None:
        self._mirrored = mirrored
        with torch.no_grad():
            self.reference = [self._measured(scale, values) for scale, values in enumerate(_scales(source))]

    def _measured(self, scale: int, values: Tensor) -> _Reference:
        weights = [WEIGHTS[name, scale] for name in LIFTS if (name, scale) in WEIGHTS]
        mean, square = blur(torch.stack([values, values * values]), self._mirrored)
        statistics = [mean, square - mean * mean, 1 + (values - mean).abs()]
        if suits((values,)):
            return _Reference(values, torch.stack(statistics, 1), weights)
        table = constant(tuple(weights), values).permute(2, 1, 0)[..., None, None]
        return _Reference(values, torch.stack(statistics), table)

    def __call__(self, picture: Tensor, held: Iterator[Tensor] | None = None) -> Tensor:
        """100 where equal, 90 not to be told apart, 70 high, 50 medium quality, a scalar differentiable by `picture` `[3, H, W]`.

        `held` gives the first two tensors of each `reference` of another source, where nothing is compiled.
        """
        total = picture.new_zeros(())
        for values, reference in zip(_scales(picture), self.reference, strict=True):
            if suits((values,)):
                for plane, *own in zip(values, *reference, strict=True):
                    total = total + _Distance.apply(plane, *own, self._mirrored)  # type: ignore[no-untyped-call]
            else:
                known = reference if held is None else (next(held), next(held), reference.weights)
                total = total + Differences.apply(values, *known, C2, self._mirrored)  # type: ignore[no-untyped-call]
        total = total * 0.9562382616834844
        total = 2.326765642916932 * total - 0.020884521182843837 * total**2 + 6.248496625763138e-05 * total**3
        return 100 - 10 * total.clamp(min=1e-6) ** 0.6276336467831387


class _Distance(torch.autograd.Function):
    """Of one plane on a CPU the weighed norms of all three maps: its gradient is a factor times one plane, which is made along with it."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, source: Tensor, statistics: Tensor, weights: Weights, mirrored: tuple[bool, bool]) -> Tensor:
        plane, own = values.detach().contiguous(), source.numpy()
        moments = torch.empty(3, *plane.shape)
        kernel.moments(plane.numpy(), own, moments.numpy())
        blurred = blur(moments, mirrored).numpy()
        sums = kernel.differences(plane.numpy(), blurred, statistics.numpy(), C2)
        fourths = [(total + TINY) ** 0.25 for total in sums[1::2]]
        found = sum(weight[0] * mean + weight[1] * fourth for weight, mean, fourth in zip(weights, sums[::2], fourths, strict=True))
        if ctx.needs_input_grad[0]:
            factors = [[weight[0] / plane.numel(), weight[1] / plane.numel() / fourth**3] for weight, fourth in zip(weights, fourths, strict=True)]
            direct = torch.empty_like(plane)
            kernel.slopes(plane.numpy(), blurred, statistics.numpy(), C2, factors, moments.numpy(), direct.numpy())
            kernel.gathered(blur(moments, mirrored).numpy(), direct.numpy(), plane.numpy(), own)
            ctx.save_for_backward(direct)
        return torch.tensor(found)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return grads[0] * ctx.saved_tensors[0], None, None, None, None


def _scales(picture: Tensor) -> list[Tensor]:
    """The planes that WEIGHTS names, `[P, H, W]` by scale, as far as there are scales; where nothing is compiled all are made in one pass."""
    linear: Tensor = _Linear.apply(picture)  # type: ignore[no-untyped-call]
    lights = [linear]
    while len(lights) < SCALES and min(side + 1 >> 1 for side in lights[-1].shape[1:]) >= SMALLEST:
        lights.append(halved(lights[-1]))
    counts = [sum((name, scale) in WEIGHTS for name in LIFTS) for scale in range(len(lights))]
    if suits((linear,)):
        return [_opponents(light, count) for light, count in zip(lights, counts, strict=True)]
    flat = torch.split(_opponents(torch.cat([light.flatten(1) for light in lights], 1), len(LIFTS)), [light[0].numel() for light in lights], 1)
    return [planes[:count].view(count, *light.shape[1:]) for planes, count, light in zip(flat, counts, lights, strict=True)]


def _opponents(linear: Tensor, count: int) -> Tensor:
    """The first so many planes of LIFTS `[P, ...]` of linear light `[3, ...]`; `[3, N]` where nothing is compiled."""
    if suits((linear,)):
        flat = _Opponents.apply(linear.flatten(1), count > 2).view(-1, *linear.shape[1:])  # type: ignore[no-untyped-call]
    else:
        response = (constant(OPSIN, linear) @ linear + OPSIN_BIAS) ** (1 / 3)
        brightness = 0.5 * (response[0] + response[1])
        flat = torch.stack([brightness - OPSIN_BIAS ** (1 / 3), 7 * (response[0] - response[1]), response[2] - brightness])
    flat = flat[:count]
    found: Tensor = flat + constant(tuple(LIFTS.values())[:count], flat).view(-1, *(1,) * (flat.ndim - 1))
    return found


class _Opponents(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, light: Tensor, third: bool) -> Tensor:
        planes, roots = kernel.opponents(light.detach().contiguous().numpy(), np.array(OPSIN, np.float32), OPSIN_BIAS, third)
        ctx.third, ctx.roots = third, roots
        return torch.from_numpy(planes[: 2 + third])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return torch.from_numpy(kernel.opponents_adjoint(grads[0].contiguous().numpy(), ctx.roots, np.array(OPSIN, np.float32), ctx.third)), None


class _Linear(torch.autograd.Function):
    """sRGB, cut to [0, 1], to linear light; one power for value and slope."""

    @staticmethod
    def forward(ctx: Any, picture: Tensor) -> Tensor:
        if suits((picture,)):
            light, slope = (torch.from_numpy(values) for values in kernel.linear_light(picture.detach().contiguous().numpy()))
        else:
            inside = picture.clamp(0, 1)
            base = (inside + 0.055) / 1.055
            power = base**1.4
            dark = picture <= 0.04045
            light = torch.where(dark, inside / 12.92, base * power)
            slope = (2.4 / 1.055 * power).masked_fill_(dark, 1 / 12.92).mul_(inside == picture)
        ctx.save_for_backward(slope)
        return light

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return gradient * ctx.saved_tensors[0]
