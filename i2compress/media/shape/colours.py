"""Colours of a surface: those of a source at any place, and the three planes that a file has of them.

The planes are a luma and two chroma values (the YCoCg transform: Malvar and Sullivan 2003), times SCALE: so much an error of them weighs
beside one of a distance of one sample. With 4, files of smooth colours had twice the bytes for colours that looked the same.
"""

from typing import Protocol

import numpy as np

from ...arrays import BoolArray, Float32Array, Float64Array, Int64Array
from .libraries import closest, nearest_points

PLANES = 3
SCALE = 2.0
CHROMA_COST = 2.0  # lambda of the chroma planes, in those of luma
NEIGHBOURS = 4  # points of a cloud that a colour is the mean of


class Colours(Protocol):
    """The colours of a surface."""

    def at(self, points: Float64Array) -> Float64Array:
        """Red, green and blue `[M, 3]` in [0, 1] of the nearest place of the surface to points `[M, 3]` in the shape's units."""


class TriangleColours:
    """Colours at the corners of triangles, linear in between.

    Args:
        vertices: `[V, 3]`.
        faces: `[F, 3]`.
        corners: `[F, 3, 3]`, of each corner of each triangle red, green and blue in [0, 1].
    """

    def __init__(self, vertices: Float64Array, faces: Int64Array, corners: Float64Array) -> None:
        inside = ((faces >= 0) & (faces < len(vertices))).all(1)
        faces, corners = faces[inside], corners[inside]
        valid = np.isfinite(vertices[faces]).all((1, 2))
        used, numbers = np.unique(faces[valid], return_inverse=True)
        self._vertices, self._faces, self._corners = vertices[used], numbers.reshape(-1, 3), corners[valid]

    def at(self, points: Float64Array) -> Float64Array:
        """See Colours."""
        _, index, places = closest(points, self._vertices, self._faces)
        a, b, c = (self._vertices[self._faces[index, k]] for k in range(3))
        weights = _barycentric(places, a, b, c)
        found: Float64Array = (weights[..., None] * self._corners[index]).sum(1)
        return found


class PointColours:
    """Colours `[N, 3]` in [0, 1] of points `[N, 3]`."""

    def __init__(self, points: Float64Array, colours: Float64Array) -> None:
        good = np.isfinite(points).all(1)
        self._tree, self._colours = nearest_points(points[good]), colours[good]

    def at(self, points: Float64Array) -> Float64Array:
        """See Colours."""
        _, index = self._tree.query(points, min(NEIGHBOURS, len(self._colours)))
        found: Float64Array = self._colours[index.reshape(len(points), -1)].mean(1)
        return found


def _barycentric(places: Float64Array, a: Float64Array, b: Float64Array, c: Float64Array) -> Float64Array:
    """Weights `[M, 3]` of the corners of triangles at places on them; of a triangle without an area, of its first corner."""
    normal = np.cross(b - a, c - a)
    square = (normal**2).sum(1)
    safe = np.where(square > 0, square, 1)
    v = (np.cross(places - a, c - a) * normal).sum(1) / safe
    w = (np.cross(b - a, places - a) * normal).sum(1) / safe
    weights: Float64Array = np.clip(np.stack([1 - v - w, v, w], 1), 0, 1)
    weights /= weights.sum(1, keepdims=True)
    return weights


def to_planes(rgb: Float64Array) -> Float32Array:
    """Values `[M, PLANES]` of the planes, of colours `[M, 3]`."""
    r, g, b = rgb[:, 0], rgb[:, 1], rgb[:, 2]
    planes = np.stack([(r + 2 * g + b) / 4 - 0.5, (r - b) / 2, (2 * g - r - b) / 4], 1)
    return (SCALE * planes).astype(np.float32)


def from_planes(planes: Float32Array) -> Float32Array:
    """Mirror of to_planes, of `[..., PLANES]`, cut to [0, 1]; -1 where a plane is NaN."""
    y, co, cg = (planes[..., k] / np.float32(SCALE) for k in range(PLANES))
    rgb = np.clip(np.stack([y + 0.5 + co - cg, y + 0.5 + cg, y + 0.5 - co - cg], -1), 0, 1)
    return np.where(np.isnan(rgb), np.float32(-1), rgb)


def known(rgb: Float32Array) -> BoolArray:
    """Where `[..., 3]` are colours, and not -1."""
    found: BoolArray = rgb[..., 0] >= 0
    return found


def along_edges(vertices: Float64Array, rgb: Float32Array) -> Float64Array:
    """Colours `[V, 3]` of vertices `[V, 3]`, each on an edge between two samples of a grid of colours `[X, Y, Z, 3]`: linear between those known."""
    low = np.floor(vertices).astype(np.intp)
    high = np.minimum(np.ceil(vertices).astype(np.intp), np.array(rgb.shape[:3]) - 1)
    share = (vertices - low).max(1)
    total, weight = np.zeros((len(vertices), 3)), np.zeros(len(vertices))
    for place, part in ((low, 1 - share), (high, share)):
        colour = rgb[tuple(place.T)]
        part = np.where(known(colour), part + 1e-6, 0)
        total += part[:, None] * colour
        weight += part
    # Far from all that is known a surface is gray.
    found: Float64Array = np.where(weight[:, None] > 0, total / np.maximum(weight, 1e-12)[:, None], 0.5)
    return found
