"""The libraries that shapes need, imported when they are needed; where one is missing, a sentence says how to get it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ...arrays import Float64Array
from ...errors import UsageError


def igl() -> Any:
    """libigl: distances and winding numbers."""
    with _needed("libigl"):
        import igl
    return igl


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
