"""The analysis network: from a picture and lambda to a first guess of all latent grids, in one pass.

A U-Net from half the resolution down to 1/32, as the non-overfitted Cool-chic has one in place of a fit (Blard et al.,
https://arxiv.org/abs/2403.11651), but conditioned on the rate weight: each block's channels are scaled and shifted by amounts
that are interpolated between KNOTS of the step code, which goes with the logarithm of lambda. It is for the encoder alone; a
decoder never needs it.
"""

import itertools
import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..arrays import Float32Array
from ..field.priors import CHANNELS, KNOTS, LEVELS, StartFile, knot_weights
from ..field.spec import PyramidSpec
from .problem import Start

WIDTHS = (32, 64, 96, 96, 96)  # at 1/2, 1/4, ... 1/32 of the resolution
STRIDE = 1 << len(WIDTHS)
PLANES = (1, 1, 3, 3, 3, 1)  # grids of each level, finest first
TILE, HALO = 1024, 128  # samples of a tile and around it; the coarsest features see further, but hardly
UNIT = 4.0  # latents that an output of 1 stands for


class Block(nn.Module):
    """Two convolutions beside the identity, between them a scale and a shift of each channel that depend on lambda."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.last = nn.Conv2d(width, width, 3, padding=1)
        self.condition = nn.Parameter(torch.zeros(len(KNOTS), 2 * width))
        nn.init.normal_(self.last.weight, std=0.2 / math.sqrt(9 * width))
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, where: Tensor) -> Tensor:
        """`[N, width, H, W]` of the same, for weights of the knots `[K]`."""
        scale, shift = (where @ self.condition).view(2, -1, 1, 1)
        hidden = torch.relu(self.first(x) * (1 + scale) + shift)
        result: Tensor = x + self.last(hidden)
        return result


class Analysis(nn.Module):
    """Six levels of latents, of PLANES grids each, from pictures of three channels."""

    def __init__(self) -> None:
        super().__init__()
        pairs = list(itertools.pairwise(WIDTHS))
        self.stem = nn.Conv2d(4 * CHANNELS, WIDTHS[0], 3, padding=1)
        self.down = nn.ModuleList(nn.Conv2d(wide, narrow, 2, stride=2) for wide, narrow in pairs)
        self.analyse = nn.ModuleList(Block(width) for width in WIDTHS)
        self.up = nn.ModuleList(nn.Conv2d(narrow, wide, 1) for wide, narrow in pairs)
        self.refine = nn.ModuleList(Block(width) for width in WIDTHS[:-1])
        outputs = (4 * PLANES[0] + PLANES[1], *PLANES[2:])
        self.heads = nn.ModuleList(_head(width, count) for width, count in zip(WIDTHS, outputs, strict=True))

    def forward(self, pictures: Tensor, step_code: float) -> list[Tensor]:
        """Latents `[N, 1, H / 2**l, W / 2**l]`, not rounded, finest first, of `[N, 3, H, W]` in [0, 1]; sides are multiples of STRIDE."""
        where = pictures.new_tensor(knot_weights(step_code))
        x = self.stem(F.pixel_unshuffle((pictures - 0.5) * 4, 2).contiguous(memory_format=torch.channels_last))
        seen = []
        for level, block in enumerate(self.analyse):
            x = block(x if level == 0 else self.down[level - 1](x), where)
            seen.append(x)
        found: list[Tensor] = [self.heads[-1](x)]
        for level in reversed(range(len(WIDTHS) - 1)):
            raised = F.interpolate(self.up[level](x), scale_factor=2, mode="nearest")
            x = self.refine[level](seen[level] + raised, where)
            found.append(self.heads[level](x))
        finest = found.pop()
        found += [finest[:, 4:], F.pixel_shuffle(finest[:, :4], 2)]
        return [grid[:, None].float() * UNIT for level in reversed(found) for grid in level.unbind(1)]


def _head(width: int, count: int) -> nn.Conv2d:
    """Latents from features, near zero at first, where they cost little."""
    head = nn.Conv2d(width, count, 1)
    nn.init.normal_(head.weight, std=0.05 / math.sqrt(width))
    nn.init.zeros_(head.bias)  # type: ignore[arg-type]
    return head


def analyse(network: Analysis, pictures: Tensor, step_code: float) -> list[Tensor]:
    """As the network, of pictures `[N, 3, H, W]` of any size: edges are repeated, and large pictures are taken tile by tile."""
    height, width = pictures.shape[2:]
    padded = F.pad(pictures, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")
    rows, columns = padded.shape[2:]
    levels = [level for level, count in enumerate(PLANES) for _ in range(count)]
    found = [pictures.new_zeros(len(pictures), 1, rows >> level, columns >> level) for level in levels]
    for top in range(0, rows, TILE):
        for left in range(0, columns, TILE):
            low, high = _around(top, rows), _around(left, columns)
            parts = network(padded[:, :, slice(*low), slice(*high)], step_code)
            for grid, part, level in zip(found, parts, levels, strict=True):
                y, x = (top - low[0]) >> level, (left - high[0]) >> level
                core = part[:, :, y : y + (TILE >> level), x : x + (TILE >> level)]
                grid[:, :, top >> level : (top + TILE) >> level, left >> level : (left + TILE) >> level] = core[
                    :, :, : (rows - top + (1 << level) - 1) >> level, : (columns - left + (1 << level) - 1) >> level
                ]
    return [grid[:, :, : -(-height >> level), : -(-width >> level)] for grid, level in zip(found, levels, strict=True)]


def _around(start: int, size: int) -> tuple[int, int]:
    """The part of an axis that a tile is computed from."""
    return max(0, start - HALO), min(size, start + TILE + HALO)


def trained_start(values: Float32Array, spec: PyramidSpec, start: StartFile) -> Start:
    """Where a fit of a picture begins with a trained start: its priors, and latents as its analysis network guesses them, rounded, if it has one.

    Args:
        values: `[H, W, D]` in [0, 1].
        spec: sizes; see field.priors.fits.
        start: the start.
    """
    if not start.guesses or spec.levels != LEVELS or spec.channels not in (1, CHANNELS):  # only the grids of the trained field are guessed
        return Start(prior=start.number)
    network = Analysis()
    network.load_state_dict({name: torch.from_numpy(value.astype(np.float32)) for name, value in start.analysis().items()})
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    picture = torch.from_numpy(np.moveaxis(values, -1, 0).copy())[None].expand(-1, CHANNELS, -1, -1)
    with torch.no_grad():
        grids = analyse(network, picture, spec.step_code)
    if spec.planes == 1:  # without colour: the first grid of each level
        grids = [grids[sum(PLANES[:level])] for level in range(len(PLANES))]
    return Start(latents=[grid[0, 0].round().numpy() for grid in grids], prior=start.number)
