"""Batches of crops from a folder of photographs: any part of any photograph, flipped, turned, reduced, and sometimes gray.

What step t sees depends on the seed and on t alone, so that a training that goes on from a checkpoint sees what it would have seen.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .. import media
from ..arrays import Float32Array
from ..errors import UsageError
from ..kinds import Kind

POOL = 24  # photographs in memory; each step replaces one
MOST_REDUCED = 3.0
GRAY_SHARE = 0.1
HELD_OUT = 16  # one photograph of so many is never trained on


def split(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Photographs to train on and those held out, chosen by a hash of their names, so that adding others moves none; at least one each.

    Raises:
        UsageError: fewer than two.
    """
    if len(paths) < 2:
        raise UsageError(f"there are {len(paths)} photographs to train on; expected at least 2, as some are held out")
    order = sorted(paths, key=lambda path: path.name)
    held = [path for path in order if hashlib.sha256(path.name.encode()).digest()[0] < 256 // HELD_OUT] or order[:1]
    return [path for path in order if path not in held] or held, held


def load(path: Path) -> Float32Array:
    """`[H, W, 3]` in [0, 1]: colours of a photograph; a gray one's channel three times, opacity left out.

    Raises:
        UsageError: no picture.
    """
    with media.open_source(str(path)) as file:
        layout = file.source.layout
        if layout.kind != Kind.IMAGE:
            raise UsageError(f"{path} is no picture; expected photographs")
        values = np.asarray(file.source.read(0, layout.grid[0]), np.float32)
    return values[..., :3] if layout.channels >= 3 else np.repeat(values[..., :1], 3, axis=-1)


class Crops:
    """An endless stream of batches.

    Args:
        paths: photographs to train on.
        side: of a crop; smaller photographs are repeated at their edges.
        batch: crops.
        seed: of everything random.
    """

    def __init__(self, paths: Sequence[Path], *, side: int, batch: int, seed: int) -> None:
        self.paths, self.side, self.batch, self.seed = list(paths), side, batch, seed
        self._pool: dict[int, Tensor] = {}

    def _photograph(self, number: int) -> Tensor:
        """The number-th of the stream, which goes through all photographs in a new order each time: `[3, H, W]` uint8."""
        epoch, place = divmod(number, len(self.paths))
        path = self.paths[np.random.default_rng((self.seed, 1, epoch)).permutation(len(self.paths))[place]]
        values = (load(path) * 255 + 0.5).astype(np.uint8)
        return torch.from_numpy(np.moveaxis(values, -1, 0).copy())

    def at(self, step: int) -> Tensor:
        """The batch of a step: `[batch, 3, side, side]` float32 in [0, 1]."""
        wanted = range(step, step + min(POOL, 4 * len(self.paths)))
        self._pool = {number: self._pool[number] if number in self._pool else self._photograph(number) for number in wanted}
        rng = np.random.default_rng((self.seed, 2, step))
        return torch.stack([crop(self._pool[int(rng.choice(wanted))], self.side, rng) for _ in range(self.batch)])


def crop(photograph: Tensor, side: int, rng: np.random.Generator) -> Tensor:
    """A crop `[3, side, side]` in [0, 1] of a photograph `[3, H, W]` uint8."""
    shortest = min(photograph.shape[1:])
    reduced = min(rng.uniform(1.0, MOST_REDUCED) if rng.random() < 0.5 else 1.0, max(shortest / side, 1.0))
    wanted = round(side * reduced)
    top, left = (int(rng.integers(max(size - wanted, 0) + 1)) for size in photograph.shape[1:])
    part = photograph[:, top : top + wanted, left : left + wanted].float() / 255
    if min(part.shape[1:]) < wanted:
        part = F.pad(part[None], (0, wanted - part.shape[2], 0, wanted - part.shape[1]), mode="replicate")[0]
    if wanted != side:
        part = F.interpolate(part[None], size=(side, side), mode="bilinear", antialias=True, align_corners=False)[0]
    if rng.random() < 0.5:
        part = part.flip(2)
    if rng.random() < 0.5:
        part = part.transpose(1, 2)
    if rng.random() < GRAY_SHARE:
        part = part.mean(0, keepdim=True).expand(3, -1, -1)
    return part.contiguous()


def held_out_crops(paths: Sequence[Path], side: int, most: int) -> Tensor:
    """The middle of each photograph `[N, 3, side, side]`, in their own scale."""
    found = []
    for path in list(paths)[:most]:
        values = torch.from_numpy(np.moveaxis(load(path), -1, 0).copy())
        top, left = (max(size - side, 0) // 2 for size in values.shape[1:])
        part = values[:, top : top + side, left : left + side]
        found.append(F.pad(part[None], (0, side - part.shape[2], 0, side - part.shape[1]), mode="replicate")[0])
    return torch.stack(found)
