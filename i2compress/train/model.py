"""What is trained: the weights of field and context model at each knot, and the analysis network; and the loss of a batch of crops."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..coding.context_model import FEATURES, INPUT_LIMIT, NETWORK
from ..coding.wavefront import causal_offsets
from ..field.priors import KNOTS, StartFile, knot_weights, trained_spec, write_start
from ..field.pyramid import PyramidField
from ..field.spatial import contract
from ..field.spec import PRIOR_BITS, prior
from ..fit.analysis import Analysis
from ..fit.network_bits import GridInputs, Neighbours, network_bits
from ..fit.rate import relaxed

ITERATIONS = 4  # of the implicit layer, as in a fit
RHO = 0.8  # what A and K are scaled to contract with


class Model(nn.Module):
    """Field, context model and analysis network.

    A tensor of the first two at a step code is `base` plus what is interpolated between the knots, so that all rates train what
    they have in common.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.spec = trained_spec(KNOTS[0], (side, side))
        values = prior(0, self.spec)
        self.base = nn.ParameterDict({name: nn.Parameter(torch.tensor(value, dtype=torch.float32)) for name, value in values.items()})
        self.knots = nn.ParameterDict({name: nn.Parameter(torch.zeros(len(KNOTS), *value.shape)) for name, value in values.items()})
        self.analysis = Analysis()
        self._field = [PyramidField(self.spec, values, iterations=ITERATIONS)]  # in a list: its parameters are not the model's
        self._neighbours = Neighbours([(0, *offset) for offset in causal_offsets(2, self.spec.neighbours)])

    def weights(self, step_code: float) -> dict[str, Tensor]:
        """All tensors of field and context model by name, for a step code."""
        where = next(iter(self.base.values())).new_tensor(knot_weights(step_code))
        return {name: base + torch.tensordot(where, self.knots[name], 1) for name, base in self.base.items()}

    def relax(self, guess: Sequence[Tensor], temperature: float, noise: float, generator: torch.Generator) -> list[Tensor]:
        """The latents as a fit would see them half way."""
        return [relaxed(grid, temperature, noise, generator) for grid in guess]

    def terms(self, latents: Sequence[Tensor], pictures: Tensor, step_code: int) -> tuple[Tensor, Tensor]:
        """D and R of latents `[N, 1, *grid_g]`: the mean squared error and the bits a sample."""
        weights, field = self.weights(step_code), self._field[0]
        field.spec = replace(self.spec, grid=(pictures.shape[2], pictures.shape[3]), step_code=step_code)
        names = {f"tensors.{name}": weights[name] for name in field.tensors}
        output = torch.func.functional_call(field, names, (list(latents),))
        bits = network_bits(self._neighbours, [weights[name] for name in NETWORK], [self._inputs(latents, at, weights) for at in range(len(latents))])
        return (output - pictures).square().mean(), bits / (pictures.shape[0] * math.prod(pictures.shape[2:]))

    def _inputs(self, latents: Sequence[Tensor], number: int, weights: dict[str, Tensor]) -> GridInputs:
        """What the context model reads of one grid of all crops; the crops are an axis along which no neighbour lies."""
        values = latents[number][:, 0]
        reach = [max(abs(offset[axis]) for offset in self._neighbours.offsets) for axis in range(3)]
        seen = F.pad(values.clamp(-INPUT_LIMIT, INPUT_LIMIT), [side for r in reversed(reach) for side in (r, r)])
        return GridInputs(seen=seen, features=self._features(latents, number, weights), places=None, target=values, begin=[0, 0, 0])

    def _features(self, latents: Sequence[Tensor], number: int, weights: dict[str, Tensor]) -> Tensor:
        """`[F, N, *grid]`: M_g times the grids after it at the same place, as fit.rate has it for one signal."""
        here = latents[number][:, 0]
        if f"m{number}" not in weights:
            return here.new_zeros(FEATURES, *here.shape)
        matrix, levels = weights[f"m{number}"], self.spec.grid_levels
        total: Tensor | None = None
        for above in reversed(range(number + 1, len(latents))):
            part = matrix[:, above - number - 1].view(-1, 1, 1, 1) * latents[above][:, 0].clamp(-INPUT_LIMIT, INPUT_LIMIT)
            total = part if total is None else _doubled(total, levels[above + 1] - levels[above], part.shape) + part
        assert total is not None
        return _doubled(total, levels[number + 1] - levels[number], here.shape)

    @torch.no_grad()
    def contract(self) -> None:
        """Keep the layer a contraction at every knot, and so between them."""
        for knot in range(len(KNOTS)):
            matrix, taps = (self.base[name] + self.knots[name][knot] for name in ("A", "K"))
            before = matrix.clone(), taps.clone()
            contract([matrix, taps], RHO)
            for name, was, now in zip(("A", "K"), before, (matrix, taps), strict=True):
                self.knots[name][knot] += now - was


def _doubled(values: Tensor, doublings: int, shape: Sequence[int]) -> Tensor:
    """Nearest upsampling by two (or none) of the last two axes, cut to those of `shape`."""
    if doublings:
        values = values.repeat_interleave(2, -2).repeat_interleave(2, -1)
    return values[..., : shape[-2], : shape[-1]]


@torch.no_grad()
def export(model: Model, path: Path) -> None:
    """Write the model as a start; see field.priors."""
    tables = {name: ((base[None] + model.knots[name]) * float(1 << PRIOR_BITS)).round().cpu().numpy() for name, base in model.base.items()}
    write_start(path, tables, {name: tensor.cpu().numpy() for name, tensor in model.analysis.state_dict().items()})


@torch.no_grad()
def load_start(model: Model, start: StartFile) -> None:
    """Begin with the weights of a start, as far as its precision goes."""
    for name, table in start.tables.items():
        values = torch.from_numpy(table.astype(np.float32)) / float(1 << PRIOR_BITS)
        model.base[name].copy_(values.mean(0))
        model.knots[name].copy_(values - values.mean(0))
    if not start.guesses:
        return
    model.analysis.load_state_dict({name: torch.from_numpy(value.astype(np.float32)) for name, value in start.analysis().items()})
