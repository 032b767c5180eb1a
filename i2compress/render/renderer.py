"""The renderer: latents and weights in, samples at any resolution out."""

import copy
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from ..arrays import Float32Array
from ..errors import MalformedError, UsageError
from ..field.spec import PyramidSpec
from ..mesh import Mesh
from .blocks import BlockSolver, PyramidSource, Source
from .convergence import Convergence, iterations_for
from .layer import make_layer
from .moving import MovingSolver
from .pyramid import Pyramid
from .resample import Lanczos
from .span import Span, Spans, whole


class GridRenderer:
    """Values of a field at any resolution, whatever computes its blocks.

    Args:
        grid: samples along each axis, 1 to 3 of them.
        source: computes blocks.
        channels: D.
        threads: blocks computed at a time, at least 1. The result does not depend on it.

    Raises:
        UsageError: threads below 1.
    """

    def __init__(self, grid: tuple[int, ...], source: Source, *, channels: int, threads: int) -> None:
        if threads < 1:
            raise UsageError(f"threads is {threads}; expected at least 1")
        self._grid, self._source, self._channels, self.threads = grid, source, channels, threads
        self._axis = 3 - len(grid)  # the one along which bands follow each other
        self._solver: BlockSolver | MovingSolver = BlockSolver(source, channels=channels, threads=threads)

    def moved(self, grid: tuple[int, ...], offsets: npt.NDArray[np.float64], mesh: Mesh | None = None) -> "GridRenderer":
        """The same field of three axes, seen through frames that move over it; see moving.MovingSolver.

        Args:
            grid: frames, and rows and columns of each.
            offsets: `[frames, 2]`, where the first row and column of each frame lie in the field's grid.
            mesh: how parts of the frames move besides; None where none do.
        """
        if not isinstance(self._solver, BlockSolver):
            raise UsageError("the frames of a field that moves cannot move once more")
        new = copy.copy(self)
        new._grid, new._solver = grid, MovingSolver(self._solver, offsets, grid, mesh)
        return new

    def over(self, made: Callable[[Source], Source]) -> "GridRenderer":
        """The same, of the blocks that `made` makes of this one's."""
        new = copy.copy(self)
        new._source = made(self._source)
        new._solver = BlockSolver(new._source, channels=self._channels, threads=self.threads)
        return new

    def bands(self, spans: Spans | None = None) -> Iterator[Float32Array]:
        """The values, not clipped, in bands along the first axis: `[h, W, D]` of two axes, `[t, H, W, D]` of three.

        Memory is bounded by the size of the output's other axes and does not depend on its length along the first.

        Args:
            spans: which samples of each axis, and how many they become; None for all as they are.
        """
        lead = (Span(start=0, size=1, out=1),) * self._axis
        spans = whole(self._grid) if spans is None else spans
        axes = [Lanczos(span=span, samples=size) for span, size in zip((*lead, *spans), self._solver.grid, strict=True)]
        t, y, x = axes
        bands = self._solver.bands((t.region, y.region, x.region), (t.span.scale, y.span.scale, x.span.scale), self._axis)
        # The band axis last: its bands are fewer samples once the others are reduced.
        for i in sorted(range(3), key=lambda i: i == self._axis):
            if not axes[i].span.exact:
                reduce = axes[i].stream if i == self._axis else axes[i].each
                bands = reduce(bands, i, axes[i].region[0] * axes[i].span.scale)
        for band in bands:
            yield band.reshape(band.shape[self._axis :])

    def render(self, spans: Spans | None = None) -> Float32Array:
        """All values of `bands`, not clipped, `[*out, D]`."""
        spans = whole(self._grid) if spans is None else spans
        out = np.empty((*(span.out for span in spans), self._channels), np.float32)
        done = 0
        for band in self.bands(spans):
            out[done : done + len(band)] = band
            done += len(band)
        return out


class Renderer(GridRenderer):
    """Values of a decoded field at any resolution.

    Args:
        spec: sizes of the field.
        weights: every tensor of the field under its name, float32; those of the context model are not used.
        latents: integer grids, finest first.
        threads: blocks computed at a time, at least 1. The result does not depend on it.

    Raises:
        MalformedError: latents or weights that are not those of `spec`.
        UsageError: threads below 1.
    """

    def __init__(self, spec: PyramidSpec, weights: dict[str, Float32Array], latents: Sequence[npt.NDArray[np.int32]], *, threads: int = 1) -> None:
        if [grid.shape for grid in latents] != spec.latent_shapes:
            raise MalformedError(f"latent grids are {[grid.shape for grid in latents]}; expected {spec.latent_shapes}")
        self._spec = spec
        self._weights = _field_weights(spec, weights)
        lead = (1,) * (3 - spec.axes)
        self._pyramid = Pyramid(
            [grid.reshape(lead + grid.shape) for grid in latents],
            self._weights.get("up", np.zeros((0, 4), np.float32)),
            shifts=[(0,) * len(lead) + shifts for shifts in spec.shifts],
            levels=spec.grid_levels,
            stills=spec.stills,
        )
        source = PyramidSource(self._pyramid, make_layer(spec, self._weights))
        super().__init__(spec.grid, source, channels=spec.channels, threads=threads)

    def iterations_for(self, tolerance: float, limit: int = 64) -> Convergence:
        """The smallest number of applications after which no output sample is farther than `tolerance` from the limit.

        The limit is the output after `limit` applications, or after fewer where the last ones, continued as a
        geometric series, would move it by no more than 1/64 of the tolerance. Measured at the source's own samples.

        Args:
            tolerance: largest distance, in units of the values, more than 0.
            limit: most applications, at least 1.

        Raises:
            UsageError: a tolerance or limit out of range.
        """
        if not tolerance > 0 or limit < 1:
            raise UsageError(f"tolerance is {tolerance:g} and limit {limit}; expected more than 0 and at least 1")
        if self._spec.explicit:
            return Convergence(iterations=1, residual=0.0, converged=True)
        return iterations_for(self._pyramid, self._weights, tolerance=tolerance, limit=limit, threads=self.threads)


def _field_weights(spec: PyramidSpec, weights: dict[str, Float32Array]) -> dict[str, Float32Array]:
    """The tensors of the field itself, checked."""
    field = {}
    for name, shape in spec.weight_shapes.items():
        if spec.is_context(name):
            continue
        if name not in weights or weights[name].shape != shape:
            found = f"shape {weights[name].shape}" if name in weights else "missing"
            raise MalformedError(f"weight {name} is {found}; expected shape {shape}")
        field[name] = np.ascontiguousarray(weights[name], np.float32)
    return field
