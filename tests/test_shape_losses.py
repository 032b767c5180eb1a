"""Thin parts of shapes: they weigh more in the fit, and what is lost all the same is said."""

import numpy as np
import pytest
from shapes import Mesh, box, join, ply, sphere

from i2compress import EncodeSettings, codec, media
from i2compress.errors import SignalError
from i2compress.media.shape.sampling import frame_of, on_surface, thin
from i2compress.media.shape.solid import Solid


def ball_with_rod(half: float) -> Mesh:
    """A ball of radius 0.6 with a square rod of that half side, from inside of it to x = 1.8."""
    return join(sphere(0.6), box((0.4, -half, -half), (1.8, half, half)))


def notes_of(mesh: Mesh, grid: int) -> list[str]:
    settings = EncodeSettings(grid=grid, lam=2e-3, steps=60, threads=1, device="cpu")
    with media.open_source(ply(mesh)) as opened:
        return [note for note in codec.encode(opened.source, settings).coded.notes if "is lost" in note]


def test_a_rod_that_the_grid_cannot_hold_is_said_to_be_lost_with_its_share_and_what_to_do() -> None:
    (note,) = notes_of(ball_with_rod(0.01), 24)  # a sixth of a sample thick
    assert 0.5 < float(note.split()[1]) < 4 and "24 samples" in note and "--grid" in note


def test_what_has_no_surface_left_is_no_file() -> None:
    with pytest.raises(SignalError, match=r"nothing of the surface is left.*--grid"):
        notes_of(box((0, 0, 0), (1, 1, 1e-4)), 16)


def test_nothing_is_said_of_a_rod_of_two_samples_or_of_sharp_edges() -> None:
    assert not notes_of(ball_with_rod(0.12), 32)


def test_thin_is_where_another_part_of_the_surface_is_near_and_nowhere_else() -> None:
    solid = Solid(*ball_with_rod(0.04), "rod")
    _, frame = frame_of(solid, 32, 2)  # the rod is 0.9 samples thick
    points, index = on_surface(solid.vertices, solid.surface, 4000, np.random.default_rng(0))
    found = thin(solid, points, index, frame)
    along = (points[:, 0] > 0.75) & (points[:, 0] < 1.7)
    ball = points[:, 0] < 0.4
    assert along.sum() > 50 and found[along].all() and not found[ball].any()
