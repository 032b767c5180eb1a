"""The only training loop: fits a field, its latents and its context model to one signal.

Loss = D + lambda R. D is the (weighted) mean squared error of values in [0, 1], R the bits a sample of all latents. Weights move
by SOAP, latents by Adam; the latents are relaxed at first (soft rounding and noise, both annealed), and in the last tenth
rounded and frozen while the weights settle. The best rounded state seen is what comes out, not the last.
"""

import copy
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..coding.context_model import SIGNED
from ..coding.laplace import LIMIT
from ..field.pyramid import PyramidField
from ..field.solver import ONE_STEP, Gradient
from ..field.spatial import contract
from ..field.spec import Arrays, PyramidSpec, prior
from .driver import TAIL_STEPS, Driver, StepInfo
from .parallel import Pair, cpu_threads
from .rate import ContextModel, relaxed
from .soap import Soap
from .windows import Window, cut, cut_all, windows

logger = logging.getLogger(__name__)

GAIN = 16.0  # a latent is 16 times its parameter, so that one learning rate suits all
UNIT = 1e3  # times the loss is what is differentiated
CLIP = 0.1  # of the weights' gradient norm
FROZEN_FROM = 0.9  # the share of the fit after which the latents are rounded and frozen
# Whose weights are quantised with compensation (fit.compensate): fits of so many steps, as in shorter ones as many seconds of further
# steps gain more; signals up to so many samples, as the weights of larger ones are next to nothing beside their latents; networks up to
# so many weights, as it costs their square; and no sounds, whose networks are small.
COMPENSATED_STEPS, COMPENSATED_SAMPLES, COMPENSATED_WEIGHTS = 200, 3 << 19, 2500
# It takes as long as so many steps, and as steps on so many samples.
COMPENSATION_STEPS, COMPENSATION_SAMPLES = 25, 8_000_000
SAMPLES_FLOOR = 4096  # smaller signals weigh their bits as if they had this many samples


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Step counts and rates of a fit; the values are measured choices (docs/design.md)."""

    steps: int
    candidates: int = 1
    candidate_share: float = 0.05
    time_limit: float | None = None
    weight_rate: float = 2e-2
    field_rate: float = 1.0  # of the weights' rate, for all other tensors of the field
    recursion_rate: float = 2.0  # of the weights' rate, for A and K
    latent_rate: float = 1e-2
    # Little momentum: with 0.9 and more the latents overshoot, and bits once spent come back slowly.
    weight_betas: tuple[float, float] = (0.9, 0.95)
    latent_betas: tuple[float, float] = (0.7, 0.999)
    temperature: tuple[float, float] = (0.5, 0.08)
    noise: tuple[float, float] = (0.25, 0.15)
    warm_up: int = 10
    anneal_from: float = 0.25  # the share of the fit after which the rates fall
    rho: float = 0.8
    iterations: int = 4
    gradient: Gradient = ONE_STEP


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What a fit found: float weights by name, integer latents finest first, and the loss of that state; `compensate`: see COMPENSATED_STEPS."""

    weights: Arrays
    latents: list[npt.NDArray[np.int32]]
    loss: float
    steps: int
    compensate: bool = False


@dataclass
class _State:
    weights: dict[str, Tensor]
    latents: list[Tensor]


@dataclass(frozen=True, kw_only=True)
class Start:
    """Where a fit begins, where that is not the prior and zeros.

    Args:
        weights: tensors by name.
        latents: of each level, finest first.
    """

    weights: Arrays = field(default_factory=dict)
    latents: list[npt.NDArray[np.float32]] = field(default_factory=list)


class Problem:
    """A signal and the networks that are fitted to it.

    Args:
        values: `[*grid, D]` float32 in [0, 1].
        importance: weights of the squared errors, of the shape of `values`; None for 1.
        spec: sizes.
        lam: rate weight.
        device: of all tensors.
        start: where the fit begins.
    """

    def __init__(
        self,
        values: npt.NDArray[np.float32],
        spec: PyramidSpec,
        lam: float,
        *,
        device: torch.device,
        importance: npt.NDArray[np.float32] | None = None,
        schedule: Schedule,
        start: Start | None = None,
    ) -> None:
        self.spec, self.lam, self.device, self.schedule = spec, lam, device, schedule
        self.target = torch.from_numpy(np.moveaxis(values, -1, 0)[None].copy()).to(device)
        self.importance = None if importance is None else torch.from_numpy(np.moveaxis(importance, -1, 0)[None].copy()).to(device)
        self.samples = max(math.prod(spec.grid), SAMPLES_FLOOR) / math.prod(spec.grid)
        self.prior = prior(0, spec)
        self.field = PyramidField(spec, self.prior, iterations=schedule.iterations, gradient=schedule.gradient).to(device)
        self.context = ContextModel(spec, self.prior).to(device)
        self.windows = windows(spec)
        self.start = Start() if start is None else start
        for name, value in self.start.weights.items():
            self.weights()[name].data.copy_(torch.from_numpy(value))

    def weights(self) -> dict[str, Tensor]:
        """All tensors by name."""
        return {**self.field.tensors, **self.context.tensors}

    def distortion(self, latents: list[Tensor], window: Window) -> Tensor:
        """Mean (weighted) squared error over the window's core."""
        out: Tensor = cut(self.field(latents, window.origins), window.inner[0])
        error: Tensor = (out - cut(self.target, window.core[0])).square()
        if self.importance is not None:
            error = error * cut(self.importance, window.core[0])
        mean: Tensor = error.mean()
        return mean

    def rate(self, latents: list[Tensor], window: Window) -> Tensor:
        """Bits a sample of the latents of the window's core."""
        bits: Tensor = self.context(latents, window)
        samples = math.prod(part.stop - part.start for part in window.core[0]) * self.samples
        rate: Tensor = bits / samples
        return rate

    def distortion_of(self, latents: list[Tensor], window: Window) -> float:
        """D of rounded latents `[1, 1, *grid_l]` of the whole picture, on one window."""
        with torch.no_grad():
            return float(self.distortion(cut_all(latents, window), window))

    def rate_of(self, latents: list[Tensor], window: Window) -> float:
        """R of rounded latents of the whole picture, on one window."""
        with torch.no_grad():
            return float(self.rate(cut_all(latents, window), window))


class Fit(Driver[_State]):
    """The loop's state; `run` does it all."""

    def __init__(self, problem: Problem, *, seed: int, on_step: Callable[[StepInfo], None] | None, stop: Callable[[], bool] | None) -> None:
        self.problem, self.schedule = problem, problem.schedule
        total, limit = self.schedule.steps * len(problem.windows), self.schedule.time_limit
        samples, count = math.prod(problem.spec.grid), sum(tensor.numel() for tensor in problem.weights().values())
        fits = samples <= COMPENSATED_SAMPLES and count <= COMPENSATED_WEIGHTS and problem.spec.context_inputs is SIGNED
        self.compensates = fits and self.schedule.steps >= COMPENSATED_STEPS
        optional = round(COMPENSATION_STEPS + COMPENSATION_SAMPLES / samples) if self.compensates else 0
        super().__init__(total, time_limit=limit, tail=TAIL_STEPS + len(problem.windows), optional=optional, on_step=on_step, stop=stop)
        self.generator = torch.Generator(problem.device).manual_seed(seed)
        self.order = np.random.default_rng(seed)
        self.pair = Pair(problem.device, samples)
        self.latents = [torch.zeros(1, 1, *shape, device=problem.device) for shape in problem.spec.latent_shapes]
        for grid, values in zip(self.latents, problem.start.latents, strict=False):
            grid[0, 0] = torch.from_numpy(values / GAIN)
        self.cores = [self._core(window) for window in problem.windows]
        weights = problem.weights()
        self.recursive = [weights[name] for name in ("A", "K") if name in weights]
        self.others = [tensor for name, tensor in weights.items() if name not in ("A", "K")]
        field = [weights[name] for name in self.problem.field.tensors if name not in ("A", "K")]
        groups = [{"params": field, "share": self.schedule.field_rate}, {"params": list(self.problem.context.tensors.values()), "share": 1.0}]
        groups += [{"params": self.recursive, "share": self.schedule.recursion_rate}] if self.recursive else []
        self.weight_optimizer = Soap(
            groups, lr=self.schedule.weight_rate, betas=self.schedule.weight_betas, weight_decay=0.0, precondition_frequency=1
        )
        self._queue: list[int] = []

    def _core(self, window: Window) -> tuple[list[Tensor], torch.optim.Optimizer]:
        leaves = [cut(self.latents[level], part).clone().requires_grad_() for level, part in enumerate(window.core)]
        return leaves, torch.optim.Adam(
            leaves, lr=self.schedule.latent_rate, betas=self.schedule.latent_betas, fused=self.problem.device.type != "mps"
        )

    def run(self) -> Fitted:
        """The whole fit."""
        self.advance(math.inf if self.total < 1 else 1.0)
        self.keep()
        assert self.best is not None
        for name, tensor in self.problem.weights().items():
            tensor.data.copy_(self.best.weights[name])
        weights = {name: tensor.cpu().double().numpy() for name, tensor in self.best.weights.items()}
        latents = [grid[0, 0].cpu().numpy().astype(np.int32) for grid in self.best.latents]
        stopped = self.stop is not None and self.stop()
        compensate = self.compensates and self.done >= COMPENSATED_STEPS and self.has_time() and not stopped
        return Fitted(weights=weights, latents=latents, loss=self.best_loss, steps=self.done, compensate=compensate)

    def rounded(self) -> list[Tensor]:
        """The latents as they would be coded."""
        return [torch.round(grid * GAIN).clamp(-LIMIT, LIMIT) for grid in self.latents]

    def step(self, share: float) -> None:
        """See Driver.step."""
        number = self._next()
        window = self.problem.windows[number]
        leaves, latent_optimizer = self.cores[number]
        frozen = share >= FROZEN_FROM
        self._set_rates(share, latent_optimizer)
        seen = self._seen(leaves, window, share)
        self.weight_optimizer.zero_grad()
        latent_optimizer.zero_grad()
        (distortion, by_distortion), (rate, by_rate) = self.pair(
            lambda: _backward(lambda latents: self.problem.distortion(latents, window), seen, UNIT),
            lambda: _backward(lambda latents: self.problem.rate(latents, window), seen, UNIT * self.problem.lam),
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
        if len(self.recursive) == 2:
            contract(self.recursive[0], self.recursive[1], self.schedule.rho)
        self.report(share, loss=distortion + self.problem.lam * rate, distortion=distortion, rate=rate)

    def _next(self) -> int:
        if not self._queue:
            self._queue = self.order.permutation(len(self.cores)).tolist()
        return self._queue.pop()

    def _seen(self, leaves: list[Tensor], window: Window, share: float) -> list[Tensor]:
        """The window's latents: relaxed, or rounded once frozen."""
        if share >= FROZEN_FROM:
            return [torch.round(cut(self.latents[level], part) * GAIN) for level, part in enumerate(window.whole)]
        through = share / FROZEN_FROM
        temperature, noise = (low + (high - low) * through for low, high in (self.schedule.temperature, self.schedule.noise))
        seen = []
        for level, leaf in enumerate(leaves):
            grid = leaf
            if len(self.cores) > 1:
                grid = cut(self.latents[level], window.whole[level]).clone()
                cut(grid, window.inner[level]).copy_(leaf)
            seen.append(relaxed(grid * GAIN, temperature, noise, self.generator))
        return seen

    def _set_rates(self, share: float, latent_optimizer: torch.optim.Optimizer) -> None:
        warm = min(1.0, (self.done + 1) / self.schedule.warm_up)
        through = (share - self.schedule.anneal_from) / (FROZEN_FROM - self.schedule.anneal_from)
        cosine = 0.5 * (1 + math.cos(math.pi * min(max(through, 0.0), 1.0)))
        settle = 0.05 * (1 - 0.9 * (share - FROZEN_FROM) / (1 - FROZEN_FROM))
        for group in self.weight_optimizer.param_groups:
            group["lr"] = self.schedule.weight_rate * group["share"] * (settle if share >= FROZEN_FROM else warm * max(cosine, 0.02))
        for group in latent_optimizer.param_groups:
            group["lr"] = self.schedule.latent_rate * warm * cosine

    def measure(self) -> tuple[float, Callable[[], _State]]:
        """The loss of the rounded state."""
        latents, problem = self.rounded(), self.problem
        sample = problem.windows[:: max(1, len(problem.windows) // 4)]
        parts = [self.pair(partial(problem.distortion_of, latents, window), partial(problem.rate_of, latents, window)) for window in sample]
        loss = sum(d + problem.lam * r for d, r in parts) / len(parts)
        return loss, lambda: _State({name: tensor.detach().clone() for name, tensor in self.problem.weights().items()}, latents)


def fit(problem: Problem, *, seed: int = 0, on_step: Callable[[StepInfo], None] | None = None, stop: Callable[[], bool] | None = None) -> Fitted:
    """Fit `problem`'s networks (left holding the best state) and its latents.

    With several candidates each makes the first steps with its own seed and slightly other weights; the best goes on.
    """
    count = problem.schedule.candidates
    start = copy.deepcopy(problem.weights())
    chosen: tuple[float, Fit, dict[str, Tensor]] | None = None
    for number in range(count):
        _perturb(problem, start, number, seed)
        run = Fit(problem, seed=seed + number, on_step=on_step, stop=stop)
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


def _backward(half: Callable[[list[Tensor]], Tensor], latents: list[Tensor], scale: float) -> tuple[float, list[Tensor]]:
    """A half of the loss, and `scale` times its gradients by the latents; those by its tensors are added to theirs."""
    leaves = [grid.detach().requires_grad_(grid.requires_grad) for grid in latents]
    value = half(leaves)
    (value * scale).backward()  # type: ignore[no-untyped-call]
    return float(value.detach()), [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves]


def _perturb(problem: Problem, start: dict[str, Tensor], number: int, seed: int) -> None:
    """Candidate 0 starts from the prior, the others 20 % (of each tensor's spread) beside it."""
    generator = torch.Generator().manual_seed(seed * 1000 + number)
    for name, tensor in problem.weights().items():
        noise = torch.randn(tensor.shape, generator=generator).to(tensor.device) * start[name].std(correction=0) * (0.2 if number else 0.0)
        tensor.data.copy_(start[name] + (0 if name == "up" else noise))
