"""Lambda, changed while a fit goes on, so that it ends at a wanted rate or a wanted distortion.

The rate that a step reports is that of relaxed latents; how far it is from that of rounded ones is measured from time to time. When the
latents are rounded for good, how readily they are rounded towards zero takes up what difference is left.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

BEGIN, END = 0.1, 0.88  # shares of the fit in which lambda moves
GAIN = 12.0  # over the whole fit: how far ln(lambda) moves for a constant difference of 1 in ln(rate)
QUICKEST = 0.25  # of ln(lambda), in one step
RANGE = math.log(64)  # of ln(lambda), either way
SMOOTHING = 0.2  # weight of a step in the mean of what steps report
OFFSETS = (-0.15, 0.35)  # of the rounding towards zero: 0 rounds to the nearest
HALVINGS = 9


class Steering:
    """What lambda should be, from what a fit reports.

    Args:
        lam: at first.
        rate: bits a sample of the latents, to end at; or
        distortion: to end at. One of the two.
    """

    def __init__(self, lam: float, *, rate: float | None = None, distortion: float | None = None) -> None:
        self.by_rate = rate is not None
        wanted = rate if rate is not None else distortion
        assert wanted is not None and wanted > 0
        self._wanted, self._start, self.lam = math.log(wanted), math.log(lam), lam
        self._mean: float | None = None
        self._offset = 0.0  # ln of what rounded latents give over what relaxed ones do
        self._share = 0.0

    def step(self, share: float, *, distortion: float, rate: float) -> float:
        """Lambda after a step at that share of the fit."""
        found = math.log(max(rate if self.by_rate else distortion, 1e-12))
        self._mean = found if self._mean is None else self._mean + SMOOTHING * (found - self._mean)
        passed, self._share = share - self._share, share
        if BEGIN <= share < END:
            excess = self._mean + self._offset - self._wanted
            move = GAIN * passed * (excess if self.by_rate else -excess)
            place = math.log(self.lam) + min(max(move, -QUICKEST), QUICKEST)
            self.lam = math.exp(min(max(place, self._start - RANGE), self._start + RANGE))
        return self.lam

    def measured(self, *, distortion: float, rate: float) -> None:
        """What rounded latents gave just now."""
        if self._mean is not None:
            self._offset = math.log(max(rate if self.by_rate else distortion, 1e-12)) - self._mean

    def rounding(self, measure: Callable[[float], float]) -> float:
        """How far to round towards zero, so that `measure(offset)`, the rate or the distortion of latents so rounded, is what is wanted."""
        low, high = OFFSETS
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            above = math.log(max(measure(middle), 1e-12)) > self._wanted
            low, high = (middle, high) if above == self.by_rate else (low, middle)
        return high if self.by_rate else low


def round_towards_zero(latents: Tensor, offset: float) -> Tensor:
    """Integers: the nearest after the magnitude has been made less by `offset`."""
    return torch.sign(latents) * torch.floor((latents.abs() + (0.5 - offset)).clamp(min=0.0))
