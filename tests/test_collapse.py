"""Pictures on which such fits are known to end flat: bright ones, pages of text and screens, at high and low rates."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from i2compress.arrays import Float32Array
from i2compress.config import EncodeSettings
from i2compress.fit.distortion import SquaredError
from i2compress.fit.problem import Problem
from i2compress.fit.schedule import Coarse, Schedule
from i2compress.fit.stages import fit_pyramid
from i2compress.media.image.encode import pyramid_spec

CPU = torch.device("cpu")
HEIGHT, WIDTH = 64, 96


def page() -> Float32Array:
    """Black letters on white, below a blue bar."""
    rng, values = np.random.default_rng(0), np.ones((HEIGHT, WIDTH, 3), np.float32)
    for y in range(10, HEIGHT - 10, 12):
        for x in range(10, WIDTH - 12, 7):
            if rng.random() < 0.8:
                values[y : y + 7, x : x + 5] = np.where(rng.random((7, 5, 1)) < 0.5, 0.1, 1.0)
    values[:8] = (0.2, 0.4, 0.8)
    return values


def bright() -> Float32Array:
    """Faint waves near white, and a gray rectangle."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    values = np.stack([0.97 - 0.03 * np.cos(x / 40 + channel) * np.sin(y / 30) for channel in range(3)], -1).astype(np.float32)
    values[20:30, 25:45] = 0.85
    return values


def screen() -> Float32Array:
    """A dark column, pale panels, a line and a green button."""
    values = np.full((HEIGHT, WIDTH, 3), 0.96, np.float32)
    values[:, :24], values[10:30, 30:90], values[40:42], values[50:54, 30:75] = (0.15, 0.16, 0.2), (0.9, 0.93, 1.0), 0.7, (0.2, 0.6, 0.3)
    return values


@pytest.mark.parametrize("lam", [2e-2, 2e-3, 5e-5])
@pytest.mark.parametrize("make", [page, bright, screen])
def test_a_picture_does_not_end_flat(make: Callable[[], Float32Array], lam: float) -> None:
    values = make()
    flat = float(((values - values.mean((0, 1))) ** 2).mean())  # what the best flat picture costs
    spec = pyramid_spec(values.shape[:2], 3, EncodeSettings(lam=lam))
    schedule = Schedule(steps=40, coarse=Coarse(samples=1), compensation=None)
    problem = Problem(SquaredError(values, device=CPU), spec, lam, device=CPU, schedule=schedule)
    fitted = fit_pyramid(problem)
    latents = [torch.from_numpy(grid.astype(np.float32))[None, None] for grid in fitted.latents]
    assert problem.distortion_of(latents, problem.windows[0]) < 0.5 * flat
    assert fitted.loss < 0.9 * flat
