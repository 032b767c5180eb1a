"""A signal, the networks that are fitted to it, and the two terms of the loss D + lambda R on a window of it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..arrays import Float32Array, Int32Array, Shape
from ..config import Search
from ..field.priors import find_prior
from ..field.pyramid import PyramidField
from ..field.spec import Arrays, PyramidSpec
from .distortion import Distortion
from .rate import ContextModel
from .schedule import Schedule
from .windows import Window, cut_all, windows

SAMPLES_FLOOR = 4096  # smaller signals weigh their bits as if they had this many samples
WEIGHT_STEP = 2.0**-6  # about what weights are quantised to
COUNTED = 0.5  # share of the bits of weights that counts while fitting: all of them keep weights from moving; measured, docs/results/training.md
COUNTED_AXES = 3  # fields of so many axes count it without a trained prior too: weights are a quarter of a small video

if TYPE_CHECKING:
    from .steering import Steering


@dataclass(frozen=True, kw_only=True)
class Start:
    """Where a fit begins, where that is not the prior and zeros.

    Args:
        weights: tensors by name; the others begin at the prior.
        latents: of each level, finest first.
        prior: number of the weight prior that they are coded as differences from.
    """

    weights: Arrays = field(default_factory=dict)
    latents: list[Float32Array] = field(default_factory=list)
    prior: int = 0


@dataclass(frozen=True, kw_only=True)
class FittedPyramid:
    """What a fit found.

    Args:
        weights: float64 tensors by name.
        latents: integers, finest first.
        loss: D + lambda R of that state, without the bits of the weights.
        steps: steps made.
        compensate: whether its weights are to be quantised with compensation.
        until: the time.monotonic() at which its weights are to be quantised, so that what follows ends in time; inf without a limit.
        again: of a fit that was steered, and came to that size or quality: makes its last part once more; gives None where that cannot be done.
    """

    weights: Arrays
    latents: list[Int32Array]
    loss: float
    steps: int
    compensate: bool = False
    until: float = math.inf
    again: "Callable[[float], FittedPyramid | None] | None" = None


class Problem:
    """A signal and the networks that are fitted to it.

    `steering` moves `lam`, where it is given one; `search` says which fit of a search this is; the grids whose numbers are `silent` are 0, and their
    latents take no bits; of the bits of weights the share `counted` is in the loss.

    Args:
        distortion: from the signal.
        spec: sizes.
        lam: rate weight.
        device: of all tensors.
        schedule: how it is fitted.
        start: where the fit begins; None for the prior and zeros.
        base: what the weights are coded as differences from, and begin at; None for prior 0.
    """

    steering: "Steering | None" = None
    silent: tuple[int, ...] = ()
    search: Search | None = None

    def __init__(
        self,
        distortion: Distortion,
        spec: PyramidSpec,
        lam: float,
        *,
        device: torch.device,
        schedule: Schedule,
        start: Start | None = None,
        base: Arrays | None = None,
    ) -> None:
        self.distortion, self.spec, self.lam, self.device, self.schedule = distortion, spec, lam, device, schedule
        self.samples = max(math.prod(spec.grid), SAMPLES_FLOOR) / math.prod(spec.grid)
        self.start = Start() if start is None else start
        self.prior, self.based = (find_prior(self.start.prior, spec), self.start.prior > 0) if base is None else (base, True)
        self.field = PyramidField(spec, self.prior, iterations=schedule.iterations, gradient=schedule.gradient).to(device)
        self.context = ContextModel(spec, self.prior).to(device)
        self.windows = windows(spec, schedule.window_side(spec.axes), distortion.reach)
        self.latent_shapes: Sequence[Shape] = spec.latent_shapes
        self._origins = {name: torch.from_numpy(value.astype(np.float32)).to(device) for name, value in self.prior.items()}
        self.counted = COUNTED if self.start.prior > 0 or spec.axes == COUNTED_AXES else 0.0
        self.begin_at(self.start)

    def begin_at(self, start: Start) -> None:
        """Have the fit begin there."""
        self.start = start
        self.set_weights(start.weights)

    def set_weights(self, weights: Arrays) -> None:
        """Have these tensors those values; the others stay."""
        for name, value in weights.items():
            self.weights()[name].data.copy_(torch.from_numpy(value))

    def weights(self) -> dict[str, Tensor]:
        """All tensors by name."""
        return {**self.field.tensors, **self.context.tensors}

    def telling(self, windows: Sequence[Window]) -> list[Window]:
        """Those on which a loss is measured for the whole: of which at least half as many samples count as of the one with most."""
        shares = [self.distortion.share(window) for window in windows]
        return [window for window, share in zip(windows, shares, strict=True) if 2 * share >= max(shares)]

    def values_on(self, latents: list[Tensor], window: Window) -> Tensor:
        """`[1, D, *whole]`: the field on all that the window sees, for the latents that it sees."""
        values: Tensor = self.field(latents, window.origins)
        return values

    def distortion_on(self, latents: list[Tensor], window: Window, held: Sequence[Tensor] | None = None) -> Tensor:
        """D of the window's core, a differentiable scalar, for the latents that the window sees; `held` as in Distortion."""
        return self.distortion(self.values_on(latents, window), window, held)

    def rate_on(self, latents: list[Tensor], window: Window) -> Tensor:
        """R, bits a sample of the latents of the window's core, a differentiable scalar, for those that the window sees."""
        bits: Tensor = self.context(latents, window, self.silent)
        samples = math.prod(part.stop - part.start for part in window.core[0]) * self.samples
        rate: Tensor = bits / samples
        return rate

    def weight_rate(self) -> Tensor | None:
        """Bits a sample that the weights' differences from their prior or base count in the loss, a differentiable scalar; None: nothing."""
        if not self.counted:
            return None
        bits = torch.stack([weight_bits(tensor - self._origins[name]) for name, tensor in self.weights().items()]).sum()
        return self.counted * bits / (math.prod(self.spec.grid) * self.samples)

    def distortion_of(self, latents: list[Tensor], window: Window) -> float:
        """D of rounded latents `[1, 1, *grid_l]` of the whole signal, on one window."""
        with torch.no_grad():
            return float(self.distortion_on(cut_all(latents, window), window))

    def rate_of(self, latents: list[Tensor], window: Window) -> float:
        """R of rounded latents of the whole signal, on one window."""
        with torch.no_grad():
            return float(self.rate_on(cut_all(latents, window), window))


def weight_bits(difference: Tensor) -> Tensor:
    """About what a tensor's difference from its prior takes: nothing under WEIGHT_STEP, a bit for every doubling from there on."""
    return 0.5 * torch.log2(1 + (difference / WEIGHT_STEP).square()).sum()
