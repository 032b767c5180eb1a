"""A shape in a coordinate field, fitted to one of config.SURFACES: distances on a grid, the sides of places, or the points of a cloud."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ...arrays import Float32Array, Float64Array, Shape
from ...config import EncodeSettings
from ...errors import UsageError
from ...field.coordinate_file import CoordinateFile, slope_code
from ...kinds import Kind
from ...planes import FittedPlane, PlaneJob, code_tolerance
from ...planes.coordinate import file_spec, fit_field
from ...signal import TRUNCATION
from ..protocol import Hooks, Source
from .colours import known
from .sampling import labelled_places, to_cells
from .source import MeshSource

if TYPE_CHECKING:
    from ...fit import Cloud, Labels, Wanted

DEFAULT_GRID = 64
INPUT_SCALE = (60, 64)  # input scale of coordinate fields, and the samples along the longest axis that it is for
NEAR_IMPORTANCE = 16.0  # of samples less than TRUNCATION from the surface; 1 for the others
LABEL_SHARE, MOST_LABELS = 0.5, 2**18  # places whose sides are learned, for each sample of the grid, and at most


def wanted_surface(source: Source, settings: EncodeSettings) -> str:
    """What a field is fitted to, asked for or the default of the source. Raises UsageError where the source does not have it."""
    cloud = isinstance(source, MeshSource) and source.cloud is not None
    if settings.surface == "points" and not cloud:
        raise UsageError("--surface points is for points with normals, and this is a surface or a grid; use --surface distances or occupancy")
    # Only distances have colours beside them, which nobody wants to lose unasked.
    return settings.surface or ("points" if cloud and source.layout.channels == 1 else "distances")


def label_count(samples: int) -> int:
    """Places of a mesh whose sides are learned, with a grid of so many samples."""
    return min(round(LABEL_SHARE * samples), MOST_LABELS)


def colourless(source: Source, surface: str) -> tuple[str, ...]:
    """Leaves the colours of a source out where a field is fitted to something else than distances; a sentence for the user on that."""
    if surface == "distances" or source.layout.channels == 1 or not isinstance(source, MeshSource):
        return ()
    source.layout = replace(source.layout, channels=1)
    return (f"its colours are not coded with --surface {surface}; with --surface distances they are",)


def fit_coordinates(source: Source, surface: str, settings: EncodeSettings, hooks: Hooks) -> FittedPlane:
    """The plane of a shape, fitted to what wanted_surface says."""
    layout = source.layout
    values = np.ascontiguousarray(source.read(0, layout.grid[0]), np.float32)
    importance = np.where(np.abs(values) < 1, np.float32(NEAR_IMPORTANCE), np.float32(1))
    importance[..., 1:] = known(values[..., 1:])[..., None] if layout.channels > 1 else 0
    job = PlaneJob(
        values=values,
        kind=Kind.SHAPE,
        bit_depth=layout.bit_depth,
        settings=settings,
        tolerance=code_tolerance(layout.bit_depth),
        importance=importance,
        on_step=hooks.on_step,
        stop=hooks.stop,
    )
    spec = file_spec(job.grid, job.channels, settings, scale=INPUT_SCALE)
    wanted: Wanted | None = None
    if surface == "occupancy":
        spec = replace(spec, occupancy=True, slope_code=slope_code(1.0))
        wanted = _labels(source, values[..., 0], settings)
    elif surface == "points":
        # Distances of half the longest side are about 1, as what a field starts from is.
        spec = replace(spec, slope_code=slope_code(2 / max(job.grid)))
        wanted = _cloud(source, spec)
    return fit_field(job, spec, wanted)


def _labels(source: Source, values: Float32Array, settings: EncodeSettings) -> "Labels":
    """Places and their sides: of a distance grid, its own samples."""
    from ...fit import Labels

    if isinstance(source, MeshSource):
        layout = source.layout
        count = label_count(layout.samples)
        cells, outside = labelled_places(source.solid, layout.grid, layout.frame, count, np.random.default_rng(settings.seed))
    else:
        cells, outside = np.argwhere(np.ones(values.shape, np.bool_)).astype(np.float64), (values >= 0).ravel()
    return Labels(points=_coordinates(cells, source.layout.grid), outside=outside.astype(np.float32))


def _cloud(source: Source, spec: CoordinateFile) -> "Cloud":
    from ...fit import Cloud

    assert isinstance(source, MeshSource) and source.cloud is not None and spec.slope is not None
    points = _coordinates(to_cells(source.cloud.points, source.layout.frame), spec.grid)
    return Cloud(points=points, normals=source.cloud.normals.astype(np.float32), slope=spec.slope, truncation=TRUNCATION)


def _coordinates(cells: Float64Array, grid: Shape) -> Float32Array:
    """Coordinates `[M, 3]` in [-1, 1] of places `[M, 3]` in samples."""
    found: Float32Array = ((2 * cells + 1) / np.array(grid) - 1).astype(np.float32)
    return found
