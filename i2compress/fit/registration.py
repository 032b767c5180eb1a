"""How parts of frames move: a mesh over each is moved so that the frames, seen through it, become alike.

Free-form deformation on a mesh (Rueckert et al., "Nonrigid registration using free-form deformations", IEEE TMI 1999; here bilinear, as control grid
interpolation has it) by gradient descent from coarse to fine, for many frames at a time: each is compared with several before it, so that errors do
not add up. What differs much counts little: it is covered or uncovered. A part that is flat stays where the mesh about it goes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..arrays import Float32Array, FloatingArray
from ..mesh import linear, mesh_shape
from .parallel import cpu_threads

BEFORE = (1, 2, 4, 8)  # frames back, with which each is compared
STAGES = ((4, 0.2, 40), (2, 0.1, 40), (1, 0.05, 30))  # how many samples are one, the rate of a step at first, in samples, and the steps
LEAST_SHARE = 0.2  # of its rate that a step has at the end of a stage
BETAS = (0.8, 0.95)
# Of frames, along rows and along columns: without it they would be alike where they lie between samples, as that takes noise away.
BLUR = (1, 4, 6, 4, 1)
AT_ONCE = 32  # frames that are registered together, after those that were before
SOFT = 0.01  # differences below about this count by their square, those above by themselves
STIFF = 0.3  # what the squared slope of the displacements counts
SHORT = 5e-4  # and how far a displacement goes: what nothing is known of stays, and noise is not made less by half a sample
EVEN = 5e-4  # and how far it goes from moment to moment, as that takes bytes
ROUND = 0.03  # samples: displacements that go less far count by their square


@dataclass(frozen=True, kw_only=True)
class Registered:
    """How frames move.

    Args:
        moves: float32 `[moments, 2, rows, columns]`: where in a frame what its plane shows at the mesh's points is, from there, in samples.
        left: of the differences of frames that lie still in their plane, what is left of them.
    """

    moves: Float32Array
    left: float


def register(frames: Float32Array, offsets: FloatingArray, *, cell: int, pace: int, stop: Callable[[], bool] | None = None) -> Registered:
    """Find how parts of frames `[n, H, W]` move, whose first samples lie at `offsets` `[n, 2]` in their plane; n > 1.

    Args:
        frames: brightness, in [0, 1].
        offsets: rows and columns.
        cell, pace: see mesh.Mesh.
        stop: asked now and then; True ends the search, and what was not looked at does not move.
    """
    found = torch.zeros(mesh_shape(frames.shape, cell, pace))
    moved, still = 0.0, 0.0
    stride = max(pace, AT_ONCE // pace * pace)
    with cpu_threads(1):  # sums do not depend on how many threads there are then
        for start in range(0, len(frames) - 1, stride):
            if stop is not None and stop():
                break
            first = max(0, start - -(-max(BEFORE) // pace) * pace)
            stretch, moments = slice(first, start + stride + 1), slice(first // pace, (start + stride) // pace + 1)
            part = _Part(frames[stretch], offsets[stretch], cell=cell, pace=pace)
            found[moments] = part.register(found[moments], known=(start - first) // pace + 1 if start else 0)
            own, alone = part.differences(found[moments])
            moved, still = moved + own, still + alone
    return Registered(moves=found.numpy(), left=moved / still if still else 1.0)


class _Part:
    """Some frames that are registered together."""

    def __init__(self, frames: Float32Array, offsets: FloatingArray, *, cell: int, pace: int) -> None:
        self._frames, self._offsets = torch.from_numpy(np.ascontiguousarray(frames))[:, None], offsets - offsets.min(0)
        self._cell = cell
        self._time = torch.from_numpy(linear(np.arange(len(frames)), pace, mesh_shape(frames.shape, cell, pace)[0]))

    def register(self, begin: Tensor, *, known: int) -> Tensor:
        """Displacements of all moments, of which the first `known` are what is given; the others go on where the last of those ends."""
        kept = begin[:known]
        moving = (kept[-1:] if known else begin[:1]).repeat(len(begin) - known, 1, 1, 1).requires_grad_()
        for shrunk, rate, steps in STAGES:
            view = self._view(shrunk, begin)
            optimizer = torch.optim.Adam([moving], lr=rate, betas=BETAS)
            for step in range(steps):
                optimizer.param_groups[0]["lr"] = rate * (1 - (1 - LEAST_SHARE) * step / steps)
                optimizer.zero_grad()
                moves = torch.cat([kept, moving])
                (view.difference(self._over(moves)) + self._stiffness(moves)).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        return torch.cat([kept, moving.detach()])

    def differences(self, moves: Tensor) -> tuple[float, float]:
        """Those of the frames seen through the mesh, and of those that lie still in their plane, times how many frames there are."""
        view = self._view(1, moves)
        with torch.no_grad():
            moved, still = (len(self._frames) * float(view.difference(self._over(given))) for given in (moves, torch.zeros_like(moves)))
        return moved, still

    def _view(self, shrunk: int, moves: Tensor) -> "_View":
        return _View(self._frames, self._offsets, shrunk, self._cell, moves.shape[2:])

    def _over(self, moves: Tensor) -> Tensor:
        """Displacements at each frame."""
        return torch.einsum("tm,mkrc->tkrc", self._time, moves)

    def _stiffness(self, moves: Tensor) -> Tensor:
        """What displacements cost by themselves."""
        loss = SHORT * _length(moves)
        for axis in (2, 3):
            loss = loss + STIFF * (torch.diff(moves, dim=axis) / self._cell).square().mean()
        return loss + EVEN * _length(torch.diff(moves, dim=0))


def _length(moves: Tensor) -> Tensor:
    """The mean of how far they go."""
    return ((moves.square() + ROUND**2).sqrt() - ROUND).mean()


class _View:
    """Frames `[n, 1, H, W]`, reduced, as their plane sees them through a mesh of so many points."""

    def __init__(self, frames: Tensor, offsets: FloatingArray, shrunk: int, cell: int, points: Sequence[int]) -> None:
        self._frames, self._shrunk = _blurred(F.avg_pool2d(frames, shrunk)), shrunk
        self._at: list[Tensor] = []  # at which rows, and columns, of each frame the samples of the plane lie, `[n, size]`
        self._weights: list[Tensor] = []  # of the mesh's points there
        for axis, count in enumerate(points):
            at = np.arange(self._frames.shape[2 + axis]) - offsets[:, axis, None] / shrunk
            self._at.append(torch.from_numpy(at.astype(np.float32)))
            self._weights.append(torch.from_numpy(np.stack([linear((row + 0.5) * shrunk - 0.5, cell, count) for row in at])))

    def difference(self, moves: Tensor) -> Tensor:
        """The mean difference of frames, moved by their points' displacements `[n, 2, rows, columns]`, from those before them."""
        down, across = self._weights
        dense = torch.einsum("thr,tkrc,twc->tkhw", down, moves, across) / self._shrunk
        places = (self._at[0][:, :, None] + dense[:, 0], self._at[1][:, None, :] + dense[:, 1])
        rows, columns = (2 * at / (size - 1) - 1 for at, size in zip(places, self._frames.shape[2:], strict=True))
        seen = F.grid_sample(self._frames, torch.stack([columns, rows], -1), padding_mode="border", align_corners=True)[:, 0]
        inside = ((rows.abs() <= 1) & (columns.abs() <= 1)).to(seen.dtype)
        total, weight = torch.zeros(()), torch.zeros(())
        for back in BEFORE:
            if back < len(seen):
                both = inside[back:] * inside[:-back]
                total = total + (both * ((seen[back:] - seen[:-back]).square() + SOFT**2).sqrt()).mean()
                weight = weight + both.mean()
        return total / weight.clamp(min=1e-3)


def _blurred(frames: Tensor) -> Tensor:
    """Frames `[n, 1, H, W]` as BLUR makes them, their edges replicated."""
    taps, half = torch.tensor(BLUR) / sum(BLUR), len(BLUR) // 2
    down = F.conv2d(F.pad(frames, (0, 0, half, half), mode="replicate"), taps.view(1, 1, -1, 1))
    return F.conv2d(F.pad(down, (half, half, 0, 0), mode="replicate"), taps.view(1, 1, 1, -1))
