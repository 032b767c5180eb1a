"""The decoder's side of a sparse pyramid: values at any points, and bands of samples on any regular grid.

Only places near active blocks are solved. Elsewhere a value is +-FAR, by the side that the inactive region's neighbours are on.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from ..arrays import BoolArray, Float32Array, Float64Array, FloatingArray, Int32Array
from ..coding.lattice import Lattice, interpolate, spline_taps
from ..field.sparse_spec import SparseSpec
from .span import Span, Spans, whole

FAR = 64.0  # what stands for a distance that was not coded
REFINED = 2.0  # samples finer than the grid are solved where their cell's value is less; others have it
_CHUNK = 1 << 16  # points solved at once
_BAND = 1 << 22  # samples of a band of output, about


class SparseRenderer:
    """Values of a decoded sparse pyramid.

    Args:
        spec: sizes.
        lattice: its cells.
        weights: every tensor of the field under its name, float32, the step of the latents worked into B and S.
        latents: integers `[N]` of each level, finest first.
    """

    def __init__(self, spec: SparseSpec, lattice: Lattice, weights: dict[str, Float32Array], latents: Sequence[Int32Array]) -> None:
        self._spec, self.lattice, self._weights = spec, lattice, weights
        total = latents[-1].astype(np.float32)[:, None]
        for own, parents in zip(reversed(latents[:-1]), reversed(lattice.parents), strict=True):
            total = np.concatenate([interpolate(total, parents), own.astype(np.float32)[:, None]], 1)
        self._features = total
        self._finest = lattice.levels[0]
        self._centres: Float32Array | None = None
        self._sides: npt.NDArray[np.int8] | None = None

    def at(self, points: FloatingArray, iterations: int | None = None) -> Float32Array:
        """Phi `[M, D]` at points `[M, 3]` in samples of the grid, each near an active block."""
        count = self._spec.iterations if iterations is None else iterations
        out = np.empty((len(points), self._spec.channels), np.float32)
        for start in range(0, len(points), _CHUNK):
            rows, weights = spline_taps(self._finest, points[start : start + _CHUNK])
            h = np.zeros((len(rows), self._features.shape[1]), np.float32)
            for k in range(27):
                h += weights[:, k, None] * self._features[rows[:, k]]
            out[start : start + len(rows)] = self._solve(h, count)
        return out

    def _solve(self, h: Float32Array, iterations: int) -> Float32Array:
        w = self._weights
        u = h @ w["B"].T + w["c"]
        z = np.maximum(u, 0)
        if "A" in w:
            for _ in range(iterations - 1):
                z = np.maximum(z @ w["A"].T + u, 0)
        phi: Float32Array = z @ w["W"].T + h @ w["S"].T + w["b"]
        return phi

    def iterations_for(self, points: FloatingArray, tolerance: float, limit: int) -> int:
        """The fewest applications after which no value at `points` is farther than `tolerance` from that after `limit`; at most `limit`."""
        values = [self.at(points, count) for count in range(1, limit + 1)] if "A" in self._weights else []
        far = [count for count, found in enumerate(values, 1) if np.abs(found - values[-1]).max() > tolerance]
        return min(limit, far[-1] + 1) if far else 1

    def render(self, spans: Spans | None = None) -> Float32Array:
        """All values of `bands`."""
        return np.concatenate(list(self.bands(spans)))

    def bands(self, spans: Spans | None = None, beside: Sequence["SparseRenderer"] = ()) -> Iterator[Float32Array]:
        """The values `[t, H, W, 1 + K]` of a regular grid, band after band along the first axis; channel 0, cut to +-FAR.

        Args:
            spans: which samples of each axis, and how many they become; None for all as they are.
            beside: K other pyramids on the same cells; of each its channel 0, NaN where no block is active.
        """
        spans = whole(self._spec.grid) if spans is None else spans
        axes = [_positions(span) for span in spans]
        plane = len(axes[1]) * len(axes[2])
        rows = max(1, _BAND // plane)
        for start in range(0, len(axes[0]), rows):
            yield self._band([axes[0][start : start + rows], *axes[1:]], beside)

    def _band(self, axes: Sequence[Float64Array], beside: Sequence["SparseRenderer"]) -> Float32Array:
        lattice, block = self.lattice, self.lattice.block
        cells = [np.clip(np.floor(axis + 0.5).astype(np.intp), 0, size - 1) for axis, size in zip(axes, self._finest.shape, strict=True)]
        grid = np.ix_(*(cell >> block for cell in cells))
        band = self.sides[grid].astype(np.float32) * np.float32(FAR)
        places = np.argwhere(lattice.active[grid])
        at = self._finest.index(np.stack([cell[places[:, a]] for a, cell in enumerate(cells)], -1))
        values = self.centres[at]
        points = np.stack([axis[places[:, a]] for a, axis in enumerate(axes)], -1)
        moved = np.abs(points - self._finest.cells[at]).max(1) > 1e-9
        near = moved & (np.abs(values) < REFINED)
        found: Float32Array = np.full((*band.shape, 1 + len(beside)), np.nan, np.float32)
        found[..., 0] = band
        for channel, renderer in enumerate((self, *beside)):
            refined = renderer.centres[at]
            refined[near] = renderer.at(points[near])[:, 0]
            found[(*places.T, channel)] = np.clip(refined, -FAR, FAR)
        return found

    @property
    def centres(self) -> Float32Array:
        """Channel 0 at the cells of level 0, `[N]`."""
        if self._centres is None:
            self._centres = self.at(self._finest.cells.astype(np.float32))[:, 0]
        return self._centres

    def crossings(self) -> Float64Array:
        """Places `[K, 3]` in samples where the surface is: half way between neighbouring cells of level 0 on its two sides."""
        level, side = self._finest, np.append(self.centres < 0, False)
        found = []
        for axis in np.eye(3, dtype=np.intp):
            other = level.index(level.cells + axis)
            crossed = (other < level.count) & (side[:-1] != side[other])
            found.append(level.cells[crossed] + 0.5 * axis)
        return np.concatenate(found)

    @property
    def sides(self) -> npt.NDArray[np.int8]:
        """+1 or -1 for every block: of an inactive one the side of its region, as the cells around that region have it."""
        if self._sides is None:
            self._sides = _region_sides(self.lattice, self.centres)
        return self._sides


def _positions(span: Span) -> Float64Array:
    return np.asarray(span.start - 0.5 + (np.arange(span.out) + 0.5) * (span.size / span.out), np.float64)


def _region_sides(lattice: Lattice, centres: Float32Array) -> npt.NDArray[np.int8]:
    """See SparseRenderer.sides: the sum over the faces between a region and active blocks of the sides of the cells there."""
    side = 1 << lattice.block
    active = lattice.active
    cells = np.sign(centres).reshape(-1, side, side, side)
    regions = label_regions(~active)
    votes = np.zeros(regions.max() + 1)
    blocks = np.argwhere(active)
    for axis in range(3):
        for step, face in ((-1, 0), (1, side - 1)):
            other = blocks.copy()
            other[:, axis] += step
            inside = ((other >= 0) & (other < np.array(active.shape))).all(1)
            found = np.take(cells, face, axis + 1).sum((1, 2))
            np.add.at(votes, regions[tuple(other[inside].T)], found[inside])
    signs: npt.NDArray[np.int8] = np.where(votes[regions] < 0, -1, 1).astype(np.int8)
    return signs


def label_regions(wanted: BoolArray) -> npt.NDArray[np.intp]:
    """A number for each region of True places of a grid that are connected by faces, not consecutive; 0 for False ones."""
    labels = np.where(wanted, np.arange(1, wanted.size + 1).reshape(wanted.shape), 0)
    ends = (slice(1, None), slice(None, -1))
    pairs = [[tuple(end if a == axis else slice(None) for a in range(3)) for end in ends] for axis in range(3)]
    while True:
        before = labels.copy()
        for here, there in pairs:
            both = wanted[here] & wanted[there]
            least = np.minimum(labels[here], labels[there])
            labels[here] = np.where(both, least, labels[here])
            labels[there] = np.where(both, np.minimum(labels[there], least), labels[there])
        # A label is the place of a cell plus 1: going on to that cell's own label halves the way left.
        flat = labels.ravel()
        labels = np.where(wanted, flat[np.maximum(labels, 1) - 1], 0)
        if np.array_equal(before, labels):
            return labels
