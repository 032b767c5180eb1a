"""The rate model in floats, for training: the same network as coding.context_model, in torch, and the relaxed quantiser."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..arrays import FloatingArray, Shape
from ..coding.context_model import ACTIVATION_BITS, FEATURES, INPUT_LIMIT, NETWORK
from ..coding.wavefront import causal_offsets
from ..field.spec import PyramidSpec
from .network_bits import GridInputs, network_bits
from .windows import Part, Window, cut


class ContextModel(nn.Module):
    """Mean and log2 scale of every latent from its causal neighbours and the coarser grids; see coding.context_model."""

    def __init__(self, spec: PyramidSpec, values: Mapping[str, FloatingArray]) -> None:
        super().__init__()
        self.spec = spec
        self.offsets = causal_offsets(spec.axes, spec.neighbours)
        self._known_places: dict[tuple[int, Shape], Tensor] = {}
        self.tensors = nn.ParameterDict({name: nn.Parameter(torch.tensor(values[name], dtype=torch.float32)) for name in spec.context.tensors})

    def forward(self, latents: Sequence[Tensor], window: Window | None = None) -> Tensor:
        """Bits of all latents, a scalar; of those in the window's core only, where given.

        Args:
            latents: `[1, 1, *grid_l]`, finest first; those of the window.
            window: None for the whole signal.
        """
        grids = [self.grid(latents, number, window) for number in range(len(latents))]
        return network_bits(self.offsets, [self.tensors[name] for name in NETWORK], grids)

    def grid(self, latents: Sequence[Tensor], number: int, window: Window | None = None) -> GridInputs:
        """What the network reads of one grid of the latents; arguments as in `forward`."""
        values = latents[number]
        core = (slice(None),) * self.spec.axes if window is None else window.inner[number]
        target = cut(values, core)[0, 0]
        reach = [max(abs(o[axis]) for o in self.offsets) for axis in range(self.spec.axes)]
        return GridInputs(
            seen=F.pad(self.spec.context.reads.relaxed(values), [side for r in reversed(reach) for side in (r, r)])[0, 0],
            features=self._features(latents, number, window, target),
            places=self._places(values, number, core),
            target=target,
            begin=[part.start or 0 for part in core],
        )

    def _places(self, latents: Tensor, level: int, core: tuple[slice, ...]) -> Tensor | None:
        """`[P, *core]` where the context model reads places."""
        places = self.spec.context.reads.places
        if places is None:
            return None
        shape = tuple(latents.shape[2:])
        if (level, shape) not in self._known_places:
            found = torch.from_numpy(places(np.arange(latents.numel()), shape, level) / (1 << ACTIVATION_BITS))
            self._known_places[level, shape] = found.to(latents).reshape(-1, *shape)
        return cut(self._known_places[level, shape], core)

    def _features(self, latents: Sequence[Tensor], level: int, window: Window | None, like: Tensor) -> Tensor:
        """`[F, *core]`: M_g times the grids after it at the same place."""
        if level >= self.spec.context.maps:
            return like.new_zeros(FEATURES, *like.shape)
        matrix, shifts = self.tensors[f"m{level}"], self.spec.shifts
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
            total = part if total is None else _nearest(total, places(above + 1), places(above), _steps(shifts, above)) + part
        assert total is not None
        return _nearest(total, places(level + 1), places(level, core=True), _steps(shifts, level))


def _steps(shifts: Sequence[Shape], grid: int) -> Shape:
    """How often each axis halves from a grid to the one after it: once or not at all."""
    return tuple(after - before for before, after in zip(shifts[grid], shifts[grid + 1], strict=True))


def _nearest(values: Tensor, coarse: Part, fine: Part, doublings: Shape) -> Tensor:
    """Values of the part `coarse` of a grid at the part `fine` of another: nearest upsampling by two (or none) of each axis after the first."""
    for axis, (above, here, doubling) in enumerate(zip(coarse, fine, doublings, strict=True), 1):
        if doubling:
            values = values.repeat_interleave(2, axis)
        values = values.narrow(axis, here.start - (above.start << doubling), here.stop - here.start)
    return values


def soft_round(x: Tensor, temperature: float) -> Tensor:
    """Differentiable rounding: the identity for large temperatures, rounding for small (Agustsson and Theis 2020, eq. 14)."""
    low = torch.floor(x)
    return low + 0.5 + torch.tanh((x - low - 0.5) / temperature) * (0.5 / math.tanh(0.5 / temperature))


def relaxed(y: Tensor, temperature: float, noise: float, generator: torch.Generator) -> Tensor:
    """A latent as the fit sees it: soft rounding, Gaussian noise of standard deviation `noise`, soft rounding."""
    eps = torch.randn(y.shape, generator=generator, device=y.device) * noise
    return soft_round(soft_round(y, temperature) + eps, temperature)
