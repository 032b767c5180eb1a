"""What defines a coordinate field: its sizes and its tensors. No torch: what a file must say.

With d axes, x in [-1, 1]^d, C channels of the implicit layer, n layers inside F and D output channels:

    Phi(x) = W z*(x) + b                    readout, or its sine
    z*(x)  = F_n(...F_1(z*(x) + g_0(x)))    the implicit layer
    p_l(x) = B_l x + c_l                    l = 0..n, the injection

    siren     g_0 = sin(p_0)    F_l(z) = sin(A_l z + p_l)
    fourier   g_l = sin(p_l)    F_l(z) = (A_l z + a_l) * g_l
    gabor     g_l = sin(p_l) exp(-max(gamma_l, 0) |x - mu_l|^2 / 2)    F_l as fourier

The explicit twins are stacks: fourier and gabor apply F once, to z = 0 (a multiplicative filter network, Fathony et al.
2021); siren is z_0 = sin(s (B_0 x + c_0)), z_l = sin(omega (A_l z_{l-1} + c_l)) with the input scale s (Sitzmann et al. 2020).
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

from ..errors import LimitError, UsageError

Shapes: TypeAlias = dict[str, tuple[int, ...]]

KINDS = ("siren", "fourier", "gabor")
MAX_WIDTH = 4096
MAX_LAYERS = 16
MAX_CHANNELS = 8


@dataclass(frozen=True, kw_only=True)
class CoordinateSpec:
    """Sizes and constants of a coordinate field.

    Args:
        kind: one of KINDS.
        axes: d, 1..3.
        channels: D, 1..8.
        explicit: the explicit twin.
        width: C, 1..4096.
        layers: n, 1..16.
        input_scale: s > 0, about the highest frequency of the first draw of B; divided by sqrt(n + 1) where n + 1 filters are multiplied.
        gabor_alpha: shape > 0 of the gamma distribution, divided by n + 1, that the gammas are drawn from.
        omega: frequency > 0 of the hidden layers of the explicit siren.
        sine_output: the readout ends in a sine.
        normalise: spectral normalisation, |A_l|_2 <= rho, so that F contracts by rho^n; None for implicit networks only.
        rho: in (0, 1).

    Raises:
        UsageError: an unknown kind.
        LimitError: a number out of range.
    """

    kind: str
    axes: int
    channels: int
    explicit: bool = False
    width: int = 256
    layers: int = 1
    input_scale: float = 256.0
    gabor_alpha: float = 3.0
    omega: float = 30.0
    sine_output: bool = False
    normalise: bool | None = None
    rho: float = 0.97

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"field is {self.kind!r}; expected one of {', '.join(KINDS)}")
        for name, high in (("axes", 3), ("channels", MAX_CHANNELS), ("width", MAX_WIDTH), ("layers", MAX_LAYERS)):
            value = getattr(self, name)
            if not 1 <= value <= high:
                raise LimitError(f"coordinate field has {name} {value}; expected 1 to {high}")
        for name, limit in (("input_scale", math.inf), ("gabor_alpha", math.inf), ("omega", math.inf), ("rho", 1.0)):
            value = getattr(self, name)
            if not 0 < value < limit:
                raise LimitError(f"coordinate field has {name} {value}; expected more than 0 and less than {limit}")

    @property
    def normalised(self) -> bool:
        """Whether the matrices are spectrally normalised."""
        return not self.explicit if self.normalise is None else self.normalise

    @cached_property
    def weight_shapes(self) -> Shapes:
        """Shape of each tensor; those of all layers are stacked along the first axis."""
        width, hidden = self.width, self.layers
        filters = hidden + 1
        first = 1 if self.explicit and self.kind == "siren" else filters
        shapes: Shapes = {"B": (first, width, self.axes), "c": (filters, width), "A": (hidden, width, width)}
        if self.kind != "siren":
            shapes["a"] = (hidden, width)
        if self.kind == "gabor":
            shapes |= {"mu": (filters, width, self.axes), "gamma": (filters, width)}
        return shapes | {"W": (self.channels, width), "b": (self.channels,)}

    @property
    def parameters(self) -> int:
        """How many numbers the tensors hold."""
        return sum(math.prod(shape) for shape in self.weight_shapes.values())


@dataclass(frozen=True, kw_only=True)
class Twin:
    """An explicit network beside an implicit one.

    Args:
        spec: the explicit network's.
        difference: its parameters less those of the implicit one.
    """

    spec: CoordinateSpec
    difference: int


def explicit_twin(spec: CoordinateSpec, *, layers: int) -> Twin:
    """The explicit network of `layers` layers and the kind of `spec` whose parameter count is nearest to that of `spec`.

    Raises:
        LimitError: layers out of range.
    """
    narrow = replace(spec, explicit=True, layers=layers, width=1)
    best = Twin(spec=narrow, difference=narrow.parameters - spec.parameters)
    for width in range(2, MAX_WIDTH + 1):
        twin = replace(narrow, width=width)
        difference = twin.parameters - spec.parameters
        if abs(difference) < abs(best.difference):
            best = Twin(spec=twin, difference=difference)
        if difference >= 0:
            break
    return best
