"""Grids that are 0 everywhere, which take no bytes (coding.latents), and once that is settled no time either."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..field.spec import PyramidSpec
from .problem import Problem

NEXT_TO_NOTHING = 0.01  # of a grid: the noise of a fit leaves up to a fifth of that


def silent_grids(latents: list[Tensor]) -> tuple[int, ...]:
    """The numbers of grids that are 0; never all, as the last one counts as not."""
    return tuple(number for number, grid in enumerate(latents[:-1]) if not grid.any())


def nearly_silent(latents: list[Tensor], numbers: list[int]) -> bool:
    """Whether of each of these grids next to nothing is not 0."""
    return all(float((latents[number] != 0).float().mean()) < NEXT_TO_NOTHING for number in numbers)


def moving_grids(spec: PyramidSpec) -> list[int]:
    """The numbers of the grids of the finest level that are not still."""
    return [number for number, level in enumerate(spec.grid_levels) if level == 0 and number not in spec.context.still]


def worthless_grids(problem: Problem, latents: list[Tensor], loss: Callable[[list[Tensor]], float]) -> tuple[int, ...]:
    """The numbers of the silent grids, and of those up to the first worth its bits that is not still: the loss is no higher without them.

    Args:
        problem: some of whose grids may be silent already.
        latents: rounded, `[1, 1, *grid_l]`, finest first.
        loss: of latents on the whole signal, where the problem's silent grids take no bits.
    """
    before, still = problem.silent, problem.spec.context.still
    found, latents, least = [*before], [*latents], loss(latents)
    for number in range(len(latents) - 1):
        if number in before:
            continue
        kept, latents[number] = latents[number], torch.zeros_like(latents[number])
        problem.silent = tuple(sorted((*found, number)))
        without = loss(latents)
        if without <= least:
            found, least = [*problem.silent], without
            continue
        latents[number] = kept
        if number not in still:  # what stands still may be worth its bits where what moves is not
            break
    problem.silent = before
    return tuple(found)
