"""Finest grids that are 0 everywhere, which take no bytes (coding.latents), and once that is settled no time either."""

from collections.abc import Callable

import torch
from torch import Tensor

from .problem import Problem


def silent_grids(latents: list[Tensor]) -> int:
    """How many of the finest grids are 0; never all."""
    return next((number for number, grid in enumerate(latents[:-1]) if grid.any()), len(latents) - 1)


def worthless_grids(problem: Problem, latents: list[Tensor], loss: Callable[[list[Tensor]], float]) -> int:
    """How many of the finest grids cost more bits than they are worth, so that the loss of the signal is no higher without them; never all.

    Args:
        problem: whose first grids may be silent already.
        latents: rounded, `[1, 1, *grid_l]`, finest first.
        loss: of latents on the whole signal, where the problem's silent grids take no bits.
    """
    found, latents, least = problem.silent, [*latents], loss(latents)
    before = found
    while found < len(latents) - 1:
        latents[found] = torch.zeros_like(latents[found])
        problem.silent = found + 1
        without = loss(latents)
        if without > least:
            break
        found, least = found + 1, without
    problem.silent = before
    return found
