"""Distance grids out: marching cubes slab by slab, welded and written as a mesh; or the grid itself."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np

from ...arrays import Float32Array, Float64Array, Int64Array
from ...errors import SignalError, UsageError
from ...kinds import Kind
from ...signal import TRUNCATION, Codes, Layout, Metadata
from ..protocol import Format, Sink
from .libraries import marching_cubes, trimesh

WELD = 2.0**-12  # samples: vertices of two slabs that are closer are one


class MeshSink:
    """Extracts the surface from slabs of distances; see media.protocol.Sink. What leaves the grid is closed at its end."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.notes: Sequence[str] = ()
        self._last: Float32Array | None = None
        self._done = 0
        self._parts: list[tuple[Float64Array, Int64Array]] = []

    def write(self, values: Float32Array | Codes) -> None:
        """See Sink: slabs of distances."""
        slab = np.asarray(values, np.float32)[..., 0]
        if self._last is None:
            self._last = np.ones(self.layout.grid[1:], np.float32)  # outside
        self._extract(np.concatenate([self._last[None], slab]))
        self._last, self._done = slab[-1], self._done + len(slab)

    def mesh(self) -> tuple[Float64Array, Int64Array]:
        """Vertices in the shape's units and triangles, facing outwards. Raises SignalError where there is no surface."""
        if self._last is not None:
            self._extract(np.stack([self._last, np.ones_like(self._last)]))
            self._last = None
        if not self._parts:
            raise SignalError("the shape has no surface here; ask for another box or a higher resolution")
        offsets = np.cumsum([0, *(len(vertices) for vertices, _ in self._parts)])
        vertices = np.concatenate([vertices for vertices, _ in self._parts])
        faces = np.concatenate([part + offset for (_, part), offset in zip(self._parts, offsets, strict=False)])
        vertices, faces = weld(vertices, faces)
        frame = self.layout.frame
        return np.array(frame.corner) + (vertices + 0.5) * np.array(frame.spacing), faces

    def _extract(self, slab: Float32Array) -> None:
        """The surface between the planes of a slab, the first of which is number `done` - 1."""
        padded = np.pad(slab, ((0, 0), (1, 1), (1, 1)), constant_values=1)
        # A distance of exactly 0 would put a vertex on a corner of a cube, and several triangles of no area around it.
        padded[padded == 0] = np.float32(1e-6)
        if padded.min() > 0 or padded.max() < 0:
            return
        vertices, faces, _, _ = marching_cubes()(padded, 0.0, allow_degenerate=False)
        origin = np.array([self._done - 1, -1, -1])
        self._parts.append((vertices.astype(np.float64) + origin, faces.astype(np.int64)))


class GridSink:
    """Keeps slabs of distances; see media.protocol.Sink."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.notes: Sequence[str] = ()
        self.slabs: list[Float32Array] = []

    def write(self, values: Float32Array | Codes) -> None:
        """See Sink."""
        self.slabs.append(np.asarray(values, np.float32)[..., 0])

    def data(self) -> bytes:
        """The NPZ file: distances in the shape's units, positive outside, the corner of the grid's box and its spacing."""
        file, frame = io.BytesIO(), self.layout.frame
        distance = np.concatenate(self.slabs) * np.float32(TRUNCATION * frame.sample)
        np.savez_compressed(file, distance=distance, corner=np.array(frame.corner), spacing=np.array(frame.spacing))
        return file.getvalue()


def weld(vertices: Float64Array, faces: Int64Array) -> tuple[Float64Array, Int64Array]:
    """One vertex for all within about WELD of it; triangles that lose a corner go."""
    _, first, back = np.unique(np.round(vertices / WELD).astype(np.int64), axis=0, return_index=True, return_inverse=True)
    faces = back.ravel()[faces]
    whole = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    return vertices[first], faces[whole]


@contextmanager
def create(file: BinaryIO, form: Format, layout: Layout, metadata: Metadata) -> Iterator[Sink]:
    """See Medium."""
    if layout.kind is not Kind.SHAPE:
        raise UsageError(f"{form.name} holds a shape, and this is something else")
    if form.name == "npz":
        grid = GridSink(layout)
        yield grid
        file.write(grid.data())
        return
    sink = MeshSink(layout)
    library = trimesh()
    yield sink
    vertices, faces = sink.mesh()
    exported = library.Trimesh(vertices, faces, process=False).export(file_type=form.name)
    file.write(exported.encode("utf-8") if isinstance(exported, str) else exported)
