"""Mesh files and distance grids as Sources."""

import io
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from typing import BinaryIO

import numpy as np

from ...arrays import Float32Array, Float64Array
from ...errors import SignalError
from ...kinds import Kind
from ...signal import TRUNCATION, Frame, Layout, Metadata, Values
from ..protocol import Source
from .cloud import OrientedCloud
from .colours import Colours
from .files import read_triangles
from .sampling import frame_of, to_units
from .sniff import sniff
from .solid import Solid

DEFAULT_RESOLUTION, DEFAULT_BLOCK = 64, 2
SLAB = 1 << 20  # samples whose distances are found at once


class MeshSource:
    """A mesh that was read: a solid, to be sampled on any grid; see media.protocol.Source.

    Its own grid is a coarse one, in place of which an encode takes the grid that its settings say. One from `resampled` stays on that (`placed`).
    """

    def __init__(
        self,
        solid: Solid,
        layout: Layout,
        form: str,
        notes: Sequence[str],
        colours: Colours | None = None,
        cloud: OrientedCloud | None = None,
        *,
        placed: bool = False,
    ) -> None:
        self.solid, self.format, self.notes, self.colours, self.cloud, self.placed = solid, form, notes, colours, cloud, placed
        self.layout = replace(layout, channels=1 if colours is None else 4)
        self.metadata = Metadata()

    def resampled(self, layout: Layout) -> "MeshSource":
        """See Resampling; without its colours where the layout has none."""
        frame, low, high = layout.frame, self.solid.low, self.solid.high
        ends = np.array(frame.corner), np.array(frame.corner) + np.array(layout.grid) * np.array(frame.spacing)
        if (low < ends[0] - frame.sample).any() or (high > ends[1] + frame.sample).any():
            found, expected = (" to ".join(str(tuple(float(f"{value:.4g}") for value in corner)) for corner in box) for box in ((low, high), ends))
            raise SignalError(f"the source reaches from {found}; expected it inside the file's {expected}: give the source that it was made from")
        colours = self.colours if layout.channels > 1 else None
        return MeshSource(self.solid, layout, self.format, self.notes, colours, self.cloud, placed=True)

    def read(self, start: int, count: int) -> Float32Array:
        """See Source: slabs of truncated distances, with colours where they are not cut."""
        x, y, z = self.layout.grid
        stop = min(x, start + count)
        rows = max(1, SLAB // (y * z))
        slabs = [self._slab(first, min(first + rows, stop)) for first in range(start, stop, rows)]
        return np.concatenate(slabs) if slabs else np.empty((0, y, z, self.layout.channels), np.float32)

    def _slab(self, start: int, stop: int) -> Float32Array:
        _, y, z = self.layout.grid
        cells = np.stack(np.meshgrid(np.arange(start, stop), np.arange(y), np.arange(z), indexing="ij"), -1).reshape(-1, 3)
        points = to_units(cells.astype(np.float64), self.layout.frame)
        found = self.values(points)[:, None]
        if self.colours is not None and self.layout.channels > 1:
            near = np.abs(found[:, 0]) < 1
            rgb = np.full((len(points), 3), -1.0)
            rgb[near] = self.colours.at(points[near])
            found = np.concatenate([found, rgb], 1)
        return found.astype(np.float32).reshape(stop - start, y, z, -1)

    def values(self, points: Float64Array) -> Float64Array:
        """The truncated distances `[M]` at points `[M, 3]` in the shape's units."""
        return np.clip(self.solid.distance(points) / self.layout.frame.sample / TRUNCATION, -1, 1)


class GridSource:
    """A distance grid in an NPZ file; see media.protocol.Source."""

    format = "npz"
    notes: tuple[str, ...] = ()

    def __init__(self, data: bytes, name: str) -> None:
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                distance = np.asarray(arrays["distance"], np.float64)
                corner, spacing = (np.asarray(arrays[key], np.float64).ravel() for key in ("corner", "spacing"))
                colour = np.asarray(arrays["colour"], np.float32) if "colour" in arrays else np.zeros((*distance.shape, 0), np.float32)
        except (KeyError, ValueError, OSError, zipfile.BadZipFile, EOFError) as error:
            raise SignalError(f"{name}: the grid cannot be read ({error}); expected an NPZ file with distance, corner and spacing") from error
        finite = all(np.isfinite(array).all() for array in (distance, corner, spacing, colour))
        if distance.ndim != 3 or corner.shape != (3,) or spacing.shape != (3,) or not finite or not (spacing > 0).all():
            shapes = f"{distance.shape}, {corner.shape} and {spacing.shape}"
            raise SignalError(f"{name} has arrays of shapes {shapes}; expected finite distances [X, Y, Z], a corner [3] and spacings [3] over 0")
        if colour.shape not in ((*distance.shape, 0), (*distance.shape, 3)):
            raise SignalError(f"{name} has colours of shape {colour.shape}; expected {(*distance.shape, 3)}: red, green and blue of each distance")
        frame = Frame(corner=(corner[0], corner[1], corner[2]), spacing=(spacing[0], spacing[1], spacing[2]))
        self.layout = Layout(kind=Kind.SHAPE, grid=distance.shape, channels=1 + colour.shape[-1], bit_depth=16, frame=frame)
        self.metadata = Metadata()
        truncated = np.clip(distance / frame.sample / TRUNCATION, -1, 1).astype(np.float32)[..., None]
        self._values = np.concatenate([truncated, np.clip(colour, -1, 1)], -1)

    def read(self, start: int, count: int) -> Values:
        """See Source."""
        return self._values[start : start + count]


def open(file: BinaryIO, name: str) -> Source:
    """See Medium."""
    data = file.read()
    form = sniff(data[:4096]) or name.lower().rpartition(".")[2]
    if form == "npz":
        return GridSource(data, name)
    found = read_triangles(data, form, name)
    solid = Solid(found.vertices, found.faces, name)
    grid, frame = frame_of(solid, DEFAULT_RESOLUTION, DEFAULT_BLOCK)
    layout = Layout(kind=Kind.SHAPE, grid=grid, channels=1, bit_depth=16, frame=frame)
    return MeshSource(solid, layout, form, [*found.notes, *solid.notes], found.colours, found.cloud)
