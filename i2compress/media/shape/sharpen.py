"""Flat faces and sharp edges: a field is smooth, and a surface of flat parts comes out of it slightly wavy, with its edges rounded.

A file says where that is so, and the extracted surface is then filtered: normals of triangles become means of those around that are
like them (bilateral normal filtering: Zheng et al. 2011), and vertices move to where the triangles have these normals (Sun et al. 2007).
"""

from typing import Any

import numpy as np

from ...arrays import Float64Array, Int64Array
from .libraries import sparse

ROUNDS = 10  # of normals, for each sample of the view that a sample of the file is long: a round reaches one triangle further
VERTEX_SHARE = 0.75  # of as many rounds: those of vertices
ALIKE = 0.15  # standard deviation of the difference between unit normals that are of one flat part
NEAR = 2.0  # that of the distance between triangles, in mean ones
_CHUNK = 1 << 20  # pairs of triangles weighed at once


def sharpened(vertices: Float64Array, faces: Int64Array, rounds: int) -> Float64Array:
    """The vertices `[V, 3]` of a surface, moved; triangles `[F, 3]` stay as they are."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    area = np.linalg.norm(normals, axis=1)
    normals /= np.maximum(area, 1e-300)[:, None]
    touching = _touching(faces, len(vertices))
    normals = _filtered(normals, area, (a + b + c) / 3, (touching.T @ touching).tocsr(), rounds)
    return _moved(vertices, faces, normals, area, touching, round(VERTEX_SHARE * rounds))


def _touching(faces: Int64Array, count: int) -> Any:
    """`[V, F]`, sparse: 1 where a triangle has a vertex."""
    ones, columns = np.ones(faces.size, np.float32), np.repeat(np.arange(len(faces)), 3)
    return sparse().csr_matrix((ones, (faces.ravel(), columns)), shape=(count, len(faces)))


def _filtered(normals: Float64Array, area: Float64Array, centres: Float64Array, around: Any, rounds: int) -> Float64Array:
    """Unit normals `[F, 3]` after the filter; `around`, `[F, F]` sparse, is not 0 where two triangles touch."""
    column, starts = around.indices, around.indptr
    row = np.repeat(np.arange(len(normals), dtype=column.dtype), np.diff(starts))
    parts = [slice(at, at + _CHUNK) for at in range(0, len(row), _CHUNK)]
    apart = np.concatenate([np.linalg.norm(centres[row[part]] - centres[column[part]], axis=1) for part in parts])
    apart /= NEAR * max(float(apart.mean()), 1e-300)
    still = (area[column] / max(float(area.mean()), 1e-300) * np.exp(-np.square(apart) / 2)).astype(np.float32)
    found = normals.astype(np.float32)
    for _ in range(rounds):
        # |a - b|^2 of unit vectors is 2 - 2 a b.
        alike = np.concatenate([np.einsum("ij,ij->i", found[row[part]], found[column[part]]) for part in parts])
        weights = still * np.exp((alike - 1) / np.float32(ALIKE**2))
        found = sparse().csr_matrix((weights, column, starts), shape=around.shape) @ found
        found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), np.float32(1e-30))
    return found.astype(np.float64)


def _moved(vertices: Float64Array, faces: Int64Array, normals: Float64Array, area: Float64Array, touching: Any, rounds: int) -> Float64Array:
    """Vertices `[V, 3]` after steps towards the planes through the centres of their triangles, with those normals."""
    total = np.maximum(touching @ area, 1e-300)[:, None]
    outer = (touching @ (area[:, None, None] * normals[:, :, None] * normals[:, None, :]).reshape(-1, 9)).reshape(-1, 3, 3)
    for _ in range(rounds):
        along = (normals * vertices[faces].mean(1)).sum(1)
        wanted = touching @ ((area * along)[:, None] * normals)
        vertices = vertices + (wanted - np.einsum("vij,vj->vi", outer, vertices)) / total
    return vertices
