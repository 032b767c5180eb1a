"""Distance grids out: marching cubes slab by slab, welded and written as a mesh; or the grid itself."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO, NamedTuple

import numpy as np

from ...arrays import Float32Array, Float64Array, Int64Array
from ...errors import SignalError, UsageError
from ...kinds import Kind
from ...signal import TRUNCATION, Codes, Layout, Metadata
from ..protocol import Format, Sink
from .colours import along_edges
from .libraries import marching_cubes, trimesh
from .sharpen import sharpened

OUTSIDE = np.float32(-1)  # the colour where none is known
NORMALS = {"ply": "vertex_normal", "obj": "include_normals", "glb": "include_normals"}  # what trimesh is told, by the formats that have them
WELD = 2.0**-12  # samples: vertices of two slabs that are closer are one


class Surface(NamedTuple):
    """Vertices `[V, 3]` in the shape's units, triangles `[F, 3]` that face outwards, and red, green and blue of each vertex in [0, 1], or none."""

    vertices: Float64Array
    faces: Int64Array
    colours: Float64Array | None = None


class MeshSink:
    """Extracts the surface from slabs of distances, with colours or without; see media.protocol.Sink. What leaves the grid is closed at its end."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.notes: Sequence[str] = ()
        self._last: Float32Array | None = None
        self._done = 0
        self._parts: list[tuple[Float64Array, Int64Array]] = []

    def write(self, values: Float32Array | Codes) -> None:
        """See Sink: slabs of distances, or distances and colours."""
        slab = np.asarray(values, np.float32)
        if self._last is None:
            self._last = np.full(slab.shape[1:], OUTSIDE, np.float32)
            self._last[..., 0] = 1
        self._extract(np.concatenate([self._last[None], slab]))
        self._last, self._done = slab[-1], self._done + len(slab)

    def mesh(self) -> Surface:
        """The surface. Raises SignalError where there is none."""
        if self._last is not None:
            end = np.full_like(self._last, OUTSIDE)
            end[..., 0] = 1
            self._extract(np.stack([self._last, end]))
            self._last = None
        if not self._parts:
            raise SignalError("the shape has no surface here; ask for another box or a higher resolution")
        offsets = np.cumsum([0, *(len(vertices) for vertices, _ in self._parts)])
        vertices = np.concatenate([vertices for vertices, _ in self._parts])
        faces = np.concatenate([part + offset for (_, part), offset in zip(self._parts, offsets, strict=False)])
        vertices, faces = weld(vertices, faces)
        frame = self.layout.frame
        places = np.array(frame.corner) + (vertices[:, :3] + 0.5) * np.array(frame.spacing)
        if frame.sharpen:
            places = sharpened(places, faces, frame.sharpen)
        return Surface(places, faces, vertices[:, 3:] if self.layout.channels > 1 else None)

    def _extract(self, slab: Float32Array) -> None:
        """The surface between the planes of a slab, the first of which is number `done` - 1."""
        around = ((0, 0), (1, 1), (1, 1))
        padded = np.pad(slab[..., 0], around, constant_values=1)
        # A distance of exactly 0 would put a vertex on a corner of a cube, and several triangles of no area around it.
        padded[padded == 0] = np.float32(1e-6)
        if padded.min() > 0 or padded.max() < 0:
            return
        vertices, faces, _, _ = marching_cubes()(padded, 0.0, allow_degenerate=False)
        places = vertices.astype(np.float64)
        columns = [places + np.array([self._done - 1, -1, -1])]
        if slab.shape[-1] > 1:
            columns.append(along_edges(places, np.pad(slab[..., 1:], (*around, (0, 0)), constant_values=OUTSIDE)))
        self._parts.append((np.concatenate(columns, 1), faces.astype(np.int64)))


class GridSink:
    """Keeps slabs of distances; see media.protocol.Sink."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.notes: Sequence[str] = ()
        self.slabs: list[Float32Array] = []

    def write(self, values: Float32Array | Codes) -> None:
        """See Sink."""
        self.slabs.append(np.asarray(values, np.float32))

    def data(self) -> bytes:
        """The NPZ file: distances in the shape's units, positive outside, the corner of the grid's box and its spacing; colours where it has them."""
        file, frame = io.BytesIO(), self.layout.frame
        values = np.concatenate(self.slabs)
        arrays = {"distance": values[..., 0] * np.float32(TRUNCATION * frame.sample), "corner": np.array(frame.corner)}
        arrays |= {"spacing": np.array(frame.spacing)} | ({"colour": values[..., 1:]} if values.shape[-1] > 1 else {})
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # its other arguments are no arrays
        return file.getvalue()


def weld(vertices: Float64Array, faces: Int64Array) -> tuple[Float64Array, Int64Array]:
    """One vertex `[3 or more]`, of which the first three numbers are its place, for all within about WELD of it; triangles that lose a corner go."""
    _, first, back = np.unique(np.round(vertices[:, :3] / WELD).astype(np.int64), axis=0, return_index=True, return_inverse=True)
    faces = back.ravel()[faces]
    whole = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    return vertices[first], faces[whole]


def vertex_normals(surface: Surface) -> Float64Array:
    """Unit normals `[V, 3]`: means of those of the triangles around, by area, as the thin ones of marching cubes face anywhere."""
    a, b, c = (surface.vertices[surface.faces[:, k]] for k in range(3))
    total = np.zeros_like(surface.vertices)
    for k in range(3):
        np.add.at(total, surface.faces[:, k], np.cross(b - a, c - a))
    total /= np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-300)
    return total


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
    missing = ["colours"] if layout.channels not in form.channels else []
    missing += ["normals"] if layout.frame.normals and form.name not in NORMALS else []
    sink.notes = [f"{form.name} has no {name} of vertices, and they are left out: choose ply, obj or glb" for name in missing]
    yield sink
    surface = sink.mesh()
    painted = surface.colours is not None and layout.channels in form.channels
    colours = np.rint(255 * np.asarray(surface.colours)).astype(np.uint8) if painted else None
    told = {NORMALS[form.name]: layout.frame.normals} if form.name in NORMALS else {}
    mesh = library.Trimesh(surface.vertices, surface.faces, vertex_colors=colours, process=False)
    if any(told.values()):
        mesh.vertex_normals = vertex_normals(surface)
    exported = mesh.export(file_type=form.name, **told)
    file.write(exported.encode("utf-8") if isinstance(exported, str) else exported)
