"""What is wanted: a target as a number, what a file comes to, and what to say of it."""

import math

import numpy as np

from ..config import AIM_ROOM, Target, View
from ..efforts import lambda_of_quality
from ..errors import UsageError
from ..media.estimates import MOVING_BITS
from ..media.protocol import Resampling, Source
from ..media.table import medium_of, medium_of_file
from ..signal import Layout
from .tries import Attempt

BELOW = 0.03  # of a size: how far below it a file may end
NEAR = {"psnr": 0.2, "ssimulacra2": 1.0}  # how far above it a file may end
MARGIN = {"size": -0.012, "psnr": 0.05, "ssimulacra2": 0.3}  # what is aimed at, inside the target
SLOPES = {"size": -0.9, "psnr": -2.2, "ssimulacra2": -7.0}  # for each ln(lambda): ln(bytes), dB, points; the first guess only
LAMBDAS = (1e-7, 0.5)
MOVING_WEIGHTS = 500.0  # bytes of the weights of a video


class Goal:
    """A target as a number, found values of it, and what to say of them. Sizes are ln(bytes)."""

    def __init__(self, target: Target, source: Source) -> None:
        layout = source.layout
        self._source = source
        if target.bpp is not None and isinstance(source, Resampling):
            raise UsageError("--bpp is for sources with samples of their own, which this one does not have; use --target-size")
        size = target.most_bytes(layout.samples)
        if size is not None:
            self.name, self.limit = "size", math.log(max(size, 1))
        elif target.psnr is not None:
            self.name, self.limit = "psnr", target.psnr
        else:
            assert target.ssimulacra2 is not None  # one is given
            self.name, self.limit = "ssimulacra2", target.ssimulacra2
            if len(layout.grid) != 2 or layout.channels not in (1, 3) or min(layout.grid) < 8:
                raise UsageError("--target-ssimulacra2 is for pictures of at least 8x8 without transparency; use --target-psnr or --target-size")
        self.wanted = self.limit + MARGIN[self.name]
        self.aim = self.limit + (-1 if self.name == "size" else 1) * AIM_ROOM[self.name]  # of a fit that moves lambda

    def found(self, made: Attempt) -> float:
        """What a file comes to."""
        if self.name == "size":
            return math.log(len(made.coded.data))
        return made.figures["psnr"] if self.name == "psnr" else _judged(self._source, made.coded.data)

    def met(self, found: float) -> bool:
        """Whether that is within the limit."""
        return found <= self.limit if self.name == "size" else found >= self.limit

    def near(self, found: float) -> bool:
        """Whether it is close enough to it."""
        return abs(found - self.limit) <= (-math.log(1 - BELOW) if self.name == "size" else NEAR[self.name])

    def miss(self, found: float) -> str:
        """Why no file is written."""
        if self.name == "size":
            over = math.exp(found) / math.exp(self.limit) - 1
            size, limit = math.exp(found), math.exp(self.limit)
            return f"the nearest file has {size:.0f} bytes, {100 * over:.1f} % over {limit:.0f}; ask for more, or make the source smaller"
        lacks = f"{self.limit - found:.2f} less than {self._shown(self.limit)}"
        return f"the nearest file has {self._shown(found)}, {lacks}; ask for less, or raise the effort"

    def said(self, found: float) -> str:
        """What to say of a file that meets the target by more than was needed."""
        if self.name == "size":
            return f"the file has {math.exp(found):.0f} bytes, {100 - 100 * math.exp(found - self.limit):.1f} % under {math.exp(self.limit):.0f}"
        return f"the file has {self._shown(found)}, more than {self._shown(self.limit)}"

    def _shown(self, value: float) -> str:
        return f"{value:.2f} dB PSNR" if self.name == "psnr" else f"SSIMULACRA 2 {value:.2f}"


def first_lambda(goal: Goal, layout: Layout, *, continues: bool) -> float:
    """Lambda of a usual photograph: 0.4 bits a pixel, 34 dB and 65 of SSIMULACRA 2 at quality 50. Of sound: half the noise's power.

    Of video whose fits go on: four times that power, as between 25 and 50 dB, or 1e-3 at MOVING_BITS.
    """
    if len(layout.grid) != 2:
        noise = float(10 ** (-goal.limit / 10)) * layout.peak**2
        if continues and layout.seconds is not None:
            if goal.name == "psnr":
                return 4 * noise
            latents = max(math.exp(goal.limit) - MOVING_WEIGHTS, math.exp(goal.limit) / 3)
            return clamped(math.log(1e-3) + math.log(8 * latents / (MOVING_BITS * layout.samples)) / SLOPES["size"])
        if continues:
            return 1.2e-3  # of a shape
        if "bitrate" not in medium_of(layout.kind).options and (layout.seconds is None or goal.name == "size"):
            return lambda_of_quality(50)
        return noise / 2 if goal.name == "psnr" else 1e-6
    usual = {"size": math.log(0.4 * layout.samples / 8), "psnr": 34.0, "ssimulacra2": 65.0}[goal.name]
    guess = clamped(math.log(lambda_of_quality(50)) + (goal.limit - usual) / SLOPES[goal.name])
    return min(max(guess, lambda_of_quality(100)), lambda_of_quality(0))


def clamped(place: float) -> float:
    return min(max(math.exp(min(max(place, -30.0), 0.0)), LAMBDAS[0]), LAMBDAS[1])


def _judged(source: Source, data: bytes) -> float:
    """SSIMULACRA 2 of a file."""
    from ..fit import ssimulacra2

    rows = source.layout.grid[0]
    content = medium_of_file(data).load(data, partial=False, threads=None)
    decoded = np.concatenate(list(content.blocks(View())))
    return ssimulacra2(np.asarray(source.read(0, rows), np.float32), decoded)
