"""From a solid to what a field is fitted to: a grid around it, the blocks near its surface, and distances at points."""

import math
from collections.abc import Callable

import numpy as np

from ...arrays import BoolArray, Float32Array, Float64Array, FloatingArray, Int64Array, Shape
from ...coding.lattice import Lattice, interpolate
from ...signal import Frame
from .solid import Solid, areas

SHIFT = 0.1  # samples that the grid may be moved by for the sake of a rounder corner
MARGIN = 3  # samples around the shape's box
REACH = 2  # samples from the surface to the cells that points near it are interpolated from
DENSITY = 4.0  # points for each sample that the surface crosses, to find the blocks it is in
NEAR_POINTS = 2.0  # points to fit for each sample that the surface crosses
SPREAD = 0.45  # standard deviation of their distance from it, in samples
LABELS_NEAR, LABEL_SPREAD = 0.5, 1.0  # of places whose side is learned: the share about the surface, and how far from it in the same way
FAR_SHARE = 0.5  # of as many points: cells of active blocks
FAR_IMPORTANCE = 0.25
THIN_IMPORTANCE = 4.0  # of points where the solid, or a gap in it, is thin: the error there is small, and what hangs on it is lost with it
THIN_PROBES = (0.4, 0.9)  # samples to both sides of the surface; where another part of it is much nearer than that, it is thin
THIN_SHARE = 0.6  # of a probe's length
FACING = -0.5  # cosine between the normals of the two parts, at most: at a sharp edge it is more
START_LIMIT = 3.0  # starting distances are cut to so many strides of their level


def frame_of(solid: Solid, resolution: int, block: int) -> tuple[Shape, Frame]:
    """The grid around a solid and where it lies: about `resolution` samples along its longest side, whole blocks of side 2**block."""
    spacing = solid.size / max(1, resolution - 2 * MARGIN)
    side = 1 << block
    grid = tuple(math.ceil((extent / spacing + 2 * MARGIN) / side) * side for extent in (solid.high - solid.low).tolist())
    corner = (solid.low + solid.high) / 2 - np.array(grid) * spacing / 2
    # In single precision, which takes less of the file, where that is much less than a sample away.
    single = corner.astype(np.float32).astype(np.float64)
    x, y, z = (single if np.abs(single - corner).max() < SHIFT * spacing else corner).tolist()
    spacing = float(np.float32(spacing))
    return grid, Frame(corner=(x, y, z), spacing=(spacing, spacing, spacing))


def to_cells(points: FloatingArray, frame: Frame) -> Float64Array:
    """Points `[M, 3]` in samples of the grid, from the shape's units."""
    cells: Float64Array = (points - np.array(frame.corner)) / np.array(frame.spacing) - 0.5
    return cells


def to_units(cells: FloatingArray, frame: Frame) -> Float64Array:
    """The shape's units, from samples of the grid."""
    points: Float64Array = np.array(frame.corner) + (cells + 0.5) * np.array(frame.spacing)
    return points


def on_surface(vertices: Float64Array, faces: Int64Array, count: int, random: np.random.Generator) -> tuple[Float64Array, Int64Array]:
    """`[count, 3]` points, uniform over the area of triangles, and the triangle of each."""
    area = areas(vertices, faces)
    index = random.choice(len(faces), count, p=area / area.sum())
    root, v = np.sqrt(random.uniform(size=(count, 1))), random.uniform(size=(count, 1))
    a, b, c = (vertices[faces[index, k]] for k in range(3))
    return (1 - root) * a + root * (1 - v) * b + root * v * c, index


def crossed(solid: Solid, frame: Frame) -> float:
    """Samples of the grid that the surface crosses, about: its area."""
    return max(1.0, solid.area / frame.sample**2)


def active_blocks(solid: Solid, grid: Shape, frame: Frame, block: int, random: np.random.Generator) -> BoolArray:
    """The blocks that hold a cell within REACH of the surface."""
    points = np.concatenate([on_surface(solid.vertices, solid.surface, round(DENSITY * crossed(solid, frame)), random)[0], solid.vertices])
    half = solid.half / frame.sample
    cells = np.unique(np.rint(to_cells(points, frame)).astype(np.int64), axis=0)
    reach = REACH + math.ceil(half)
    active = np.zeros(tuple(-(-size >> block) for size in grid), np.bool_)
    for corner in np.ndindex(3, 3, 3):
        near = (cells + reach * (np.array(corner) - 1)) >> block
        inside = ((near >= 0) & (near < np.array(active.shape))).all(1)
        active[tuple(near[inside].T)] = True
    return active


def near_points(solid: Solid, lattice: Lattice, frame: Frame, random: np.random.Generator) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Points `[M, 3]` and distances `[M]` in samples, and the importance of each: about the surface, and cells of active blocks."""
    count = round(NEAR_POINTS * crossed(solid, frame))
    surface, index = on_surface(solid.vertices, solid.surface, count, random)
    near = to_cells(surface, frame) + random.normal(0, SPREAD, (count, 3))
    finest = lattice.levels[0].cells
    far = finest[random.choice(len(finest), min(len(finest), round(FAR_SHARE * count)), replace=False)].astype(np.float64)
    points = np.concatenate([near, far])
    distance = solid.distance(to_units(points, frame)) / frame.sample
    importance = np.concatenate([np.where(thin(solid, surface, index, frame), THIN_IMPORTANCE, 1.0), np.full(len(far), FAR_IMPORTANCE)])
    return points.astype(np.float32), distance.astype(np.float32), importance.astype(np.float32)


def coloured_points(solid: Solid, frame: Frame, random: np.random.Generator) -> tuple[Float32Array, Float64Array]:
    """Points `[M, 3]` in samples about the surface, and the places of it `[M, 3]` in the shape's units whose colours they are to have."""
    count = round(NEAR_POINTS * crossed(solid, frame))
    surface, index = on_surface(solid.vertices, solid.surface, count, random)
    a, b, c = (solid.vertices[solid.surface[index, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300)
    # Along the normal, and no farther than the distances that a surface is found between: to the side colours would be mixed.
    away = random.uniform(-1, 1, (count, 1)) + solid.half / frame.sample * random.choice([-1, 1], (count, 1))
    points = to_cells(surface, frame) + away * normals
    return points.astype(np.float32), surface


def labelled_places(solid: Solid, grid: Shape, frame: Frame, count: int, random: np.random.Generator) -> tuple[Float64Array, BoolArray]:
    """Places `[count, 3]` in samples, and whether each is outside: some of them anywhere in the grid, some about the surface."""
    about, end = round(LABELS_NEAR * count), np.array(grid) - 0.5
    near = to_cells(on_surface(solid.vertices, solid.surface, about, random)[0], frame) + random.normal(0, LABEL_SPREAD, (about, 3))
    cells = np.concatenate([random.uniform(-0.5, end, (count - about, 3)), near.clip(-0.5, end)])
    return cells, ~solid.inside(to_units(cells, frame))


def thin(solid: Solid, surface: Float64Array, index: Int64Array, frame: Frame) -> BoolArray:
    """Whether the solid, or the gap beside it, is thinner than about one and a half samples at points `[M, 3]` of the triangles `index`."""
    if solid.half:
        return np.full(len(surface), 2 * solid.half < THIN_PROBES[-1] * frame.sample)
    a, b, c = (solid.vertices[solid.surface[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300)
    own = normals[index]
    found = np.zeros(len(surface), np.bool_)
    for probe in THIN_PROBES:
        for way in (probe, -probe):
            distance, other = solid.nearest(surface + way * frame.sample * own)
            found |= (distance < THIN_SHARE * probe * frame.sample) & ((normals[other] * own).sum(1) < FACING)
    return found


def starting_latents(solid: Solid, lattice: Lattice, frame: Frame, step: float) -> list[Float32Array]:
    """Latents `[N]` of each level, finest first, that give the distance of every cell."""

    def distances(points: Float64Array, stride: float) -> Float64Array:
        return np.clip(solid.distance(points) / frame.sample, -START_LIMIT * stride, START_LIMIT * stride)

    return latents_of(distances, lattice, frame, step)


def latents_of(wanted_at: Callable[[Float64Array, float], Float64Array], lattice: Lattice, frame: Frame, step: float) -> list[Float32Array]:
    """Latents `[N]` of each level, finest first, that give the cells' values: what the coarser levels leave of them, in steps.

    Args:
        wanted_at: values `[M]` at points `[M, 3]` in the shape's units, as cells of so many samples a side have them.
    """
    latents: list[Float32Array] = []
    known: Float32Array | None = None
    for level in reversed(lattice.levels):
        stride = float(1 << level.level)
        centres = (level.cells + 0.5) * stride - 0.5
        wanted = wanted_at(to_units(centres, frame), stride).astype(np.float32)[:, None]
        latents.insert(0, ((wanted if known is None else wanted - interpolate(known, lattice.parents[level.level]))[:, 0] / np.float32(step)))
        known = wanted
    return latents
