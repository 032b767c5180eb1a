"""Points with normals become a surface: the zero set of implicit moving least squares (Kolluri 2005, Provably Good Moving Least Squares), on a grid.

At a place x the distance is the mean of n_i . (x - p_i) over the nearest points, weighed by a Gaussian of |x - p_i| as wide as the points are apart.
"""

from typing import NamedTuple

import numpy as np

from ...arrays import BoolArray, Float32Array, Float64Array, Int64Array
from ...errors import SignalError
from ...kinds import Kind
from ...render.sparse import label_regions
from ...signal import Frame, Layout
from .libraries import nearest_points
from .write import MeshSink

NEIGHBOURS = 10
SPACING_SHARE = 1.5  # samples of the grid, in distances between points
WIDTH_SHARE = 2.0  # of the Gaussian, in the same
REACH = 3  # samples around a point that have a distance
MOST_SAMPLES = 256  # along the longest side
LEAST_POINTS = 32


class OrientedCloud(NamedTuple):
    """Points `[N, 3]` in the shape's units, and unit normals `[N, 3]` that face outwards."""

    points: Float64Array
    normals: Float64Array


def oriented(points: Float64Array, normals: Float64Array, name: str) -> OrientedCloud:
    """Those of points `[N, 3]` that have a place and a normal `[N, 3]`. Raises SignalError for too few of them."""
    length = np.linalg.norm(normals, axis=1)
    good = np.isfinite(points).all(1) & np.isfinite(length) & (length > 0)
    points, normals = points[good], normals[good] / length[good, None]
    if len(points) < LEAST_POINTS:
        raise SignalError(f"{name} has {len(points)} points with normals; expected at least {LEAST_POINTS}: give a denser scan")
    return OrientedCloud(points, normals)


def surface_of(cloud: OrientedCloud, name: str) -> tuple[Float64Array, Int64Array]:
    """Vertices and triangles of the surface through a cloud. Raises SignalError where all its points are at one place."""
    points, normals = cloud
    tree = nearest_points(points)
    apart = float(np.median(tree.query(points, 2)[0][:, 1]))
    low, high = points.min(0), points.max(0)
    spacing = max(SPACING_SHARE * apart, float((high - low).max()) / MOST_SAMPLES)
    if not spacing > 0:
        raise SignalError(f"{name} has points at one place only; give a scan of a surface")
    corner = low - (REACH + 2) * spacing
    grid = tuple(int(size) for size in np.ceil((high - corner) / spacing) + REACH + 2)
    values = np.full(grid, np.nan, np.float32)
    cells = np.unique(np.floor((points - corner) / spacing).astype(np.int64), axis=0)
    near = np.zeros(grid, np.bool_)
    for offset in np.ndindex(*(2 * REACH + 1,) * 3):
        near[tuple((cells + np.array(offset) - REACH).T)] = True
    places = np.argwhere(near)
    values[near] = _distances(corner + (places + 0.5) * spacing, points, normals, tree, WIDTH_SHARE * max(apart, spacing / 2)) / spacing
    frame = Frame(corner=(corner[0], corner[1], corner[2]), spacing=(spacing, spacing, spacing))
    sink = MeshSink(Layout(kind=Kind.SHAPE, grid=grid, channels=1, bit_depth=16, frame=frame))
    sink.write(_filled(values, near)[..., None])
    surface = sink.mesh()
    return surface.vertices, surface.faces


def _distances(places: Float64Array, points: Float64Array, normals: Float64Array, tree: object, width: float) -> Float32Array:
    """Signed distances `[M]` at places `[M, 3]`."""
    distance, index = tree.query(places, NEIGHBOURS)  # type: ignore[attr-defined]  # scipy has no types here
    # Relative to the nearest point, so that the weights of places far from all of them do not vanish.
    weights = np.exp(-(np.square(distance) - np.square(distance[:, :1])) / width**2)
    along = ((places[:, None] - points[index]) * normals[index]).sum(2)
    found: Float32Array = ((weights * along).sum(1) / weights.sum(1)).astype(np.float32)
    return found


def _filled(values: Float32Array, near: BoolArray) -> Float32Array:
    """The grid with +-1 where no distance is known: outside where the region holds a corner of the grid, inside elsewhere."""
    regions = label_regions(~near)
    outside = regions == regions[0, 0, 0]
    # A hole of the scan joins inside and outside, and the surface ends there: what it encloses is then up to the winding number.
    return np.where(near, np.clip(values, -1, 1), np.where(outside, np.float32(1), np.float32(-1)))
