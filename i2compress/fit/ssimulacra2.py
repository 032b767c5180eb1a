"""SSIMULACRA 2 of a picture against its source, differentiable: Sneyers, https://github.com/cloudinary/ssimulacra2.

Both become planes of brightness (Y) and of opponent colours (X, B) at several scales. There, three maps are compared: structural
similarity, edges that were not there (artefacts), and edges that are lost. Of each, two norms count, the mean and the fourth.
Most of the 108 weights are next to nothing, and what they alone need is not computed.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..field.layer_kernel import suits
from . import measures_kernel as kernel
from .blur import blur
from .pairs import halved

C2 = 0.0009
SMALLEST = 8  # samples a side of a scale
TINY = 1e-28  # keeps the slope of the fourth norm finite where two pictures are equal
MIRRORED = (True, True)
PADDED = (True, False)  # zeros at the left and the right, as in the package ssimulacra2: columns there are hardly seen

OPSIN = torch.tensor(
    [[0.30, 0.622, 0.078], [0.23, 0.692, 0.078], [0.24342268924547819, 0.20476744424496821, 0.5518098665095536]], dtype=torch.float32
)
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
    """A plane of the source: its values `[H, W]`, and `[3, H, W]` of their blur, their variance, and 1 + the distance of both."""

    values: Tensor
    statistics: Tensor


class Ssimulacra2:
    """The measure against one source.

    Args:
        source: `[3, H, W]` sRGB in [0, 1], sides of at least SMALLEST.
        mirrored: how blurs go on beyond the edges, see blur.
    """

    def __init__(self, source: Tensor, *, mirrored: tuple[bool, bool] = MIRRORED) -> None:
        self._mirrored = mirrored
        with torch.no_grad():
            self._reference = {at: self._measured(values) for at, values in _planes(source).items()}

    def _measured(self, values: Tensor) -> _Reference:
        mean, square = blur(torch.stack([values, values * values]), self._mirrored)
        return _Reference(values, torch.stack([mean, square - mean * mean, 1 + (values - mean).abs()]))

    def __call__(self, picture: Tensor) -> Tensor:
        """100 where equal, 90 not to be told apart, 70 high, 50 medium quality, a scalar differentiable by `picture` `[3, H, W]`."""
        total = picture.new_zeros(())
        for at, values in _planes(picture).items():
            distance = _Distance.apply if suits((values,)) else _distance
            total = total + distance(values, *self._reference[at], WEIGHTS[at], self._mirrored)
        total = total * 0.9562382616834844
        total = 2.326765642916932 * total - 0.020884521182843837 * total**2 + 6.248496625763138e-05 * total**3
        return 100 - 10 * total.clamp(min=1e-6) ** 0.6276336467831387


def _distance(values: Tensor, source: Tensor, statistics: Tensor, weights: Weights, mirrored: tuple[bool, bool]) -> Tensor:
    """Of one plane: the weighed norms of all three maps."""
    own, variance, edges = statistics
    mean, square, product = blur(torch.stack([values, values * values, values * source]), mirrored)
    structure = (2 * (product - mean * own) + C2) / (square - mean * mean + variance + C2)
    ratio = (1 + (values - mean).abs()) / edges - 1
    maps = (1 - (1 - (mean - own).square()) * structure, ratio, -ratio)
    found = values.new_zeros(())
    for values_, weight in zip(maps, weights, strict=True):
        if any(weight):
            found = found + _norms(values_, weight)
    return found


def _norms(values: Tensor, weights: tuple[float, float]) -> Tensor:
    """The mean and the fourth norm of what is positive, weighed."""
    positive = values.clamp(min=0)
    mean = weights[0] * positive.mean() if weights[0] else 0
    fourth = weights[1] * (positive.square().square().mean() + TINY) ** 0.25 if weights[1] else 0
    return torch.as_tensor(mean + fourth)


class _Distance(torch.autograd.Function):
    """The same on a CPU: its gradient is a factor times one plane, which is made along with it."""

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


def _planes(picture: Tensor) -> dict[tuple[str, int], Tensor]:
    """The planes that WEIGHTS names, as far as there are scales."""
    linear: Tensor = _Linear.apply(picture)  # type: ignore[no-untyped-call]
    found = {}
    for scale in range(SCALES):
        if scale:
            linear = halved(linear)
        if min(linear.shape[1:]) < SMALLEST:
            break
        wanted = [name for name, number in WEIGHTS if number == scale]
        for name, values in _opponents(linear, wanted).items():
            found[name, scale] = values
    return found


def _opponents(linear: Tensor, wanted: list[str]) -> dict[str, Tensor]:
    """The planes of these names, of linear light `[3, H, W]`."""
    if suits((linear,)):
        flat = _Opponents.apply(linear.flatten(1), "B" in wanted).view(-1, *linear.shape[1:])  # type: ignore[no-untyped-call]
    else:
        response = ((OPSIN.to(linear) @ linear.flatten(1)).view(linear.shape) + OPSIN_BIAS) ** (1 / 3)
        brightness = 0.5 * (response[0] + response[1])
        flat = torch.stack([brightness - OPSIN_BIAS ** (1 / 3), 7 * (response[0] - response[1]), response[2] - brightness])
    return {name: flat[number] + lift for number, (name, lift) in enumerate(LIFTS.items()) if name in wanted}


class _Opponents(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, light: Tensor, third: bool) -> Tensor:
        planes, roots = kernel.opponents(light.detach().contiguous().numpy(), OPSIN.numpy(), OPSIN_BIAS, third)
        ctx.third, ctx.roots = third, roots
        return torch.from_numpy(planes[: 2 + third])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return torch.from_numpy(kernel.opponents_adjoint(grads[0].contiguous().numpy(), ctx.roots, OPSIN.numpy(), ctx.third)), None


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
            light, slope = torch.where(dark, inside / 12.92, base * power), torch.where(dark, 1 / 12.92, 2.4 / 1.055 * power) * (inside == picture)
        ctx.save_for_backward(slope)
        return light

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return gradient * ctx.saved_tensors[0]
