"""The fit of a pyramid: a field, its latents and its context model to one signal.

Loss = D + lambda R. D is the (weighted) mean squared error of values in [0, 1], R the bits a sample of all latents. Weights move
by SOAP, latents by Adam; the latents are relaxed at first (soft rounding and noise, both annealed), and in the last tenth
rounded and frozen while the weights settle (fit.schedule). The best rounded state seen is what comes out, not the last.
"""

import copy
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ..coding.laplace import LIMIT
from ..field.spatial import contract
from .parallel import Pair, cpu_threads
from .problem import FittedPyramid, Problem
from .rate import relaxed
from .soap import Soap
from .training_loop import TAIL_STEPS, StepInfo, TrainingLoop
from .windows import Window, cut

logger = logging.getLogger(__name__)

GAIN = 16.0  # a latent is 16 times its parameter, so that one learning rate suits all
UNIT = 1e3  # times the loss is what is differentiated
CLIP = 0.1  # largest norm of the weights' gradient


@dataclass
class _State:
    weights: dict[str, Tensor]
    latents: list[Tensor]


class PyramidFit(TrainingLoop[_State]):
    """The loop's state; `run` does it all."""

    def __init__(self, problem: Problem, *, seed: int, on_step: Callable[[StepInfo], None] | None, stop: Callable[[], bool] | None) -> None:
        self.problem, self.schedule = problem, problem.schedule
        total, limit, compensation = self.schedule.steps * len(problem.windows), self.schedule.time_limit, self.schedule.compensation
        samples = math.prod(problem.spec.grid)
        optional = compensation.cost(samples) if compensation is not None and self._compensates(self.schedule.steps) else 0
        super().__init__(total, time_limit=limit, tail=TAIL_STEPS + len(problem.windows), optional=optional, on_step=on_step, stop=stop)
        self.generator = torch.Generator(problem.device).manual_seed(seed)
        self.order = np.random.default_rng(seed)
        self.pair = Pair(problem.device, samples, serial_up_to=self.schedule.serial_up_to)
        self.latents = [torch.zeros(1, 1, *shape, device=problem.device) for shape in problem.latent_shapes]
        for grid, values in zip(self.latents, problem.start.latents, strict=False):
            grid[0, 0] = torch.from_numpy(values / GAIN)
        self.cores = [self._core(window) for window in problem.windows]
        weights = problem.weights()
        self.recursive = [weights[name] for name in ("A", "K") if name in weights]
        self.others = [tensor for name, tensor in weights.items() if name not in ("A", "K")]
        field = [weights[name] for name in self.problem.field.tensors if name not in ("A", "K")]
        groups = [{"params": field}, {"params": list(self.problem.context.tensors.values())}]
        groups += [{"params": self.recursive}] if self.recursive else []
        self.weight_optimizer = Soap(
            groups, lr=self.schedule.weight_rate, betas=self.schedule.weight_betas, weight_decay=0.0, precondition_frequency=1
        )
        self._queue: list[int] = []

    def _core(self, window: Window) -> tuple[list[Tensor], torch.optim.Optimizer]:
        leaves = [cut(self.latents[level], part).clone().requires_grad_() for level, part in enumerate(window.core)]
        return leaves, torch.optim.Adam(
            leaves, lr=self.schedule.latent_rate, betas=self.schedule.latent_betas, fused=self.problem.device.type != "mps"
        )

    def _compensates(self, steps: int) -> bool:
        """Whether the weights are worth it after so many steps."""
        compensation, spec = self.schedule.compensation, self.problem.spec
        weights = sum(tensor.numel() for tensor in self.problem.weights().values())
        return compensation is not None and compensation.pays(steps=steps, samples=math.prod(spec.grid), weights=weights)

    def run(self) -> FittedPyramid:
        """The whole fit."""
        self.advance(math.inf if self.total < 1 else 1.0)
        self.keep()
        assert self.best is not None
        for name, tensor in self.problem.weights().items():
            tensor.data.copy_(self.best.weights[name])
        weights = {name: tensor.cpu().double().numpy() for name, tensor in self.best.weights.items()}
        latents = [grid[0, 0].cpu().numpy().astype(np.int32) for grid in self.best.latents]
        stopped = self.stop is not None and self.stop()
        compensate = self._compensates(min(self.done, self.schedule.steps)) and self.has_time() and not stopped
        return FittedPyramid(weights=weights, latents=latents, loss=self.best_loss, steps=self.done, compensate=compensate)

    def rounded(self) -> list[Tensor]:
        """The latents as they would be coded."""
        return [torch.round(grid * GAIN).clamp(-LIMIT, LIMIT) for grid in self.latents]

    def step(self, share: float) -> None:
        """See TrainingLoop.step."""
        number = self._next()
        window = self.problem.windows[number]
        leaves, latent_optimizer = self.cores[number]
        frozen = self.schedule.frozen(share)
        self._set_rates(share, latent_optimizer)
        seen = self._seen(leaves, window, share)
        self.weight_optimizer.zero_grad()
        latent_optimizer.zero_grad()
        (distortion, by_distortion), (rate, by_rate) = self.pair(
            lambda: _backward(lambda latents: self.problem.distortion_on(latents, window), seen, UNIT),
            lambda: _backward(lambda latents: self.problem.rate_on(latents, window), seen, UNIT * self.problem.lam),
        )
        if not frozen:
            torch.autograd.backward(seen, [a + b for a, b in zip(by_distortion, by_rate, strict=True)])
        with cpu_threads(1):  # several are no faster for small matrices, and would change the last bits of their decompositions
            torch.nn.utils.clip_grad_norm_([*self.others, *self.recursive], CLIP)
            self.weight_optimizer.step()
        if not frozen:
            latent_optimizer.step()
            for level, part in enumerate(window.core):
                cut(self.latents[level], part).copy_(leaves[level].detach())
        if self.recursive:
            contract(self.recursive, self.schedule.rho)
        error = distortion if self.problem.distortion.is_error else math.nan
        self.report(share, loss=distortion + self.problem.lam * rate, error=error, rate=rate)

    def _next(self) -> int:
        if not self._queue:
            self._queue = self.order.permutation(len(self.cores)).tolist()
        return self._queue.pop()

    def _seen(self, leaves: list[Tensor], window: Window, share: float) -> list[Tensor]:
        """The window's latents: relaxed, or rounded once frozen."""
        if self.schedule.frozen(share):
            return [torch.round(cut(self.latents[level], part) * GAIN) for level, part in enumerate(window.whole)]
        temperature, noise = self.schedule.temperature(share), self.schedule.noise(share)
        seen = []
        for level, leaf in enumerate(leaves):
            grid = leaf
            if len(self.cores) > 1:
                grid = cut(self.latents[level], window.whole[level]).clone()
                cut(grid, window.inner[level]).copy_(leaf)
            seen.append(relaxed(grid * GAIN, temperature, noise, self.generator))
        return seen

    def _set_rates(self, share: float, latent_optimizer: torch.optim.Optimizer) -> None:
        rates = self.schedule.rates(share, self.done)
        for group, rate in zip(self.weight_optimizer.param_groups, (rates.field, rates.context, rates.recursion), strict=False):
            group["lr"] = rate
        for group in latent_optimizer.param_groups:
            group["lr"] = rates.latents

    def measure(self) -> tuple[float, Callable[[], _State]]:
        """The loss of the rounded state."""
        latents, problem = self.rounded(), self.problem
        sample = problem.windows[:: max(1, len(problem.windows) // 4)]
        parts = [self.pair(partial(problem.distortion_of, latents, window), partial(problem.rate_of, latents, window)) for window in sample]
        loss = sum(d + problem.lam * r for d, r in parts) / len(parts)
        return loss, lambda: _State({name: tensor.detach().clone() for name, tensor in self.problem.weights().items()}, latents)


def fit_pyramid(
    problem: Problem, *, seed: int = 0, on_step: Callable[[StepInfo], None] | None = None, stop: Callable[[], bool] | None = None
) -> FittedPyramid:
    """Fit `problem`'s networks (left holding the best state) and its latents.

    With several candidates each makes the first steps with its own seed and slightly other weights; the best goes on.
    """
    count = problem.schedule.candidates
    start = copy.deepcopy(problem.weights())
    chosen: tuple[float, PyramidFit, dict[str, Tensor]] | None = None
    for number in range(count):
        _perturb(problem, start, number, seed)
        run = PyramidFit(problem, seed=seed + number, on_step=on_step, stop=stop)
        if count == 1:
            return run.run()
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
    return run.run()


def _backward(term: Callable[[list[Tensor]], Tensor], latents: list[Tensor], scale: float) -> tuple[float, list[Tensor]]:
    """A term of the loss, and `scale` times its gradients by the latents; those by its tensors are added to theirs."""
    leaves = [grid.detach().requires_grad_(grid.requires_grad) for grid in latents]
    value = term(leaves)
    (value * scale).backward()  # type: ignore[no-untyped-call]
    return float(value.detach()), [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves]


def _perturb(problem: Problem, start: dict[str, Tensor], number: int, seed: int) -> None:
    """Candidate 0 starts from the prior, the others 20 % (of each tensor's spread) beside it."""
    generator = torch.Generator().manual_seed(seed * 1000 + number)
    for name, tensor in problem.weights().items():
        noise = torch.randn(tensor.shape, generator=generator).to(tensor.device) * start[name].std(correction=0) * (0.2 if number else 0.0)
        tensor.data.copy_(start[name] + (0 if name == "up" else noise))
