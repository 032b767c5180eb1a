"""Occupancy of a closed shape: random points and whether each lies inside, by the generalised winding number (see media.shape.solid)."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from ..errors import SignalError
from ..fit.coordinate import Points
from ..media.shape.files import read_triangles
from ..media.shape.libraries import igl
from ..media.shape.sampling import on_surface
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
        data = path.read_bytes()
    except OSError as error:
        raise SignalError(f"{path}: cannot be read ({error.strerror}); check the name") from error
    vertices, faces = read_triangles(data, path.suffix.lower().removeprefix("."), str(path))[:2]
    vertices = vertices - (vertices.min(0) + vertices.max(0)) / 2
    return vertices / np.abs(vertices).max(), faces


def near(vertices: Doubles, faces: npt.NDArray[np.int64], count: int, random: np.random.Generator) -> Doubles:
    """Points about the surface: uniform over its area, moved by a normal distribution of spread NEAR."""
    return on_surface(vertices, faces, count, random)[0] + random.normal(0, NEAR, (count, 3))


def labelled(vertices: Doubles, faces: npt.NDArray[np.int64], points: Doubles) -> Points:
    """Points with 1 for inside and 0 for outside."""
    inside = np.abs(igl().fast_winding_number(vertices, faces, points)) > 0.5
    return Points(x=torch.from_numpy(points.astype(np.float32)), y=torch.from_numpy(inside.astype(np.float32)[:, None]))
