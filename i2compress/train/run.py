"""The training loop: steps, checkpoints that it goes on from, and the held-out curve."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import MalformedError, OutputExistsError, UsageError
from ..field.priors import KNOTS, read_start, shipped
from ..files import atomic_writer
from ..fit.analysis import STRIDE
from ..fit.training_loop import StepInfo
from ..metrics import psnr
from .crops import Crops, held_out_crops
from .model import Model, export, load_start

CHECKPOINT, START, CURVE = "checkpoint.pt", "start.npz", "curve.jsonl"
CURVE_CODES = (58, 50, 42, 34)  # step codes of the held-out curve: lambda 4e-3, 1e-3, 2.5e-4 and 6.3e-5
HELD_OUT_CROPS = 12
STEP_CODE_ORIGIN, ORIGIN_LAMBDA = 50, 1e-3  # see media.image.encode


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """How to train.

    Args:
        steps: of the whole training, on which the rates depend.
        minutes: after which to stop, to go on another time; None for no limit.
        side, batch: of the crops.
        rate, weight_rate: learning rates of the analysis network, and of the weights of field and context model.
        temperatures, noises: of the relaxed latents, at first and in the end.
        often, often_share: step codes that so large a share of the steps is drawn from; the others are drawn from all of them.
        warm_up: steps in which the learning rates rise.
        half: the analysis network's convolutions in bfloat16.
        seed: of everything random.
        every: steps between two points of the held-out curve and two checkpoints.
    """

    steps: int = 100_000
    minutes: float | None = None
    side: int = 128
    batch: int = 6
    rate: float = 1e-3
    weight_rate: float = 3e-3
    temperatures: tuple[float, float] = (0.3, 0.15)
    noises: tuple[float, float] = (0.25, 0.18)
    often: tuple[int, int] = (45, 58)
    often_share: float = 0.85
    warm_up: int = 100
    half: bool = False
    seed: int = 0
    every: int = 500

    def __post_init__(self) -> None:
        for name, value, least in (("steps", self.steps, 1), ("batch", self.batch, 1), ("side", self.side, 64)):
            if value < least:
                raise UsageError(f"{name} is {value}; expected at least {least}")
        if self.side % STRIDE:
            raise UsageError(f"side is {self.side}; expected a multiple of {STRIDE}")
        if self.minutes is not None and not self.minutes > 0:
            raise UsageError(f"minutes is {self.minutes:g}; expected more than 0")

    def share_left(self, share: float) -> float:
        """Of the learning rates: full for most of the training, then down to almost nothing over its last third."""
        return min(1.0, max(0.01, (1 - share) * 3))


def lambda_of(step_code: int) -> float:
    """The rate weight whose pictures have that step code."""
    return float(ORIGIN_LAMBDA * 2.0 ** ((step_code - STEP_CODE_ORIGIN) / 4))


class Training:
    """A model, its optimiser and where it stands.

    Args:
        crops: batches to train on.
        held_out: `[N, 3, side, side]` that the curve is measured on.
        settings: how.
        folder: of checkpoint and curve; see `resume`.
        device: of all tensors.
    """

    def __init__(self, crops: Crops, held_out: Tensor, settings: TrainSettings, folder: Path, device: torch.device) -> None:
        self.crops, self.settings, self.folder, self.device = crops, settings, folder, device
        self.held_out = held_out.to(device)
        torch.manual_seed(settings.seed)
        self.model = Model(settings.side).to(device)
        weights = [*self.model.base.parameters(), *self.model.knots.parameters()]
        groups = [{"params": list(self.model.analysis.parameters()), "first": settings.rate}, {"params": weights, "first": settings.weight_rate}]
        self.optimizer = torch.optim.Adam(groups, lr=settings.rate, betas=(0.9, 0.98))
        self.step, self.seconds = 0, 0.0

    def resume(self) -> None:
        """Go on from the folder's checkpoint.

        Raises:
            MalformedError: a checkpoint of another network.
        """
        path = self.folder / CHECKPOINT
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.seconds = state["step"], state["seconds"]
        except (RuntimeError, KeyError, ValueError) as error:
            raise MalformedError(f"{path} is no checkpoint of this version's networks; train into another folder") from error

    def save(self) -> None:
        """Write the checkpoint; an interrupted write leaves the one before."""
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "step": self.step, "seconds": self.seconds}
        with atomic_writer(self.folder / CHECKPOINT, force=True) as file:
            torch.save(state, file)
        export(self.model, self.folder / START)

    def run(
        self,
        on_step: Callable[[StepInfo], None] | None = None,
        say: Callable[[dict[str, float]], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> None:
        """Train to the end, or for the minutes that there are, or until `stop`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        began, earlier, settings = time.monotonic(), self.seconds, self.settings
        limit = math.inf if settings.minutes is None else 60 * settings.minutes
        while self.step < settings.steps and time.monotonic() - began < limit and not (stop is not None and stop()):
            loss, distortion, rate = self._train(self.step)
            self.step += 1
            self.seconds = earlier + time.monotonic() - began
            if on_step is not None:
                left = self.seconds / self.step * (settings.steps - self.step)
                shown = {"loss": loss, "psnr": psnr(distortion), "bpp": rate}
                on_step(StepInfo(phase="train", step=self.step, steps=settings.steps, **shown, elapsed=self.seconds, eta=left))
            if self.step % settings.every == 0:
                point = self.measure()
                if say is not None:
                    say(point)
                self.save()
        self.save()

    def _train(self, step: int) -> tuple[float, float, float]:
        settings, share = self.settings, step / self.settings.steps
        rng = np.random.default_rng((settings.seed, 3, step))
        low, high = settings.often if rng.random() < settings.often_share else (KNOTS[0], KNOTS[-1])
        code = int(rng.integers(low, high + 1))
        temperature, noise = (a + (b - a) * share for a, b in (settings.temperatures, settings.noises))
        generator = torch.Generator(self.device).manual_seed(int(rng.integers(2**62)))
        left = settings.share_left(share) * min(1.0, (step + 1) / settings.warm_up)
        for group in self.optimizer.param_groups:
            group["lr"] = group["first"] * left
        self.optimizer.zero_grad()
        pictures = self.crops.at(step).to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=settings.half):
            guess = self.model.analysis(pictures, code)
        distortion, rate = self.model.terms(self.model.relax(guess, temperature, noise, generator), pictures, code)
        loss = distortion + lambda_of(code) * rate
        loss.log().backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.model.contract()
        return float(loss.detach()), float(distortion.detach()), float(rate.detach())

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """A point of the held-out curve: PSNR, bits a sample and loss / lambda of rounded latents, weights left out, at each of CURVE_CODES."""
        point: dict[str, float] = {
            "step": self.step,
            "samples": self.step * self.settings.batch * self.settings.side**2,
            "seconds": round(self.seconds, 1),
        }
        for code in CURVE_CODES:
            latents = [torch.round(grid) for grid in self.model.analysis(self.held_out, code)]
            distortion, rate = (float(term) for term in self.model.terms(latents, self.held_out, code))
            lam = lambda_of(code)
            point |= {
                f"psnr {lam:.2g}": round(psnr(distortion), 3),
                f"bpp {lam:.2g}": round(rate, 4),
                f"loss {lam:.2g}": round(distortion / lam + rate, 4),
            }
        with (self.folder / CURVE).open("a") as file:
            file.write(json.dumps(point) + "\n")
        return point


def train(
    paths: tuple[list[Path], list[Path]],
    settings: TrainSettings,
    folder: Path,
    *,
    device: torch.device,
    begin: str | None = None,
    resume: bool = False,
    on_step: Callable[[StepInfo], None] | None = None,
    say: Callable[[dict[str, float]], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Training:
    """Train on the first of `paths` and measure on the second, into `folder`; for the rest see Training.

    Args:
        paths: photographs to train on, and those held out.
        settings: how.
        folder: of checkpoint, start and curve; made if need be.
        device: to train on.
        begin: the file of a start to begin with, or "shipped"; None for nothing.
        resume: go on from the folder's checkpoint.
        on_step, say, stop: called after every step, with every point of the curve, and asked before every step.

    Raises:
        OutputExistsError: the folder holds a checkpoint, and not `resume`.
        UsageError: `resume` without one; no photographs; a start that is not there.
    """
    checkpoint = folder / CHECKPOINT
    if checkpoint.exists() and not resume:
        raise OutputExistsError(f"{checkpoint} exists; go on from it with --resume, or name another folder")
    if resume and not checkpoint.exists():
        raise UsageError(f"{checkpoint} is not there to go on from; leave --resume out")
    start = None
    if begin is not None:
        start = shipped() if begin == "shipped" else read_start(Path(begin)) if Path(begin).is_file() else None
        if start is None:
            raise UsageError(f"there is no start {begin!r}; expected the file of one, or 'shipped' where one ships")
    chosen, held = paths
    crops = Crops(chosen, side=settings.side, batch=settings.batch, seed=settings.seed)
    training = Training(crops, held_out_crops(held, 2 * settings.side, HELD_OUT_CROPS), settings, folder, device)
    if resume:
        training.resume()
    elif start is not None:
        load_start(training.model, start)
    training.run(on_step, say, stop)
    return training
