"""Whether parts of a surface did not survive: horns, wires and sheets that are thinner than the grid holds."""

import numpy as np

from ...render.sparse import SparseRenderer
from .libraries import nearest_points
from .sampling import on_surface, to_cells
from .source import MeshSource

POINTS = 20_000  # of the source's surface
AWAY = 2.0  # samples: what is so far from the decoded surface is lost, and no edge that was rounded
LOST_SHARE = 0.001  # of the area: less is not said


def lost_share(source: MeshSource, renderer: SparseRenderer) -> float:
    """The share of the source's area that is more than AWAY samples from the decoded surface, 0..1."""
    places = renderer.crossings()
    if not len(places):
        return 1.0
    solid = source.solid
    surface, _ = on_surface(solid.vertices, solid.surface, POINTS, np.random.default_rng(0))
    cells = to_cells(surface, source.layout.frame)
    distance = nearest_points(places).query(cells)[0]
    return float((distance > AWAY + solid.half / source.layout.frame.sample).mean())


def lost_parts(source: MeshSource, renderer: SparseRenderer) -> tuple[str, ...]:
    """A sentence for the user where something is lost."""
    share = lost_share(source, renderer)
    if share < LOST_SHARE:
        return ()
    what = f"about {100 * share:.1f} % of the surface is lost, where it is too thin for {max(source.layout.grid)} samples along the longest side"
    return (f"{what}; a larger --grid or a higher -q keeps it",)
