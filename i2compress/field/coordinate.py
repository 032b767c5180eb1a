"""The networks of coordinate fields in torch; `field.coordinate_spec` has the equations.

A network offers `inject(x)`, once for each x, `step(z, u)`, a pure function of z and of what `inject` returned, and
`readout(z)`. Nothing is kept between calls. The step of an explicit network does not look at z, so its "fixed point" is
reached in one application and every solver and gradient is right for it as it stands.
"""

import math
from abc import abstractmethod
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from .coordinate_spec import CoordinateSpec
from .implicit import Injection


def initial(spec: CoordinateSpec, *, generator: torch.Generator) -> dict[str, Tensor]:
    """The tensors to start a fit from, float32, as (Implicit)^2 and, for the explicit siren, SIREN draw them.

    B ~ U(+-s / sqrt(d (n + 1))), times sqrt(gamma) for gabor; c ~ U(+-pi); A, a, W, b ~ U(+-1 / sqrt(C)); mu ~ U(+-1);
    gamma ~ Gamma(alpha / (n + 1), 1). The explicit siren: B ~ U(+-1 / d), A, W ~ U(+-sqrt(6 / C) / omega), c, b ~ U(+-1 / sqrt(inputs)).
    """
    siren = spec.explicit and spec.kind == "siren"
    root = spec.width**-0.5
    hidden = math.sqrt(6 / spec.width) / spec.omega if siren else root
    first = 1 / spec.axes if siren else spec.input_scale / math.sqrt(spec.axes * (spec.layers + 1))
    bounds = {"B": first, "c": root if siren else math.pi, "A": hidden, "a": root, "mu": 1.0, "W": hidden, "b": root}
    tensors: dict[str, Tensor] = {}
    for name, shape in spec.weight_shapes.items():
        if name == "gamma":
            # Torch draws no gamma variates from a given generator.
            seed = int(torch.randint(2**31 - 1, (), generator=generator))
            tensors[name] = torch.from_numpy(np.random.default_rng(seed).gamma(spec.gabor_alpha / (spec.layers + 1), size=shape)).float()
        else:
            tensors[name] = (2 * torch.rand(shape, generator=generator) - 1) * bounds[name]
    if siren:
        tensors["c"][0] *= math.sqrt(spec.width / spec.axes)  # the first layer has d inputs, not C
    if spec.kind == "gabor":
        tensors["B"] *= tensors["gamma"].sqrt()[..., None]
    return tensors


class CoordinateNetwork(nn.Module):
    """The tensors of a coordinate field as parameters, and what they compute.

    Args:
        spec: sizes.
        values: tensors by name, shaped as spec.weight_shapes.
    """

    def __init__(self, spec: CoordinateSpec, values: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.spec = spec
        self.tensors = nn.ParameterDict({name: nn.Parameter(values[name].reshape(shape).clone()) for name, shape in spec.weight_shapes.items()})

    @abstractmethod
    def inject(self, x: Tensor) -> Injection:
        """u: all that `step` needs to know of x `[N, d]` and of the parameters. Per point first, each `[N, C]`."""

    @abstractmethod
    def step(self, z: Tensor, u: Injection) -> Tensor:
        """F(z; u), `[N, C]`, of z `[N, C]`."""

    def readout(self, z: Tensor) -> Tensor:
        """Phi `[N, D]` of z `[N, C]`."""
        out = nn.functional.linear(z, self.tensors["W"], self.tensors["b"])
        return torch.sin(out) if self.spec.sine_output else out

    def matrices(self) -> Tensor:
        """A `[n, C, C]`, each spectrally normalised to at most rho where the spec says so.

        A_l rho / max(rho, |A_l|_2), with |A|_2 = |A v| for the leading right singular vector v; its gradient in A is then
        the exact one, u v^T. Exact vectors, not power iteration: the bound must hold for the very weights that are used.
        """
        matrices: Tensor = self.tensors["A"]
        if not self.spec.normalised:
            return matrices
        with torch.no_grad():
            squares = matrices.mT @ matrices
            squares = squares.cpu() if squares.device.type == "mps" else squares  # which has no eigh
            leading = torch.linalg.eigh(squares).eigenvectors[..., -1:].to(matrices.device)
        norms = torch.linalg.vector_norm(matrices @ leading, dim=(1, 2), keepdim=True)
        normalised: Tensor = matrices * (self.spec.rho / norms.clamp(min=self.spec.rho))
        return normalised

    def lipschitz(self) -> float:
        """prod |A_l|_2, a bound of the Lipschitz constant of F: sines and filters are within [-1, 1]. Below 1 F contracts."""
        return float(torch.linalg.matrix_norm(self.matrices().detach().cpu().double(), 2).prod())

    def phases(self, x: Tensor) -> Tensor:
        """B_l x + c_l for every filter, `[n + 1, N, C]`, of x `[N, d]`."""
        phases: Tensor = x @ self.tensors["B"].mT + self.tensors["c"][:, None]
        return phases


class Siren(CoordinateNetwork):
    """F_l(z) = sin(A_l z + p_l) behind z + sin(p_0)."""

    def inject(self, x: Tensor) -> Injection:
        """sin(p_0), p_1, ..., p_n, A_1, ..., A_n."""
        first, *rest = self.phases(x)
        return torch.sin(first), *rest, *self.matrices()

    def step(self, z: Tensor, u: Injection) -> Tensor:
        """See CoordinateNetwork.step."""
        layers = self.spec.layers
        z = z + u[0]
        for phase, matrix in zip(u[1 : layers + 1], u[layers + 1 :], strict=True):
            z = torch.sin(z @ matrix.mT + phase)
        return z


class ExplicitSiren(CoordinateNetwork):
    """z_0 = sin(s (B_0 x + c_0)), z_l = sin(omega (A_l z_{l-1} + c_l))."""

    def inject(self, x: Tensor) -> Injection:
        """z_0, A_1, ..., A_n, c_1, ..., c_n."""
        phase = x @ self.tensors["B"][0].mT + self.tensors["c"][0]
        return torch.sin(self.spec.input_scale * phase), *self.matrices(), *self.tensors["c"][1:]

    def step(self, z: Tensor, u: Injection) -> Tensor:
        """The whole stack; z is not looked at."""
        layers = self.spec.layers
        z = u[0]
        for matrix, bias in zip(u[1 : layers + 1], u[layers + 1 :], strict=True):
            z = torch.sin(self.spec.omega * (z @ matrix.mT + bias))
        return z

    def readout(self, z: Tensor) -> Tensor:
        """As in the other networks, but a sine has the hidden layers' frequency."""
        out = nn.functional.linear(z, self.tensors["W"], self.tensors["b"])
        return torch.sin(self.spec.omega * out) if self.spec.sine_output else out


class Fourier(CoordinateNetwork):
    """F_l(z) = (A_l z + a_l) * g_l behind z + g_0, with g_l = sin(p_l)."""

    def filters(self, x: Tensor) -> Tensor:
        """g_l, `[n + 1, N, C]` in [-1, 1]."""
        return torch.sin(self.phases(x))

    def inject(self, x: Tensor) -> Injection:
        """g_0, ..., g_n, A_1, ..., A_n, a_1, ..., a_n."""
        return *self.filters(x), *self.matrices(), *self.tensors["a"]

    def step(self, z: Tensor, u: Injection) -> Tensor:
        """See CoordinateNetwork.step."""
        layers = self.spec.layers
        z = z + u[0]
        for gate, matrix, bias in zip(u[1 : layers + 1], u[layers + 1 : 2 * layers + 1], u[2 * layers + 1 :], strict=True):
            z = (z @ matrix.mT + bias) * gate
        return z


class Gabor(Fourier):
    """As Fourier, with filters that have a place: sin(p_l) exp(-max(gamma_l, 0) |x - mu_l|^2 / 2)."""

    def filters(self, x: Tensor) -> Tensor:
        """g_l, `[n + 1, N, C]` in [-1, 1]: a width that turned negative counts as none, or filters could amplify."""
        # Axis by axis: |x|^2 - 2 x mu + |mu|^2 would cancel, and [n + 1, N, C, d] would be d times the memory.
        mu = self.tensors["mu"]
        squared = sum(((x[:, axis, None] - mu[:, None, :, axis]).square() for axis in range(self.spec.axes)), torch.zeros((), device=x.device))
        return super().filters(x) * torch.exp(-0.5 * torch.relu(self.tensors["gamma"])[:, None] * squared)


class ExplicitFourier(Fourier):
    """F once, of z = 0: a multiplicative filter network."""

    def step(self, z: Tensor, u: Injection) -> Tensor:
        """The whole stack; z is not looked at."""
        return super().step(torch.zeros_like(z), u)


class ExplicitGabor(Gabor):
    """F once, of z = 0: a multiplicative filter network."""

    def step(self, z: Tensor, u: Injection) -> Tensor:
        """The whole stack; z is not looked at."""
        return super().step(torch.zeros_like(z), u)


# kind -> the implicit network and its explicit twin
NETWORKS: dict[str, tuple[type[CoordinateNetwork], type[CoordinateNetwork]]] = {
    "siren": (Siren, ExplicitSiren),
    "fourier": (Fourier, ExplicitFourier),
    "gabor": (Gabor, ExplicitGabor),
}


def build(spec: CoordinateSpec, values: Mapping[str, Tensor]) -> CoordinateNetwork:
    """The network of a spec with its tensors set, float32 or as the values are."""
    return NETWORKS[spec.kind][spec.explicit](spec, values)
