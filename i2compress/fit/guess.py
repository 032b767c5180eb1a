"""A first guess of the finest grids, from what the fit of half the resolution has found.

There the finest grids tell what the others leave of a signal, and what latents are best for it is known. Over most places that is nearly linear:
a filter from what is left around a place to its latent, found by least squares. The same filter goes for what the whole pyramid's other grids
leave of the whole signal, as pictures look much alike at neighbouring scales (Ruderman and Bialek 1994, https://doi.org/10.1103/PhysRevLett.73.814).
So it takes the place of an analysis network, and is as good as the fit on half the resolution at any rate and with any tune. What it gives and
costs is in docs/results/speed.md.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..arrays import Float32Array
from ..field.spec import Arrays
from .coarse import finest_grids
from .parallel import cpu_threads
from .problem import Problem
from .windows import Part, Window, cut, cut_all

REACH = 2  # samples to each side of a place that its latent is guessed from; with 3 it is no better
SMALL = 0.5  # what a guess is nearer to 0: what is less would take bits for little
STRIP = 1 << 14  # samples whose surroundings are held at once
RIDGE = 1e-3  # of the mean square of the samples, added to each: some differences between neighbours are hardly ever seen


@torch.no_grad()
def guess_finest(problem: Problem, latents: Sequence[Float32Array], half: Problem, found: Sequence[Tensor], weights: Arrays) -> list[Float32Array]:
    """The grids that the halved pyramid does not have, and in `weights` the columns that go with them. Those that it has no likes of are 0.

    Args:
        problem: of the whole signal, of two axes; it is left at `weights`.
        latents: of its other grids, finest first, not rounded.
        half: of the halved signal, as its fit left it.
        found: its latents `[1, 1, *grid]`, rounded, finest first.
        weights: by name, of the whole pyramid: those that were found on the halved one.
    """
    count = finest_grids(problem.spec)
    known = min(count, finest_grids(half.spec))
    for name in ("B", "S"):  # a column for each grid, finest last: what is to be read as there is also written as there
        weights[name][:, -known:] = half.weights()[name].detach().cpu().numpy()[:, -known:]
    problem.set_weights(weights)
    finest = [torch.zeros(1, 1, *shape, device=problem.device) for shape in problem.latent_shapes[:count]]
    with cpu_threads(1):  # several would sum in another order
        filters = _learned(half, [torch.zeros_like(grid) if number < known else grid for number, grid in enumerate(found)], found[:known])
        whole = [*finest, *(torch.from_numpy(grid)[None, None].to(problem.device) for grid in latents)]
        for window, rows, around in _surroundings(problem, whole):
            guessed = F.softshrink(filters @ around, SMALL).view(known, rows.stop - rows.start, -1)
            for grid, values in zip(finest, guessed, strict=False):
                cut(grid, _strip(window, rows))[0, 0] = values
    return [np.asarray(grid[0, 0].cpu().numpy(), np.float32) for grid in finest]


def _learned(problem: Problem, others: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """`[grids, D * (2 * REACH + 1)**2]`: filters from what other grids leave to those wanted, by least squares over every second strip."""
    squares: Tensor | None = None
    products: Tensor | None = None
    for number, (window, rows, around) in enumerate(_surroundings(problem, others)):
        if number % 2:
            continue
        targets = torch.stack([cut(grid, _strip(window, rows)).reshape(-1) for grid in wanted])
        square, product = (around @ around.T).double(), (targets @ around.T).double()
        squares, products = (square, product) if squares is None or products is None else (squares + square, products + product)
    assert squares is not None and products is not None
    least = RIDGE * squares.diagonal().mean() + torch.finfo(torch.float32).tiny
    found: Tensor = torch.linalg.solve(squares + least * torch.eye(len(squares)).to(squares), products.T)
    return found.T.float()


def _surroundings(problem: Problem, latents: Sequence[Tensor]) -> Iterator[tuple[Window, slice, Tensor]]:
    """Strips of windows: it, rows of its core, and what the latents leave of the signal around each sample, `[D * (2 * REACH + 1)**2, samples]`."""
    for window in problem.windows:
        values = problem.values_on(cut_all(latents, window), window)[0]
        left = F.pad(problem.distortion.residual(values, window.whole[0])[None], (REACH,) * 4, mode="replicate")
        height, width = (part.stop - part.start for part in window.core[0])
        top, side = window.inner[0][0].start, slice(window.inner[0][1].start, window.inner[0][1].stop + 2 * REACH)
        count = max(1, STRIP // width)
        for start in range(0, height, count):
            rows = slice(start, min(start + count, height))
            strip = left[:, :, top + rows.start : top + rows.stop + 2 * REACH, side]
            yield window, rows, F.unfold(strip, 2 * REACH + 1)[0]


def _strip(window: Window, rows: slice) -> Part:
    """Those rows of a window's core in the signal, and in grids of its resolution."""
    down, across = window.core[0]
    return slice(down.start + rows.start, down.start + rows.stop), across
