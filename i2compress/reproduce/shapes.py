"""Occupancy of a closed shape: random points and whether each lies inside, by the generalised winding number.

The winding number (Jacobson et al. 2013, fast form Barill et al. 2018, from libigl) is right for meshes with holes too, where
counting the crossings of a ray is not: the Stanford bunny has some.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from ..errors import SignalError, UsageError
from ..fit.coordinate import Points
from .signals import Task

NEAR = 0.01  # spread of the test points about the surface, of a shape in [-1, 1]^3
_TESTED = 2**16  # points of each test, at most

Doubles = npt.NDArray[np.float64]


def occupancy(path: Path, count: int, *, seed: int) -> Task:
    """Points in the box of a shape to train on, and two tests: as many in the box, and about the surface.

    Args:
        path: a mesh.
        count: training points.
        seed: of all points.
    """
    vertices, faces = load(path)
    random = np.random.default_rng(seed)
    low, high = vertices.min(0), vertices.max(0)
    train = random.uniform(low, high, (count, 3))
    tests = {"box": random.uniform(low, high, (min(count, _TESTED), 3)), "surface": near(vertices, faces, min(count, _TESTED), random)}
    found = {name: labelled(vertices, faces, points) for name, points in {"train": train, **tests}.items()}
    note = f"{len(faces)} triangles, {count} points, {100 * float(found['train'].y.mean()):.0f} % inside"
    return Task(name=path.stem, points=found.pop("train"), tests=found, occupancy=True, note=note)


def load(path: Path) -> tuple[Doubles, npt.NDArray[np.int64]]:
    """Vertices, moved and scaled so that they lie in [-1, 1]^3, and triangles. Raises SignalError and UsageError."""
    try:
        import trimesh
    except ImportError as error:
        raise UsageError('occupancy needs trimesh and libigl; install them with: pip install "i2compress[reproduce]"') from error
    try:
        mesh = trimesh.load(str(path), force="mesh")
        vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)
    except Exception as error:  # trimesh raises whatever its readers do
        raise SignalError(f"{path}: cannot be read as a mesh ({error}); give a PLY, OBJ, OFF or STL") from error
    if not len(faces):
        raise SignalError(f"{path} has no triangles; give a mesh of a closed surface")
    vertices = vertices - (vertices.min(0) + vertices.max(0)) / 2
    return vertices / np.abs(vertices).max(), faces


def near(vertices: Doubles, faces: npt.NDArray[np.int64], count: int, random: np.random.Generator) -> Doubles:
    """Points about the surface: uniform over its area, moved by a normal distribution of spread NEAR."""
    corners = vertices[faces]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    index = random.choice(len(faces), count, p=areas / areas.sum())
    root, v = np.sqrt(random.uniform(size=(count, 1))), random.uniform(size=(count, 1))
    a, b, c = corners[index].swapaxes(0, 1)
    points: Doubles = (1 - root) * a + root * (1 - v) * b + root * v * c + random.normal(0, NEAR, (count, 3))
    return points


def labelled(vertices: Doubles, faces: npt.NDArray[np.int64], points: Doubles) -> Points:
    """Points with 1 for inside and 0 for outside."""
    try:
        import igl
    except ImportError as error:
        raise UsageError('occupancy needs trimesh and libigl; install them with: pip install "i2compress[reproduce]"') from error
    inside = np.abs(igl.fast_winding_number(vertices, faces, points)) > 0.5
    return Points(x=torch.from_numpy(points.astype(np.float32)), y=torch.from_numpy(inside.astype(np.float32)[:, None]))
