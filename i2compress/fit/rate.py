"""The rate model in floats, for training: the same network as coding.context, in torch, and the relaxed quantiser."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..coding.context import FEATURES, INPUT_LIMIT, LOG2_SCALE_SHIFT, POSITIONS, positions
from ..coding.laplace import SCALE_LOW_LOG2
from ..coding.wavefront import causal_offsets
from ..field.spec import PyramidSpec
from .windows import Part, Window, cut

_SCALE_HIGH_LOG2 = 7.8  # the table's last scale is 2**7.87
_LEAST_PROBABILITY = 2.0**-24  # one unit of the coder's table, which no symbol goes without
_TABLE_BITS = 0.0004  # what the 24-bit table costs a symbol


class ContextModel(nn.Module):
    """Mean and log2 scale of every latent from its causal neighbours and the coarser grids; see coding.context."""

    def __init__(self, spec: PyramidSpec, values: Mapping[str, npt.NDArray[np.floating]]) -> None:
        super().__init__()
        self.spec = spec
        self.offsets = causal_offsets(spec.axes, spec.neighbours)
        names = [name for name in spec.weight_shapes if spec.is_context(name)]
        self._known_places: dict[tuple[int, tuple[int, ...]], Tensor] = {}
        self.tensors = nn.ParameterDict({name: nn.Parameter(torch.tensor(values[name], dtype=torch.float32)) for name in names})

    def forward(self, latents: Sequence[Tensor], window: Window | None = None) -> Tensor:
        """Bits of all latents, `[N]`, coarsest level last; of the window's core only, where given.

        Args:
            latents: `[1, 1, *grid_l]`, finest first; those of the window.
            window: None for the whole picture.
        """
        inputs, targets = [], []
        for level in range(len(latents)):
            core = (slice(None),) * self.spec.axes if window is None else window.inner[level]
            neighbours = self._neighbours(latents[level], core)
            inputs.append(torch.cat([neighbours, self._features(latents, level, window, neighbours), *self._places(latents[level], level, core)]))
            targets.append(cut(latents[level], core).reshape(-1))
        mean, log2_scale = self.predict(torch.cat(inputs, 1))
        return laplace_bits(torch.cat(targets) - mean, log2_scale)

    def predict(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log2 of the scale, `[N]` each, of inputs `[n + F, N]`."""
        t = self.tensors
        h1 = torch.relu(torch.addmm(t["b1"][:, None], t["w1"], x))
        h2 = h1 + torch.relu(torch.addmm(t["b2"][:, None], t["w2"], h1))
        out = torch.addmm(t["b3"][:, None], t["w3"], h2) + t["ws"] @ x
        return out[0], (out[1] + LOG2_SCALE_SHIFT).clamp(SCALE_LOW_LOG2, _SCALE_HIGH_LOG2)

    def _neighbours(self, latents: Tensor, core: tuple[slice, ...]) -> Tensor:
        """`[n, N]`: the causal neighbours of each latent of the core, zero outside the grid."""
        shape = latents.shape[2:]
        reach = [max(max(-o[a], o[a]) for o in self.offsets) for a in range(len(shape))]
        values = torch.log2(1 + latents.abs()) if self.spec.magnitudes else latents.clamp(-INPUT_LIMIT, INPUT_LIMIT)
        padded = F.pad(values, [side for r in reversed(reach) for side in (r, r)])[0, 0]
        starts = [part.indices(size) for part, size in zip(core, shape, strict=True)]
        shifted = [
            padded[tuple(slice(r + s[0] + o, r + s[1] + o) for r, s, o in zip(reach, starts, offset, strict=True))].reshape(-1)
            for offset in self.offsets
        ]
        return torch.stack(shifted)

    def _places(self, latents: Tensor, level: int, core: tuple[slice, ...]) -> list[Tensor]:
        """`[3, N]` where the context model reads places; these of a window are those inside it, so such signals have one window."""
        if not self.spec.magnitudes:
            return []
        shape = tuple(latents.shape[2:])
        if (level, shape) not in self._known_places:
            places = torch.from_numpy(positions(np.arange(latents.numel()), shape, level) / 256).to(latents)
            self._known_places[level, shape] = places.reshape(POSITIONS, *shape)
        return [cut(self._known_places[level, shape], core).reshape(POSITIONS, -1)]

    def _features(self, latents: Sequence[Tensor], level: int, window: Window | None, like: Tensor) -> Tensor:
        """`[F, N]`: M_g times the grids after it at the same place."""
        if level >= self.spec.maps:
            return like.new_zeros(FEATURES, like.shape[1])
        matrix, levels = self.tensors[f"m{level}"], self.spec.grid_levels
        axes = self.spec.axes

        def places(at: int, core: bool = False) -> Part:
            if window is None:
                return tuple(slice(0, size) for size in latents[at].shape[2:])
            return window.core[at] if core else window.whole[at]

        total: Tensor | None = None
        for column in reversed(range(matrix.shape[1])):
            above = level + 1 + column
            grid = latents[above][0].clamp(-INPUT_LIMIT, INPUT_LIMIT)
            part = matrix[:, column].reshape(-1, *(1,) * axes) * grid
            total = part if total is None else _nearest(total, places(above + 1), places(above), levels[above + 1] - levels[above]) + part
        assert total is not None
        return _nearest(total, places(level + 1), places(level, core=True), levels[level + 1] - levels[level]).reshape(FEATURES, -1)


def _nearest(values: Tensor, coarse: Part, fine: Part, doublings: int) -> Tensor:
    """Values of the part `coarse` of a grid at the part `fine` of another: nearest upsampling by two (or none) of the axes after the first."""
    for axis, (above, here) in enumerate(zip(coarse, fine, strict=True), 1):
        if doublings:
            values = values.repeat_interleave(2, axis)
        values = values.narrow(axis, here.start - (above.start << doublings), here.stop - here.start)
    return values


def laplace_bits(residual: Tensor, log2_scale: Tensor) -> Tensor:
    """Bits of the unit interval around `residual` under a Laplace distribution of mean 0 and scale 2**log2_scale."""
    inverse = torch.exp2(-log2_scale)
    distance = residual.abs()
    near, far = (distance - 0.5) * inverse, (distance + 0.5) * inverse
    # Both tails on one side: exp(-near) - exp(-far) loses nothing; around the centre the two halves are added.
    tail = 0.5 * torch.exp(-near.clamp_min(0)) * -torch.expm1(-inverse)
    centre = 1 - 0.5 * (torch.exp(near.clamp_max(0)) + torch.exp(-far))
    return -torch.log2(torch.where(near > 0, tail, centre) + _LEAST_PROBABILITY) + _TABLE_BITS


def soft_round(x: Tensor, temperature: float) -> Tensor:
    """Differentiable rounding: the identity for large temperatures, rounding for small (Agustsson and Theis 2020, eq. 14)."""
    low = torch.floor(x)
    return low + 0.5 + torch.tanh((x - low - 0.5) / temperature) * (0.5 / math.tanh(0.5 / temperature))


def relaxed(y: Tensor, temperature: float, noise: float, generator: torch.Generator) -> Tensor:
    """A latent as the fit sees it: soft rounding, Gaussian noise of standard deviation `noise`, soft rounding."""
    eps = torch.randn(y.shape, generator=generator, device=y.device) * noise
    return soft_round(soft_round(y, temperature) + eps, temperature)
