"""What all trainings share: settings, steps and clock, checkpoints that they go on from, and the held-out curve."""

import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..errors import MalformedError, UsageError
from ..files import atomic_writer
from ..fit.analysis import STRIDE
from ..fit.training_loop import StepInfo
from ..metrics import psnr

CHECKPOINT, START, CURVE = "checkpoint.pt", "start.npz", "curve.jsonl"
CURVE_CODES = (58, 50, 42, 34)  # step codes of the held-out curve: lambda 4e-3, 1e-3, 2.5e-4 and 6.3e-5
STEP_CODE_ORIGIN, ORIGIN_LAMBDA = 50, 1e-3  # see media.image.encode


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """How to train.

    Args:
        steps: of the whole training.
        minutes: after which to stop, to go on another time; None for no limit.
        side: of the crops.
        seed: of everything random.
        every: steps between two points of the held-out curve and two checkpoints.
    """

    steps: int
    minutes: float | None = None
    side: int
    seed: int = 0
    every: int

    def __post_init__(self) -> None:
        for name, value, least in (("steps", self.steps, 1), ("side", self.side, 64)):
            if value < least:
                raise UsageError(f"{name} is {value}; expected at least {least}")
        if self.side % STRIDE:
            raise UsageError(f"side is {self.side}; expected a multiple of {STRIDE}")
        if self.minutes is not None and not self.minutes > 0:
            raise UsageError(f"minutes is {self.minutes:g}; expected more than 0")


def lambda_of(step_code: int) -> float:
    """The rate weight whose pictures have that step code."""
    return float(ORIGIN_LAMBDA * 2.0 ** ((step_code - STEP_CODE_ORIGIN) / 4))


class Training(ABC):
    """A training and where it stands.

    Args:
        settings: how.
        folder: of checkpoint, start and curve; see `resume`.
        device: of all tensors.
    """

    def __init__(self, settings: TrainSettings, folder: Path, device: torch.device) -> None:
        self.settings, self.folder, self.device = settings, folder, device
        self.step, self.seconds = 0, 0.0

    @abstractmethod
    def make(self, step: int) -> tuple[float, float, float]:
        """One step; its loss, mean squared error (nan where it is not known) and bits a sample."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Everything that later steps depend on, beside settings and photographs."""

    @abstractmethod
    def restore(self, state: dict[str, Any]) -> None:
        """Undoes `state`. Raises RuntimeError, KeyError or ValueError where it is of other networks."""

    @abstractmethod
    def export(self, path: Path) -> None:
        """Write the start; see field.priors."""

    @abstractmethod
    def held_out(self, step_code: int) -> tuple[float, float]:
        """Mean squared error and bits a sample of the held-out crops at a step code, weights left out."""

    def resume(self) -> None:
        """Go on from the folder's checkpoint.

        Raises:
            MalformedError: a checkpoint of another network.
        """
        path = self.folder / CHECKPOINT
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            self.restore(state["training"])
            self.step, self.seconds = state["step"], state["seconds"]
        except (RuntimeError, KeyError, ValueError) as error:
            raise MalformedError(f"{path} is no checkpoint of such a training of this version; train into another folder") from error

    def save(self) -> None:
        """Write checkpoint and start; an interrupted write leaves the ones before."""
        with atomic_writer(self.folder / CHECKPOINT, force=True) as file:
            torch.save({"training": self.state(), "step": self.step, "seconds": self.seconds}, file)
        self.export(self.folder / START)

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
            loss, distortion, rate = self.make(self.step)
            self.step += 1
            self.seconds = earlier + time.monotonic() - began
            if on_step is not None:
                left = self.seconds / self.step * (settings.steps - self.step)
                shown = {"loss": loss, "psnr": math.nan if math.isnan(distortion) else psnr(distortion), "bpp": rate}
                on_step(StepInfo(phase="train", step=self.step, steps=settings.steps, **shown, elapsed=self.seconds, eta=left))
            if self.step % settings.every == 0:
                point = self.measure()
                if say is not None:
                    say(point)
                self.save()
        self.save()

    def measure(self) -> dict[str, float]:
        """A point of the held-out curve: PSNR, bits a sample and loss / lambda at each of CURVE_CODES."""
        point: dict[str, float] = {"step": self.step, "seconds": round(self.seconds, 1)}
        for code in CURVE_CODES:
            distortion, rate = self.held_out(code)
            lam = lambda_of(code)
            point |= {
                f"psnr {lam:.2g}": round(psnr(distortion), 3),
                f"bpp {lam:.2g}": round(rate, 4),
                f"loss {lam:.2g}": round(distortion / lam + rate, 4),
            }
        with (self.folder / CURVE).open("a") as file:
            file.write(json.dumps(point) + "\n")
        return point
