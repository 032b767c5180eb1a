"""The stages of the fit of a pyramid: half the resolution first where that pays, candidates, and the whole signal."""

import copy
import logging
import math
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from . import last_part
from .coarse import finest_grids, halved_spec, joined, parted
from .guess import guess_finest
from .problem import FittedPyramid, Problem, Start
from .pyramid import PyramidFit
from .silent import moving_grids, nearly_silent
from .training_loop import TAIL_STEPS, StepInfo

logger = logging.getLogger(__name__)

LEAST_TIME = 0.01  # seconds that are left for the whole signal, at least


def fit_pyramid(
    problem: Problem, *, seed: int = 0, on_step: Callable[[StepInfo], None] | None = None, stop: Callable[[], bool] | None = None
) -> FittedPyramid:
    """Fit `problem`'s networks (left holding the best state) and its latents, at half the resolution first where that pays.

    With several candidates each makes the first steps with its own seed and slightly other weights; the best goes on.
    """
    if (search := problem.search) is not None and last_part.is_last_part(search):
        last_part.take_schedule(problem, search)
        run = PyramidFit(problem, seed=seed, on_step=on_step, stop=stop)
        last_part.begin(run, search)
        return run.run()
    began = time.monotonic()
    before = _begin_coarse(problem, seed, on_step, stop)
    if before:
        on_step = _after(on_step, before, time.monotonic() - began)
    run = _best_candidate(problem, seed, on_step, stop)
    run.beside = before
    return run.run()


def _best_candidate(problem: Problem, seed: int, on_step: Callable[[StepInfo], None] | None, stop: Callable[[], bool] | None) -> PyramidFit:
    """The fit that is to go on, and `problem`'s networks as it left them."""
    count = problem.schedule.candidates
    start = copy.deepcopy(problem.weights())
    chosen: tuple[float, PyramidFit, dict[str, Tensor]] | None = None
    for number in range(count):
        _perturb(problem, start, number, seed)
        run = PyramidFit(problem, seed=seed + number, on_step=on_step, stop=stop)
        if count == 1:
            return run
        run.advance(problem.schedule.candidate_share)
        run.keep()
        assert run.best is not None
        logger.debug("candidate %d: %.4g", number, run.best_loss)
        if chosen is None or run.best_loss < chosen[0]:
            chosen = (run.best_loss, run, {name: tensor.detach().clone() for name, tensor in problem.weights().items()})
        run.best, run.best_loss = None, math.inf
    assert chosen is not None
    _, run, weights = chosen
    for name, tensor in problem.weights().items():
        tensor.data.copy_(weights[name])
    return run


def _begin_coarse(problem: Problem, seed: int, on_step: Callable[[StepInfo], None] | None, stop: Callable[[], bool] | None) -> int:
    """Fit the halved signal where the schedule says so, and have `problem` start there; what that cost, in steps of the whole."""
    coarse, schedules = problem.schedule.coarse, problem.schedule.with_coarse(problem.spec)
    if coarse is None or schedules is None or problem.start.latents:
        return 0
    began = time.monotonic()
    first, then = schedules
    start = Start(weights=parted(problem.spec, problem.weights())) if problem.based or problem.start.weights else None
    half, rate = halved_spec(problem.spec), problem.lam * coarse.rate
    smaller = Problem(problem.distortion.halved(), half, rate, device=problem.device, schedule=first, start=start)
    cost = len(problem.windows) / len(smaller.windows) / 2.0**problem.spec.axes  # of a step, in steps of the whole
    told = _before(on_step, cost, then.steps * len(problem.windows))
    before = _begin_coarse(smaller, seed, told, stop)
    run = PyramidFit(smaller, seed=seed, on_step=told if not before else _after(told, before, time.monotonic() - began), stop=stop)
    run.tail, run.keep_from, run.counts_first = 0, math.inf, False  # what a first step takes is taken from the whole signal's time
    run.advance(1.0)
    weights, latents, found = joined(problem.spec, problem.weights(), smaller.weights()), run.relaxed(), run.rounded()
    settled = first.silent_from is not None and problem.steering is None  # else lambda may fall far, and what is silent stays so
    if settled and nearly_silent(found, moving_grids(half)):  # what is finer still will not be worth its bits
        problem.silent = tuple(moving_grids(problem.spec))
    if coarse.guesses and not problem.silent and not problem.based and not problem.start.weights:
        finest = guess_finest(problem, latents, smaller, found, weights)
    else:
        finest = [np.zeros(shape, np.float32) for shape in problem.spec.latent_shapes[: finest_grids(problem.spec)]]
    problem.begin_at(Start(weights=weights, latents=[*finest, *latents]))
    cost_made = round(cost * (run.done + before))
    steps, limit = max(1, problem.schedule.steps - round(cost_made / len(problem.windows))), then.time_limit
    if limit is not None and problem.schedule.span[1] > 0:  # a signal that is itself a halved one keeps its share
        limit = max(LEAST_TIME, limit - (time.monotonic() - began))
    problem.schedule = replace(then, steps=steps, time_limit=limit)
    return cost_made


def _before(on_step: Callable[[StepInfo], None] | None, cost: float, after: int) -> Callable[[StepInfo], None] | None:
    """Tells of a fit whose steps cost so much, with so many of 1 to follow, as of the one that both are."""
    if on_step is None:
        return None

    pace = 0.0

    def tell(info: StepInfo) -> None:
        nonlocal pace
        pace = info.eta / (info.steps - info.step) if info.steps > info.step else pace  # seconds a step
        left, then = info.eta + after / cost * pace, TAIL_STEPS / cost * pace
        on_step(replace(info, step=math.ceil(info.step * cost), steps=math.ceil(info.steps * cost) + after, eta=left, after=then))

    return tell


def _after(on_step: Callable[[StepInfo], None] | None, before: int, seconds: float) -> Callable[[StepInfo], None] | None:
    """Tells of a fit that so many steps went before, which took so long, as of the one that both are."""
    if on_step is None:
        return None
    return lambda info: on_step(replace(info, step=info.step + before, steps=info.steps + before, elapsed=info.elapsed + seconds))


def _perturb(problem: Problem, start: dict[str, Tensor], number: int, seed: int) -> None:
    """Candidate 0 starts from the prior, the others 20 % (of each tensor's spread) beside it."""
    generator = torch.Generator().manual_seed(seed * 1000 + number)
    for name, tensor in problem.weights().items():
        noise = torch.randn(tensor.shape, generator=generator).to(tensor.device) * start[name].std(correction=0) * (0.2 if number else 0.0)
        tensor.data.copy_(start[name] + (0 if name == "up" else noise))
