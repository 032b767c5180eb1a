"""Training by batches: an analysis network that guesses latents, and the weights of field and context model that go with its guesses."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import UsageError
from ..field.priors import KNOTS, StartFile
from .crops import Crops
from .loop import Training, TrainSettings, lambda_of
from .model import Model, export, load_start


@dataclass(frozen=True, kw_only=True)
class BatchSettings(TrainSettings):
    """How to train by batches; the learning rates depend on `steps`.

    Args:
        batch: crops of a step.
        rate, weight_rate: learning rates of the analysis network, and of the weights of field and context model.
        temperatures, noises: of the relaxed latents, at first and in the end.
        often, often_share: step codes that so large a share of the steps is drawn from; the others are drawn from all of them.
        warm_up: steps in which the learning rates rise.
        half: the analysis network's convolutions in bfloat16.
    """

    steps: int = 100_000
    side: int = 128
    every: int = 500
    batch: int = 6
    rate: float = 1e-3
    weight_rate: float = 3e-3
    temperatures: tuple[float, float] = (0.3, 0.15)
    noises: tuple[float, float] = (0.25, 0.18)
    often: tuple[int, int] = (45, 58)
    often_share: float = 0.85
    warm_up: int = 100
    half: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch < 1:
            raise UsageError(f"batch is {self.batch}; expected at least 1")

    def share_left(self, share: float) -> float:
        """Of the learning rates: full for most of the training, then down to almost nothing over its last third."""
        return min(1.0, max(0.01, (1 - share) * 3))


class BatchTraining(Training):
    """A model and its optimiser.

    Args:
        crops: batches to train on.
        held_out: `[N, 3, side, side]` that the curve is measured on: what the network guesses, rounded.
        settings, folder, device: see Training.
        start: to begin with; None for nothing.
    """

    settings: BatchSettings

    def __init__(
        self, crops: Crops, held_out: Tensor, settings: BatchSettings, folder: Path, device: torch.device, *, start: StartFile | None = None
    ) -> None:
        super().__init__(settings, folder, device)
        self.crops = crops
        self._held_out = held_out.to(device)
        torch.manual_seed(settings.seed)
        self.model = Model(settings.side).to(device)
        if start is not None:
            load_start(self.model, start)
        weights = [*self.model.base.parameters(), *self.model.knots.parameters()]
        groups = [{"params": list(self.model.analysis.parameters()), "first": settings.rate}, {"params": weights, "first": settings.weight_rate}]
        self.optimizer = torch.optim.Adam(groups, lr=settings.rate, betas=(0.9, 0.98))

    def state(self) -> dict[str, Any]:
        """See Training."""
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """See Training."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])

    def export(self, path: Path) -> None:
        """See Training."""
        export(self.model, path)

    def make(self, step: int) -> tuple[float, float, float]:
        """See Training."""
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
    def held_out(self, step_code: int) -> tuple[float, float]:
        """See Training."""
        latents = [torch.round(grid) for grid in self.model.analysis(self._held_out, step_code)]
        distortion, rate = self.model.terms(latents, self._held_out, step_code)
        return float(distortion), float(rate)
