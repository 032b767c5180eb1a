"""How close a decoded shape, and its colours, are to their source."""

from collections.abc import Mapping

import numpy as np

from ...config import View
from ...errors import SignalError
from ...metrics import Comparison
from ...signal import TRUNCATION
from ..protocol import Content, Source
from .colours import CHROMA_COST, SCALE, TriangleColours
from .measures import surface_figures
from .sampling import on_surface, to_cells, to_units
from .source import MeshSource
from .write import MeshSink

CELLS = 20_000  # on which the PSNR of a mesh's distances is measured
# What errors of red, green and blue, each alike and on its own, are in the planes that colours are coded in, as those count in a fit: luma has
# 3/8 of a square, the chroma planes 1/2 and 3/8 of one, at a lambda of their own.
COLOUR_ERROR = SCALE**2 * (3 / 8 + 7 / 8 / CHROMA_COST)


def score(source: Source, content: Content) -> Mapping[str, float]:
    """See Medium: the PSNR of the truncated distances, and of a mesh, at samples that its surface crosses, and how far the two surfaces are apart."""
    comparison, row = Comparison(), 0
    if not isinstance(source, MeshSource):
        for slab in content.blocks(View()):
            comparison.add(slab[..., 0], source.read(row, len(slab))[..., 0])
            row += len(slab)
        return {"psnr": comparison.psnr(source.layout.peak)}
    sampled, sink = source.resampled(content.layout), MeshSink(content.layout)
    points, _ = on_surface(source.solid.vertices, source.solid.surface, CELLS, np.random.default_rng(0))
    cells = np.unique(np.rint(to_cells(points, content.layout.frame)).astype(np.int64), axis=0)
    wanted = sampled.values(to_units(cells.astype(np.float64), content.layout.frame))
    for slab in content.blocks(View()):
        here = (cells[:, 0] >= row) & (cells[:, 0] < row + len(slab))
        x, y, z = cells[here].T
        comparison.add(slab[x - row, y, z, 0], wanted[here])
        sink.write(slab)
        row += len(slab)
    figures = {"psnr": comparison.psnr(content.layout.peak)}
    try:
        surface = sink.mesh()
    except SignalError:  # nothing is left of it
        return figures | {"chamfer": float("inf")}
    figures |= surface_figures(source.solid, surface.vertices, surface.faces)
    if source.colours is None or surface.colours is None:
        return figures
    decoded = TriangleColours(surface.vertices, surface.faces, surface.colours[surface.faces]).at(points)
    return figures | {"colours": Comparison.of(decoded, source.colours.at(points)).psnr(1.0)}


def errors(source: Source, weight: float, content: Content) -> float:
    """`weight` times the mean squared error of the truncated distances that `score` says, and of the colours beside them."""
    figures = score(source, content)
    colours = 10 ** (-figures["colours"] / 10) if "colours" in figures else 0.0
    return weight * (10 ** (-figures["psnr"] / 10) + colours * COLOUR_ERROR / TRUNCATION**2)
