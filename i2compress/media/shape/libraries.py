"""The libraries that shapes need, imported when they are needed; where one is missing, a sentence says how to get it."""

import importlib
from typing import Any

from ...arrays import Float64Array
from ...errors import UsageError


def igl() -> Any:
    """libigl: distances and winding numbers."""
    return _library("igl", "libigl")


def trimesh() -> Any:
    """trimesh: mesh files."""
    return _library("trimesh", "trimesh")


def marching_cubes() -> Any:
    """skimage.measure.marching_cubes."""
    return _library("skimage.measure", "scikit-image").marching_cubes


def nearest_points(points: Float64Array) -> Any:
    """A k-d tree of points `[N, 3]`, from SciPy, which scikit-image brings along."""
    return _library("scipy.spatial", "scipy").cKDTree(points)


def _library(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UsageError(f'meshes need {package}, which is not installed; install it with: pip install "i2compress[shape]"') from error
