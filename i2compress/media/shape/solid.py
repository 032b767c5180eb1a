"""A triangle mesh as a solid: which side of it a point is on, and how far from it. What has to be mended for that is mended, and said.

The side is that of the generalised winding number (Jacobson et al. 2013, fast form Barill et al. 2018, from libigl), which is right for
overlapping and badly connected meshes too, where counting the crossings of a ray is not.
"""

from collections.abc import Sequence

import numpy as np

from ...arrays import BoolArray, Float64Array, Int64Array
from ...errors import SignalError
from .libraries import closest, winding

MOST_TRIANGLES = 20_000_000
LEAST_SIZE, MOST_SIZE = 1e-30, 1e30  # of its longest side: a file holds spacings in single precision
PROBE = 1e-4  # how far from a triangle its two sides are looked at, in longest sides of the box
SHELL = 0.004  # thickness of what encloses nothing, in longest sides of the box
SOLID_SHARE = 0.5  # of the area that must have an inside on one side of it
LARGE_HOLE = 0.05  # share of the area: a note says that closing them adds so much


class Solid:
    """A mesh whose inside is known.

    Args:
        vertices: `[V, 3]`, in the shape's units.
        faces: `[F, 3]`, vertex numbers.
        name: what to call it in messages.

    `given` are the vertices and triangles before holes are closed, `surface` the triangles that part inside and outside; `half` is half the
    thickness of a shell, 0 of a solid.

    Raises:
        SignalError: no triangle with an area, or more than can be handled.
    """

    def __init__(self, vertices: Float64Array, faces: Int64Array, name: str) -> None:
        self.notes: list[str] = []
        vertices, faces = self._cleaned(vertices, faces, name)
        self.given = vertices, faces
        used = vertices[faces].reshape(-1, 3)
        self.low, self.high = used.min(0), used.max(0)
        self.size = float((self.high - self.low).max())
        mended = len(self.notes)
        vertices, faces = self._closed(vertices, faces)
        self.vertices, self.faces = vertices, faces
        self.surface = faces
        self.half = 0.0  # of the thickness of a shell
        self._sided(mended)

    def distance(self, points: Float64Array) -> Float64Array:
        """Signed distances `[M]` of points `[M, 3]`, positive outside, in the shape's units."""
        distance, _ = self.nearest(points)
        return distance - self.half if self.half else np.where(self.inside(points), -distance, distance)

    def nearest(self, points: Float64Array) -> tuple[Float64Array, Int64Array]:
        """How far points `[M, 3]` are from the surface, `[M]` in the shape's units, and the triangle there, `[M]`."""
        distance, index, _ = closest(points, self.vertices, self.surface)
        return distance, index

    def inside(self, points: Float64Array) -> BoolArray:
        """Whether points `[M, 3]` are inside."""
        if self.half:
            return self.distance(points) < 0
        inside: BoolArray = np.abs(winding(points, self.vertices, self.faces)) > 0.5
        return inside

    @property
    def area(self) -> float:
        """Of the surface; of both sides of a shell."""
        return float(areas(self.vertices, self.surface).sum()) * (2 if self.half else 1)

    def _cleaned(self, vertices: Float64Array, faces: Int64Array, name: str) -> tuple[Float64Array, Int64Array]:
        """Without triangles that have no place or no area, and with one vertex for each place."""
        if len(faces) > MOST_TRIANGLES:
            raise SignalError(f"{name} has {len(faces)} triangles; expected at most {MOST_TRIANGLES}: simplify it first")
        count = len(faces)
        valid = ((faces >= 0) & (faces < len(vertices))).all(1)
        faces = faces[valid]
        faces = faces[np.isfinite(vertices[faces]).all((1, 2))] if len(faces) else faces
        if len(faces) < count:
            self.notes.append(f"{count - len(faces)} triangles have vertices that are missing or not a number, and were left out")
        if not len(faces):
            raise SignalError(f"{name} has no triangles; give a mesh of a surface")
        size = float(np.ptp(vertices[faces].reshape(-1, 3), axis=0).max())
        if size and not LEAST_SIZE <= size <= MOST_SIZE:
            raise SignalError(f"{name} is {size:.3g} long; expected {LEAST_SIZE:g} to {MOST_SIZE:g}: scale it")
        places, back = np.unique(vertices[np.unique(faces)], axis=0, return_inverse=True)
        numbers = np.zeros(len(vertices), np.int64)
        numbers[np.unique(faces)] = back.ravel()
        vertices, faces = places, numbers[faces]
        faces = faces[areas(vertices, faces) > 0]
        if not len(faces):
            raise SignalError(f"{name} has no triangle with an area; give a mesh of a surface")
        return vertices, faces

    def _closed(self, vertices: Float64Array, faces: Int64Array) -> tuple[Float64Array, Int64Array]:
        """With a fan of triangles over each hole."""
        loops = boundary_loops(faces)
        if not loops:
            return vertices, faces
        before = areas(vertices, faces).sum()
        centres = np.array([vertices[loop].mean(0) for loop in loops])
        fans = [np.column_stack([np.roll(loop, -1), loop, np.full(len(loop), len(vertices) + k)]) for k, loop in enumerate(loops)]
        vertices, faces = np.concatenate([vertices, centres]), np.concatenate([faces, *fans])
        share = areas(vertices, faces).sum() / before - 1
        what = f"{len(loops)} hole{'s were' if len(loops) > 1 else ' was'} closed by a fan of triangles"
        self.notes.append(f"the surface is open; {what}" + (f", {100 * share:.0f} % of its area" if share > LARGE_HOLE else ""))
        return vertices, faces

    def _sided(self, mended: int) -> None:
        """Leaves out triangles that do not part inside and outside; where most do not, it is a thin shell, and the notes from `mended` on go."""
        corners = self.vertices[self.faces]
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        area = np.linalg.norm(normals, axis=1)
        step = PROBE * self.size * normals / np.maximum(area, 1e-300)[:, None]
        centres = corners.mean(1)
        front, back = (winding(centres + s, self.vertices, self.faces) for s in (step, -step))
        parting = (np.abs(front) > 0.5) != (np.abs(back) > 0.5)
        # A sheet has one half of a turn on each side: what it encloses is up to the last digit.
        parting &= np.abs(np.abs(front) - np.abs(back)) > 0.25
        if area[parting].sum() < SOLID_SHARE * area.sum():
            self.half = SHELL * self.size / 2
            self.vertices, self.faces = self.given  # there are no holes in what encloses nothing
            self.surface = self.faces
            del self.notes[mended:]
            self.notes.append(f"the surface encloses nothing; it is coded as a shell {2 * self.half:.3g} thick")
            return
        if not parting.all():
            self.notes.append(f"{int((~parting).sum())} triangles do not part inside and outside, and were left out")
        inward = float(area[parting][np.abs(front[parting]) > 0.5].sum()) > 0.5 * float(area[parting].sum())
        if inward:
            self.notes.append("its triangles face inwards; they were taken to face outwards")
        self.surface = self.faces[parting]  # the winding number needs all, the distance only those that part


def areas(vertices: Float64Array, faces: Int64Array) -> Float64Array:
    """Areas `[F]` of triangles."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    area: Float64Array = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    return area


def boundary_loops(faces: Int64Array) -> list[Int64Array]:
    """The loops of vertices along edges that belong to one triangle only, each in the direction of its triangles."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    _, first, counts = np.unique(np.sort(edges, axis=1), axis=0, return_index=True, return_counts=True)
    following: dict[int, list[int]] = {}
    for start, stop in edges[first[counts == 1]].tolist():
        following.setdefault(start, []).append(stop)
    loops: list[Int64Array] = []
    while following:
        loop = _loop(following)
        if len(loop) > 2:
            loops.append(np.array(loop))
    return loops


def _loop(following: dict[int, list[int]]) -> Sequence[int]:
    """Takes one loop out of the edges that are left."""
    start = next(iter(following))
    loop, at = [start], start
    while at in following:
        ends = following[at]
        step = ends.pop()
        if not ends:
            del following[at]
        if step == start:
            break
        loop.append(step)
        at = step
    return loop
