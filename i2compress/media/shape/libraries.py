"""The libraries that shapes need, imported when they are needed; where one is missing, a sentence says how to get it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...arrays import Float64Array, Int64Array
from ...errors import UsageError


def igl() -> Any:
    """libigl: distances and winding numbers."""
    with _needed("libigl"):
        import igl
    return igl


def closest(points: Float64Array, vertices: Float64Array, faces: Int64Array) -> tuple[Float64Array, Int64Array, Float64Array]:
    """From points `[M, 3]` to the nearest places of a surface: how far, `[M]`, on which triangle, `[M]`, and where, `[M, 3]`."""
    centre, scale = _box(vertices)
    moved = [np.ascontiguousarray((places - centre) / scale) for places in (points, vertices)]
    square, index, places = igl().point_mesh_squared_distance(*moved, np.ascontiguousarray(faces))
    return np.sqrt(np.maximum(square, 0)) * scale, np.asarray(index, np.int64), places * scale + centre


def winding(points: Float64Array, vertices: Float64Array, faces: Int64Array) -> Float64Array:
    """Generalised winding numbers `[M]` of points `[M, 3]`."""
    centre, scale = _box(vertices)
    surface, moved = (np.ascontiguousarray((places - centre) / scale) for places in (vertices, points))
    found: Float64Array = igl().fast_winding_number(surface, np.ascontiguousarray(faces), moved)
    return found


def _box(vertices: Float64Array) -> tuple[Float64Array, float]:
    """The centre and the size of what is asked about: libigl loses small surfaces far from the origin, and very large or small ones."""
    low, high = vertices.min(0), vertices.max(0)
    return (low + high) / 2, float((high - low).max()) or 1.0


def trimesh() -> Any:
    """trimesh: mesh files."""
    with _needed("trimesh"):
        import trimesh
    return trimesh


def marching_cubes() -> Any:
    """skimage.measure.marching_cubes."""
    with _needed("scikit-image"):
        from skimage.measure import marching_cubes
    return marching_cubes


def sparse() -> Any:
    """scipy.sparse, which scikit-image brings along."""
    with _needed("scipy"):
        import scipy.sparse
    return scipy.sparse


def nearest_points(points: Float64Array) -> Any:
    """A k-d tree of points `[N, 3]`, from SciPy, which scikit-image brings along."""
    with _needed("scipy"):
        from scipy.spatial import cKDTree
    return cKDTree(points)


@contextmanager
def _needed(package: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise UsageError(f'meshes need {package}, which is not installed; install it with: pip install "i2compress[shape]"') from error
