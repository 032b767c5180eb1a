"""The fit of a pyramid: a field, its latents and its context model to one signal.

Loss = D + lambda R. D is the (weighted) mean squared error of values in [0, 1], R the bits a sample of all latents. Weights move
by SOAP, latents by Adam; the latents are relaxed at first (soft rounding and noise, both annealed), and in the last tenth
rounded and frozen while the weights settle (fit.schedule). The best rounded state seen is what comes out, not the last.
"""

import copy
import math
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..arrays import Float32Array
from ..coding.laplace import LIMIT
from ..config import LAST_PART_BEGINS
from ..field.spatial import contract
from . import last_part
from .adam import Adam
from .batched import apart, together
from .graphs import CudaRecorder, Graphs, Recorder
from .numbers import Number, Numbers
from .parallel import Pair, cpu_threads
from .places import Place
from .problem import FittedPyramid, Problem
from .rate import relaxed, stretch_of
from .silent import silent_grids, worthless_grids
from .soap import Group, Soap
from .training_loop import TAIL_STEPS, StepInfo, TrainingLoop
from .windows import Window, cut, likeness

GAIN = 16.0  # a latent is 16 times its parameter, so that one learning rate suits all
STILL_GAIN = 2.0  # times that is a latent of a still grid: it has to overtake what the others tell at every moment (docs/results/video.md)
UNIT = 1e3  # times the loss is what is differentiated
AGAIN_FROM = 0.6  # the share of a steered fit from which on it is made once more where it missed its aim; lambda is not moved after it
READ_EVERY = 10  # steps from one look at a GPU's loss to the next
CLIP = 0.1  # largest norm of the weights' gradient


@dataclass
class _State:
    weights: dict[str, Tensor]
    latents: list[Tensor]


class PyramidFit(TrainingLoop[_State]):
    """The loop's state; `run` does it all.

    Args:
        problem: what to fit.
        seed: of the noise, and of the order of windows.
        shares: of the schedule, where the loop begins and where it ends.
        on_step, stop: see TrainingLoop.
        recorder: of steps; None for that of CUDA on such a device, and for none elsewhere.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        seed: int,
        shares: tuple[float, float] = (0.0, 1.0),
        on_step: Callable[[StepInfo], None] | None,
        stop: Callable[[], bool] | None,
        recorder: Recorder | None = None,
    ) -> None:
        self.problem, self.schedule, self.shares = problem, problem.schedule, shares
        total, limit, compensation = self.schedule.steps * len(problem.windows), self.schedule.time_limit, self.schedule.compensation
        samples = math.prod(problem.spec.grid)
        optional = compensation.cost(samples) if compensation is not None and self._compensates(self.schedule.steps) else 0
        super().__init__(total, time_limit=limit, tail=TAIL_STEPS + len(problem.windows), optional=optional, on_step=on_step, stop=stop)
        self.generator = torch.Generator(problem.device).manual_seed(seed)
        self.order = np.random.default_rng(seed)
        self.pair = Pair(problem.device, samples, serial_up_to=self.schedule.serial_up_to)
        self.latents = [torch.zeros(1, 1, *shape, device=problem.device) for shape in problem.latent_shapes]
        still = problem.spec.context.still
        self.gains = [GAIN * (STILL_GAIN if number in still else 1) for number in range(len(self.latents))]
        for grid, values, gain in zip(self.latents, problem.start.latents, self.gains, strict=False):
            grid[0, 0] = torch.from_numpy(values / gain)
        self.cores = [self._core(window) for window in problem.windows]
        self._telling = problem.telling(problem.windows)
        weights = problem.weights()
        self.recursive = [weights[name] for name in ("A", "K") if name in weights]
        field = [weights[name] for name in self.problem.field.tensors if name not in ("A", "K")]
        moved = [field, list(self.problem.context.tensors.values()), *([self.recursive] if self.recursive else [])]
        groups = [Group(params=tensors, lr=self.schedule.weight_rate) for tensors in moved]
        self.weight_optimizer = Soap(groups, betas=self.schedule.weight_betas, every=self.schedule.refresh_every, clip=CLIP)
        self._queue: list[int] = []
        if problem.steering is not None:  # losses under one lambda are not compared with those under another
            self.keep_from = max(self.keep_from, self.schedule.frozen_from)
        if recorder is None and problem.device.type == "cuda":
            recorder = CudaRecorder(problem.device, self.generator)
        self.graphs = Graphs(recorder)
        self.places = [
            Place.own(number, window, self.latents, *core) for number, (window, core) in enumerate(zip(problem.windows, self.cores, strict=True))
        ]
        recorded = recorder is not None and len(self.places) > 1
        shifts = problem.spec.shifts if recorded else []
        self._likeness: list[Hashable] = [likeness(window, shifts) if recorded else number for number, window in enumerate(problem.windows)]
        self._shared: dict[Hashable, Place] = {}
        for place in self.places:
            place.optimizer.resting = problem.silent
        self._looks = 0  # for grids that are to be silent: one for those that are 0 while latents move, and one for those that are not worth it after
        self._frozen = False
        self._numbers = Numbers(4, problem.device)  # temperature and stretch of the soft rounding, noise, and what the rate is differentiated times
        self._found = torch.zeros(2, device=problem.device)  # distortion and rate of the last step
        self._read = (math.inf, math.inf)
        self._halfway: dict[str, Any] | None = None
        self.beside = 0  # steps that were made elsewhere, or once more

    def _core(self, window: Window) -> tuple[list[Tensor], Adam]:
        leaves = [cut(self.latents[level], part).clone().requires_grad_() for level, part in enumerate(window.core)]
        return leaves, Adam(leaves, betas=self.schedule.latent_betas)

    def _compensates(self, steps: int) -> bool:
        """Whether the weights are worth it after so many steps."""
        compensation, spec = self.schedule.compensation, self.problem.spec
        weights = sum(tensor.numel() for tensor in self.problem.weights().values())
        return compensation is not None and compensation.pays(steps=steps, samples=math.prod(spec.grid), weights=weights)

    def run(self) -> FittedPyramid:
        """The whole fit."""
        if self.problem.start.prior and self.problem.steering is None:  # few steps may make less of a trained start than it was
            self.keep()
        if self.total:  # else what it begins with is what comes out
            self.advance(1.0)
        self.keep()
        assert self.best is not None
        self.problem.silent = silent_grids(self.best.latents)
        for name, tensor in self.problem.weights().items():
            tensor.data.copy_(self.best.weights[name])
        weights = {name: tensor.cpu().double().numpy() for name, tensor in self.best.weights.items()}
        latents = [grid[0, 0].cpu().numpy().astype(np.int32) for grid in self.best.latents]
        stopped = self.stop is not None and self.stop()
        compensate = self._compensates(min(self.done, self.schedule.steps)) and self.has_time() and not stopped
        again = None if self.problem.steering is None else self.again
        steps = self.done + self.beside
        return FittedPyramid(weights=weights, latents=latents, loss=self.best_loss, steps=steps, compensate=compensate, until=self.until, again=again)

    def again(self, found: float) -> FittedPyramid | None:
        """The last part of a steered fit that came to that size or quality once more, from AGAIN_FROM on; None where that would not mend it."""
        steering, halfway, made = self.problem.steering, self._halfway, self.done + self.beside
        if steering is None or halfway is None or not steering.corrigible(found) or (self.stop is not None and self.stop()):
            return None
        end = math.log(self.problem.lam)
        self.restore(halfway)
        self.done, self.best, self.best_loss, self.began = halfway["done"], None, math.inf, time.monotonic() - halfway["elapsed"]
        self.beside = made - self.done
        before = self.problem.lam
        steering.missed(end, found)
        self._rescale(before)
        self._halfway = self._here(self.done)
        self.begins_again()
        return self.run()

    def _here(self, done: int) -> dict[str, Any]:
        """A copy of the state after so many steps."""
        return copy.deepcopy({**self.state(), "halfway": None, "done": done, "elapsed": time.monotonic() - self.began})

    def state(self) -> dict[str, Any]:
        """See TrainingLoop.state."""
        best = None if self.best is None else {"weights": self.best.weights, "latents": self.best.latents}
        optimizers = [self.weight_optimizer.state_dict(), *(optimizer.state_dict() for _, optimizer in self.cores)]
        leaves = [[leaf.detach() for leaf in leaves] for leaves, _ in self.cores]
        chance = {"generator": self.generator.get_state(), "order": self.order.bit_generator.state, "queue": self._queue}
        weights = {name: tensor.detach() for name, tensor in self.problem.weights().items()}
        silent = {"silent": self.problem.silent, "looks": self._looks}
        steering = None if self.problem.steering is None else self.problem.steering.state()
        steered = {"steering": steering, "halfway": self._halfway, "beside": self.beside}
        return {"weights": weights, "latents": self.latents, "leaves": leaves, "optimizers": optimizers, "best": best, **silent, **steered, **chance}

    def restore(self, state: dict[str, Any]) -> None:
        """See TrainingLoop.restore."""
        for name, tensor in self.problem.weights().items():
            tensor.data.copy_(state["weights"][name])
        for grid, values in zip(self.latents, state["latents"], strict=True):
            grid.copy_(values)
        for (leaves, _), found in zip(self.cores, state["leaves"], strict=True):
            for leaf, values in zip(leaves, found, strict=True):
                leaf.data.copy_(values)
        self.weight_optimizer.load_state_dict(state["optimizers"][0])
        for (_, optimizer), found in zip(self.cores, state["optimizers"][1:], strict=True):
            optimizer.load_state_dict(found)
        self.generator.set_state(state["generator"])
        self.order.bit_generator.state = state["order"]
        self._queue = list(state["queue"])
        self._looks = state["looks"]
        self._silence(state["silent"])
        if self.problem.steering is not None:
            self.problem.steering.restore(state["steering"])
            self._halfway, self.beside = state["halfway"], state["beside"]
        if state["best"] is not None:
            device = self.problem.device
            weights = {name: tensor.to(device) for name, tensor in state["best"]["weights"].items()}
            self.best = _State(weights, [grid.to(device) for grid in state["best"]["latents"]])

    def rounded(self) -> list[Tensor]:
        """The latents as they would be coded."""
        return [torch.round(grid * gain).clamp(-LIMIT, LIMIT) for grid, gain in zip(self.latents, self.gains, strict=True)]

    def _rescale(self, before: float) -> None:
        """After a change of lambda, give the latents the step that goes with it, as its square root does, and have the field make as much of them.

        Left to themselves, latents follow a lambda that has become larger late and badly.
        """
        factor = math.sqrt(before / self.problem.lam)
        if factor == 1:
            return
        for grid in self.latents:
            grid.mul_(factor)
        for leaves, _ in self.cores:
            for leaf in leaves:
                leaf.data.mul_(factor)
        for name in ("B", "S"):  # what the field makes of latents
            self.problem.field.tensors[name].data.div_(factor)

    def relaxed(self) -> list[Float32Array]:
        """The latents before they are rounded."""
        return [np.asarray(grid[0, 0].cpu().numpy() * gain, np.float32) for grid, gain in zip(self.latents, self.gains, strict=True)]

    def step(self, share: float) -> None:
        """See TrainingLoop.step."""
        number, frozen = self._next(), self.schedule.frozen(share)
        if self.schedule.silent_from is not None and self._looks < (share >= self.schedule.silent_from) + frozen:
            self._looks += 1
            latents = self.rounded()
            self._silence(worthless_grids(self.problem, latents, self._whole_loss) if frozen else silent_grids(latents))
        own, place = self.places[number], self._where(number)
        if frozen != self._frozen:  # what was recorded is not needed again
            self._frozen = frozen
            self._forget(not frozen)
        if place is not own:
            place.load(own, self.problem.distortion.held(own.window))
        self._prepare(share, place)
        if self.weight_optimizer.done:
            self.graphs.do(("step", place.key, frozen), partial(self._work, place, frozen))
        else:  # it only finds the bases
            self._work(place, frozen)
        if place is not own and not frozen:
            place.store(own)
        if self.weight_optimizer.due:
            with cpu_threads(1):  # several are no faster for small matrices, and would change the last bits of their decompositions
                if self.weight_optimizer.done:
                    self.graphs.do("bases", self.weight_optimizer.refresh)
                else:
                    self.weight_optimizer.refresh()
        self.weight_optimizer.done += 1
        search = self.problem.search
        if search is not None and search.share == 1 and not search.last_part and share >= LAST_PART_BEGINS:
            last_part.leave(self, search)
        if self.problem.steering is not None:
            if share >= AGAIN_FROM and self._halfway is None:
                self._halfway = self._here(self.done + 1)
            before = self.problem.lam
            self.problem.steering.look(share, self.rounded)
            self._rescale(before)
        self._tell(share)

    def _forget(self, frozen: bool) -> None:
        """Give up the recordings of steps that are not made again."""
        self.graphs.clear(*(("step", key, frozen) for key in (*range(len(self.places)), *self._shared)))

    def _silence(self, silent: Sequence[int]) -> None:
        """Have these grids be 0 from here on: they are neither relaxed nor moved, and their latents take no bits."""
        if tuple(silent) == self.problem.silent:
            return
        self.problem.silent = tuple(silent)
        self._forget(self._frozen)
        for grids in (self.latents, *(leaves for leaves, _ in self.cores)):
            for number in silent:
                grids[number].data.zero_()
        for place in (*self.places, *self._shared.values()):
            place.optimizer.resting = self.problem.silent

    def _where(self, number: int) -> Place:
        """Where the steps of a window are made: where they are recorded, in memory that it shares with the windows that are like it."""
        own = self.places[number]
        if self._likeness.count(self._likeness[number]) == 1:
            return own
        key = (self._likeness[number], self.problem.distortion.variant(own.window))
        if key not in self._shared:
            self._shared[key] = own.shared(key, self.problem.distortion.held(own.window))
            self._shared[key].optimizer.resting = self.problem.silent
        return self._shared[key]

    def _prepare(self, share: float, place: Place) -> None:
        """Fill in all that a step reads and that changes from one to the next."""
        self._set_rates(share, place.optimizer)
        self.weight_optimizer.prepare()
        if not self.schedule.frozen(share):
            place.optimizer.prepare()
        temperature = self.schedule.temperature(share)
        self._numbers.set(temperature, stretch_of(temperature), self.schedule.noise(share), UNIT * self.problem.lam)

    def _work(self, place: Place, frozen: bool) -> None:
        """What a step asks of the device: the same at any step for these two, so that it can be recorded."""
        scale = self._numbers.values[3]
        seen = self._seen(place, frozen)
        self.weight_optimizer.zero_grad()
        place.optimizer.zero_grad()
        (distortion, by_distortion), (rate, by_rate) = self.pair(
            lambda: _backward(lambda latents: self.problem.distortion_on(latents, place.window, place.held), seen, UNIT),
            lambda: _backward(lambda latents: self.problem.rate_on(latents, place.window), seen, scale),
        )
        if (differences := self.problem.weight_rate()) is not None:
            (scale * differences).backward()  # type: ignore[no-untyped-call]
        if not frozen:
            # As a sum of products, and not by torch.autograd.backward, which imports torch.export for gradients that it is given.
            total = [(grid * (a + b)).sum() for grid, a, b in zip(*map(together, (seen, by_distortion, by_rate)), strict=True)]
            torch.stack(total).sum().backward()  # type: ignore[no-untyped-call]
        with cpu_threads(1):
            self.weight_optimizer.move()
        if not frozen:
            place.optimizer.move()
            if place.core:
                torch._foreach_copy_(place.core, [leaf.detach() for leaf in place.leaves])
        if self.recursive:
            contract(self.recursive, self.schedule.rho)
        torch.stack([distortion, rate], out=self._found)

    def _tell(self, share: float) -> None:
        """Report the step. A GPU, which would have to wait for it, is only now and then asked for its numbers, but so often that it keeps up."""
        if self.problem.device.type != "cpu" and self.done % READ_EVERY:
            distortion, rate = self._read
        else:
            distortion, rate = self._read = tuple(self._found.tolist())
        error = distortion if self.problem.distortion.is_error else math.nan
        self.report(share, loss=distortion + self.problem.lam * rate, error=error, rate=rate)

    def _next(self) -> int:
        if not self._queue:
            self._queue = self.order.permutation(len(self.cores)).tolist()
        return self._queue.pop()

    def _seen(self, place: Place, frozen: bool) -> list[Tensor]:
        """The window's latents: relaxed, or rounded once frozen."""
        if frozen:
            return apart([torch.round(grid) for grid in together(torch._foreach_mul(place.whole, self.gains))], place.whole)
        grids = list(place.leaves)
        if len(self.places) > 1:
            grids = [grid.clone() for grid in place.whole]
            for grid, part, leaf in zip(grids, place.window.inner, place.leaves, strict=True):
                cut(grid, part).copy_(leaf)
        temperature, stretch, noise, _ = self._numbers.values
        numbers = [number for number in range(len(grids)) if number not in self.problem.silent]
        moving = torch._foreach_mul([grids[number] for number in numbers], [self.gains[number] for number in numbers])
        seen = apart([relaxed(grid, temperature, noise, self.generator, stretch) for grid in together(moving)], moving)
        found = dict(zip(numbers, seen, strict=True))
        return [found[number] if number in found else torch.zeros_like(grid) for number, grid in enumerate(place.whole)]

    def _set_rates(self, share: float, latent_optimizer: Adam) -> None:
        rates = self.schedule.rates(share, self.done, len(self.places))
        for group, rate in zip(self.weight_optimizer.param_groups, (rates.field, rates.context, rates.recursion), strict=False):
            group["lr"] = rate
        latent_optimizer.rate = rates.latents

    def measure(self) -> tuple[float, Callable[[], _State]]:
        """The loss of the rounded state."""
        latents, windows = self.rounded(), self._telling
        loss = self._loss(latents, windows[:: max(1, len(windows) // 4)])
        return loss, lambda: _State({name: tensor.detach().clone() for name, tensor in self.problem.weights().items()}, latents)

    def _whole_loss(self, latents: list[Tensor]) -> float:
        return self._loss(latents, self.problem.windows)

    def _loss(self, latents: list[Tensor], windows: Sequence[Window]) -> float:
        """The mean over windows, of rounded latents."""
        problem = self.problem
        parts = [self.pair(partial(problem.distortion_of, latents, window), partial(problem.rate_of, latents, window)) for window in windows]
        return sum(d + problem.lam * r for d, r in parts) / len(parts)


def _backward(term: Callable[[list[Tensor]], Tensor], latents: list[Tensor], scale: Number) -> tuple[Tensor, list[Tensor]]:
    """A term of the loss, and `scale` times its gradients by the latents; those by its tensors are added to theirs."""
    leaves = [grid.detach().requires_grad_(grid.requires_grad) for grid in latents]
    value = term(leaves)
    (value * scale).backward()  # type: ignore[no-untyped-call]
    return value.detach(), [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves]
