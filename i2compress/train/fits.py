"""Training by whole fits: priors that a picture's own weights begin at, and differ little from.

Crops are fitted one after the other, each from the prior that there is. After each fit the prior goes part of the way to the weights that came
out (Reptile: Nichol et al. 2018, On First-Order Meta-Learning Algorithms), so it ends where a fit has the least way to go. The knots follow
one another from the middle outwards, each from its neighbour.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..arrays import Float64Array, Int32Array
from ..config import SQUARES, TUNES, EncodeSettings
from ..field.priors import KNOT_GAP, KNOTS, StartFile, knot_weights, trained_spec, write_start
from ..field.spec import PRIOR_BITS, Arrays, prior
from ..fit.perceptual import DISTORTIONS
from ..fit.problem import Problem
from ..fit.schedule import pyramid_schedule
from ..fit.stages import fit_pyramid
from ..kinds import Kind
from ..planes.pyramid import next_base
from .crops import Crops
from .loop import Training, TrainSettings, lambda_of

MIDDLE = len(KNOTS) // 2
ORDER = sorted(range(len(KNOTS)), key=lambda knot: abs(knot - MIDDLE))  # of the knots, from the middle outwards
SHARES = {0: 0.32, 1: 0.18, 2: 0.16}  # of the steps, by how far a knot lies from the middle: the first begins at nothing
LEAST_MOVE = 1 / 24  # share of the way to a fit's weights that the prior goes, at least: it is about the mean of so many fits
EARLIER = 3  # fits that a neighbour's prior counts as, at a knot that begins there
HELD_OUT_STEPS = 40
ONE = float(1 << PRIOR_BITS)


@dataclass(frozen=True, kw_only=True)
class FitSettings(TrainSettings):
    """How to train by fits; a step is one fit, and `steps` are shared out to the knots.

    Args:
        fit_steps: of each fit.
        tunes: what the fits make small, one after the other.
    """

    steps: int = 300
    side: int = 224
    every: int = 60
    fit_steps: int = 120
    tunes: tuple[str, ...] = (TUNES[Kind.IMAGE][0], TUNES[Kind.IMAGE][0], SQUARES)

    def place(self, step: int) -> tuple[int, int]:
        """The knot of a step, and how many steps of that knot went before it."""
        end = 0.0
        for knot in ORDER:
            begin, end = round(end), end + self.steps * SHARES[abs(knot - MIDDLE)]
            if step < round(end):
                return knot, step - begin
        return ORDER[-1], step - begin


class FitTraining(Training):
    """The priors.

    Args:
        crops: to fit, batches of one.
        held_out: `[N, 3, side, side]` that the curve is measured on, by short fits that begin at the priors.
        settings, folder, device: see Training.
        start: to begin with at every knot; None for nothing.
    """

    settings: FitSettings

    def __init__(
        self, crops: Crops, held_out: Tensor, settings: FitSettings, folder: Path, device: torch.device, *, start: StartFile | None = None
    ) -> None:
        super().__init__(settings, folder, device)
        self.crops, self._held_out = crops, held_out
        self.priors: dict[int, Arrays] = {}  # by knot, of those that were begun
        if start is not None:
            self.priors = {knot: {name: table[knot] / ONE for name, table in start.tables.items()} for knot in range(len(KNOTS))}
        self._begins = start is not None

    def make(self, step: int) -> tuple[float, float, float]:
        """See Training."""
        knot, number = self.settings.place(step)
        rng = np.random.default_rng((self.settings.seed, 3, step))
        code = int(rng.integers(KNOTS[knot] - KNOT_GAP // 3, KNOTS[knot] + KNOT_GAP // 3 + 1))
        base = self._nearest(knot)
        problem = self._problem(self.crops.at(step)[0], code, base, self.settings.tunes[step % len(self.settings.tunes)], self.settings.fit_steps)
        fitted = fit_pyramid(problem, seed=step)
        if base is None:
            self.priors[knot] = fitted.weights
        else:
            earlier = EARLIER if knot != MIDDLE or self._begins else 0
            move = max(1 / (number + 1 + earlier), LEAST_MOVE)
            self.priors[knot] = {name: value + move * (fitted.weights[name] - value) for name, value in base.items()}
        distortion, rate = _terms(problem, fitted.latents)
        return fitted.loss, distortion if problem.distortion.is_error else float("nan"), rate

    def _problem(self, picture: Tensor, code: int, base: Arrays | None, tune: str, steps: int) -> Problem:
        """A fit of `[3, H, W]` that begins at a prior."""
        values = np.ascontiguousarray(picture.permute(1, 2, 0).numpy())
        spec = trained_spec(code, (values.shape[0], values.shape[1]))
        # All grids move to the end, so that what a start says of the finest is trained at every rate.
        schedule = replace(pyramid_schedule(EncodeSettings(steps=steps)), silent_from=None)
        measure = DISTORTIONS[tune](values, None, device=self.device)
        return Problem(measure, spec, lambda_of(code), device=self.device, schedule=schedule, base=None if base is None else next_base(base))

    def _nearest(self, knot: int) -> Arrays | None:
        """The prior of a knot or, until it is begun, of the nearest one that is; None before the first fit."""
        if not self.priors:
            return None
        return self.priors[min(self.priors, key=lambda other: abs(other - knot))]

    def tables(self) -> dict[str, Float64Array]:
        """Integers in 1/256 at each knot; of one that was not begun, those of the nearest that was; of none, prior 0."""
        nothing = prior(0, trained_spec(KNOTS[MIDDLE]))
        found = [self._nearest(knot) or nothing for knot in range(len(KNOTS))]
        return {name: np.stack([np.floor(priors[name] * ONE + 0.5) for priors in found]) for name in nothing}

    def state(self) -> dict[str, Any]:
        """See Training."""
        return {"priors": {knot: {name: torch.from_numpy(value) for name, value in values.items()} for knot, values in self.priors.items()}}

    def restore(self, state: dict[str, Any]) -> None:
        """See Training."""
        found = {knot: {name: value.cpu().numpy() for name, value in values.items()} for knot, values in state["priors"].items()}
        shapes = trained_spec(KNOTS[MIDDLE]).weight_shapes
        if any({name: value.shape for name, value in values.items()} != shapes for values in found.values()):
            raise ValueError("priors of other networks")
        self.priors = found

    def export(self, path: Path) -> None:
        """See Training."""
        write_start(path, self.tables())

    def held_out(self, step_code: int) -> tuple[float, float]:
        """See Training: the mean over the crops."""
        where, tables = knot_weights(step_code), self.tables()
        base = {name: np.tensordot(where, table, 1) / ONE for name, table in tables.items()}
        found = []
        for picture in self._held_out:
            problem = self._problem(picture, step_code, base, SQUARES, HELD_OUT_STEPS)
            found.append(_terms(problem, fit_pyramid(problem).latents))
        distortion, rate = np.mean(found, 0)
        return float(distortion), float(rate)


def _terms(problem: Problem, latents: Sequence[Int32Array]) -> tuple[float, float]:
    """D and R of rounded latents."""
    grids = [torch.from_numpy(grid.astype(np.float32))[None, None].to(problem.device) for grid in latents]
    window = problem.windows[0]
    return problem.distortion_of(grids, window), problem.rate_of(grids, window)
