"""How far two surfaces are apart. Distances are from points on one surface to the nearest place of the other (not to the nearest of
its sampled points, whose spacing would be a floor that no codec gets under), in millionths of the longest side of the source's box.

Definitions follow Tatarchenko et al., What Do Single-view 3D Reconstruction Networks Learn?, CVPR 2019 (F-score) and Mescheder et al.,
Occupancy Networks, CVPR 2019 (Chamfer-L1, normal consistency, IoU).
"""

import numpy as np

from ...arrays import BoolArray, Float64Array, Int64Array
from .libraries import closest, winding
from .sampling import on_surface
from .solid import Solid

MILLION = 1e6
POINTS = 30_000  # on each surface
VOLUME_POINTS = 30_000
THRESHOLD = 2500.0  # millionths: 0.005 of the cube [-1, 1]


def nearest(points: Float64Array, normals: Float64Array, vertices: Float64Array, faces: Int64Array) -> tuple[Float64Array, Float64Array]:
    """From points `[M, 3]` with unit normals to a surface: the distance of each, and the cosine of the angle to the normal there."""
    distance, index, _ = closest(points, vertices, faces)
    cosines: Float64Array = (normals * unit_normals(vertices, faces[index])).sum(1)
    return distance, cosines


def unit_normals(vertices: Float64Array, faces: Int64Array) -> Float64Array:
    """Of triangles `[F, 3]`."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    length: Float64Array = np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300)
    return np.asarray(normals / length)


def chamfer_l1(there: Float64Array, back: Float64Array) -> float:
    """Half of the mean distance there and of that back."""
    return float(there.mean() + back.mean()) / 2


def chamfer_l2(there: Float64Array, back: Float64Array) -> float:
    """The root of half of the mean squared distances there and back."""
    return float(np.sqrt((np.square(there).mean() + np.square(back).mean()) / 2))


def hausdorff(there: Float64Array, back: Float64Array) -> float:
    """The largest distance of a sampled point, there or back."""
    return float(max(there.max(), back.max()))


def f_score(there: Float64Array, back: Float64Array, threshold: float) -> float:
    """The harmonic mean, in percent, of the shares of points nearer than the threshold: recall there, precision back."""
    recall, precision = float((there < threshold).mean()), float((back < threshold).mean())
    return 200 * recall * precision / (recall + precision) if recall + precision else 0.0


def normal_consistency(there: Float64Array, back: Float64Array) -> float:
    """The mean of the cosines between normals at nearest places, as magnitudes, there and back, in percent."""
    return 50 * float(np.abs(there).mean() + np.abs(back).mean())


def intersection_over_union(one: BoolArray, other: BoolArray) -> float:
    """Of two solids, by which of the same random points they hold, in percent."""
    union = int((one | other).sum())
    return 100 * float((one & other).sum()) / union if union else 100.0


Nearest = tuple[Float64Array, Float64Array]


def both_ways(source: Solid, vertices: Float64Array, faces: Int64Array, random: np.random.Generator) -> tuple[Nearest, Nearest]:
    """From points of the source to a decoded surface, and back: distances in millionths, and the cosines of normals; see nearest."""
    found = []
    own = (source.vertices, source.surface)
    for here, there in ((own, (vertices, faces)), ((vertices, faces), own)):
        points, index = on_surface(*here, POINTS, random)
        distance, cosines = nearest(points, unit_normals(here[0], here[1][index]), *there)
        # The two sides of a shell lie so far from the surface that was given.
        distance = np.abs(distance - source.half) if source.half else distance
        found.append((distance * (MILLION / source.size), cosines))
    return found[0], found[1]


def chamfer(source: Solid, vertices: Float64Array, faces: Int64Array) -> float:
    """The Chamfer-L1 distance of a decoded surface, in millionths."""
    (there, _), (back, _) = both_ways(source, vertices, faces, np.random.default_rng(0))
    return chamfer_l1(there, back)


def surface_figures(source: Solid, vertices: Float64Array, faces: Int64Array) -> dict[str, float]:
    """All of them for a decoded surface, by the names of metrics.FIGURES."""
    random = np.random.default_rng(0)
    (there, cos_there), (back, cos_back) = both_ways(source, vertices, faces, random)
    box = random.uniform(source.low, source.high, (VOLUME_POINTS, 3))
    decoded = np.abs(winding(box, vertices, faces)) > 0.5
    return {
        "chamfer": chamfer_l1(there, back),
        "chamfer_l2": chamfer_l2(there, back),
        "hausdorff": hausdorff(there, back),
        "f_score": f_score(there, back, THRESHOLD),
        "normals": normal_consistency(cos_there, cos_back),
        "iou": intersection_over_union(source.inside(box), decoded),
    }
