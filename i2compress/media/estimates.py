"""What an encode takes, foreseen before it is begun: seconds of one core, by which runs are shared out, and bytes of memory. All constants are here.

They are those of an ordinary computer: `python -m tests.benchmarks.cost --encodes` shows the seconds beside those that were taken,
`python -m tests.benchmarks.memory` the bytes. An estimate is to be within a factor of 2 of an idle core.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..config import DEFAULT_FIELD, SQUARES, TEXTURE, WINDOW_SIDES, EncodeSettings
from ..efforts import CHECKED_POINTS, COORDINATE_STEPS, coordinate_batch
from ..planes.coordinate import DEFAULT_LAYERS, DEFAULT_WIDTH


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Seconds of one core of a kind of fit. What a sample is, its user says.

    Args:
        fit: of each fit, whatever it is of.
        sample: for each sample of all, once.
        step, step_sample: of a step of each fit, and for each sample.
        tail: steps that are as long as what follows a fit.
    """

    fit: float = 0.3
    sample: float = 0.0
    step: float
    step_sample: float
    tail: int = 0

    def seconds(self, steps: float, samples: float, fits: int = 1) -> float:
        """Of so many fits of so many steps each, to so many samples together."""
        steps += self.tail
        return fits * (self.fit + steps * self.step) + samples * (self.sample + steps * self.step_sample)


# By tune, for each pixel.
PICTURE = {
    SQUARES: Pace(step=0.015, step_sample=3e-7, tail=30),
    "ssim": Pace(step=0.015, step_sample=4e-7, tail=30),
    "visual": Pace(step=0.015, step_sample=5e-7, tail=30),
    TEXTURE: Pace(sample=1e-6, step=0.015, step_sample=5e-7, tail=30),
}
COMPENSATION = 2.5  # seconds that the compensation of weights takes, whatever they are of
SOUND = Pace(sample=4e-6, step=4e-3, step_sample=1.1e-7)  # for each sample of each channel
MESH_SAMPLE = 4e-6  # seconds for each pixel of each frame, in which is found how its parts move
VIDEO = Pace(fit=1.0, sample=1.1e-5 + MESH_SAMPLE, step=0.02, step_sample=6e-7)  # for each pixel of each frame
MOVING_BITS, MOVING_FALL = 0.25, -0.7  # a sample of a usual video at lambda 1e-3, and how they fall: the logarithm's slope
SHAPE = Pace(fit=0.7, sample=8.5e-4, step=0.01, step_sample=4.3e-6)  # for each sample of the grid that the surface crosses
GRID_SURFACE = 2.0  # of those, for each square of the longest side of a grid of distances, which is not read for that
TRIANGLE = 2.5e-5  # seconds for each triangle of a mesh
DISTANCE = 6e-6  # and for each sample of a grid whose distances from it are found


def moving_bits(lam: float) -> float:
    """Bits a sample of a usual video at that lambda."""
    return float(MOVING_BITS * (lam / 1e-3) ** MOVING_FALL)


@dataclass(frozen=True, kw_only=True)
class FieldPace:
    """Seconds of one core of the fit of a coordinate field: of steps, each on a batch of points, and of what is done once.

    Args:
        fit: of a fit, whatever it is of.
        step: of a step, whatever it is of.
        channel, product: of a step for each point and channel of the first layer, and for each product of its matrix.
        layer: a further layer, in the first.
        explicit: a step of an explicit field, in one of an implicit field.
        checked, rendered: for each of the points on which states are compared and weights quantised, and for each of the plane, in what a step takes
            for each, with one layer: the more there are, the fewer applications solve a field.
        at_once: the same two of an explicit field, which need not be solved, in those of an implicit field.
        kinds: what fields of a kind take, in those of the others.
    """

    fit: float
    step: float
    channel: float
    product: float
    layer: float
    explicit: float
    checked: float
    rendered: float
    at_once: float
    kinds: Mapping[str, float]

    def seconds(self, steps: int, batch: int, points: int, settings: EncodeSettings) -> float:
        """Of a fit of so many steps on so many points each, and of a plane of so many points."""
        width, layers = settings.width or DEFAULT_WIDTH, settings.layers or DEFAULT_LAYERS
        point = width * (self.channel + self.product * width) * self.kinds.get(settings.field, 1.0)
        each = batch * point * (1 + self.layer * (layers - 1)) * (self.explicit if settings.explicit else 1.0)
        once = (min(points, CHECKED_POINTS) * self.checked + points * self.rendered) * point * (self.at_once if settings.explicit else 1.0)
        return self.fit + steps * (self.step + each) + once


FIELD = FieldPace(
    fit=0.1,
    step=2e-3,
    channel=3.2e-8,
    product=1.7e-10,
    layer=0.5,
    explicit=0.45,
    checked=60.0,
    rendered=2.5,
    at_once=0.13,
    kinds={"gabor": 1.4},
)
# On points with normals, where a step solves them anew and differentiates their gradients once more.
CLOUD = replace(FIELD, channel=7 * FIELD.channel, product=7 * FIELD.product, checked=FIELD.checked / 7, rendered=FIELD.rendered / 7)


def field_seconds(grid: tuple[int, ...], settings: EncodeSettings, *, batch: int | None = None, pace: FieldPace | None = None) -> float:
    """Seconds of one core that the fit of a coordinate field takes, about.

    Args:
        grid: of the plane.
        settings: of the encode.
        batch: points of a step; None where it is fitted to the samples of the grid.
        pace: of its steps; None for FIELD.
    """
    steps = COORDINATE_STEPS[settings.effort] if settings.steps is None else settings.steps
    samples = math.prod(grid)
    return (FIELD if pace is None else pace).seconds(steps, coordinate_batch(samples) if batch is None else batch, samples, settings)


# Whole fits that a target takes, about: of media whose fits aim at it, of those whose last part is made again, and of others.
AIMED_FITS, CONTINUED_FITS, SEARCHED_FITS = 1.5, 2.0, 3.0


def fits(settings: EncodeSettings, *, aims: bool, continues: bool) -> float:
    """Whole fits that an encode takes, about, of a kind of media whose fits aim at targets, or whose last part can be made again, or neither."""
    if not settings.target.given:
        return 1.0
    if settings.field != DEFAULT_FIELD:
        return SEARCHED_FITS
    return AIMED_FITS if aims else CONTINUED_FITS if continues else SEARCHED_FITS


FIT_MEMORY = 480e6  # bytes of a process that fits next to nothing: torch and the compiled loops
# Bytes of the fit of a pyramid for each sample of its plane, and for each of its largest window.
PICTURE_MEMORY = (215.0, 280.0)
VIDEO_MEMORY = (220.0, 320.0)
VIDEO_BESIDE, GROUP_BESIDE = 70e6, 120e6  # beside that the library that reads video, and what is kept of groups before one, where there are several
# And for each pixel of a fit that comes to a size or a quality: what its last part is made once more from, and what is left of a whole fit before it.
AIMED_MEMORY = 290.0
COMPENSATION_MEMORY, COMPENSATED_SAMPLE = 460e6, 1200.0  # that the compensation of weights takes at most, and for each pixel
SOUND_MEMORY, LOOK_MEMORY = 280.0, 40.0  # for each sample of a segment, and of the loudest part
SHAPE_MEMORY = 14000.0  # for each sample that the surface crosses
SHAPE_BESIDE = 80e6  # the libraries of meshes, beside a coordinate field
# Of a coordinate field, its batches; for each value; for each weight: tensor, gradient, moments and bases.
FIELD_MEMORY, FIELD_SAMPLE, FIELD_WEIGHT = 60e6, 90.0, 64.0


def pyramid_memory(grid: tuple[int, ...], halvings: int, memory: tuple[float, float]) -> float:
    """Bytes of a process that fits a pyramid of so many samples along each axis, at their height, about.

    Args:
        grid: of the plane.
        halvings: of the windows; see EncodeSettings.
        memory: bytes for each sample of all, and for each of the largest window.
    """
    side = WINDOW_SIDES[len(grid) - 2] >> halvings
    window = math.prod(_longest(size, side) for size in grid)
    return FIT_MEMORY + memory[0] * math.prod(grid) + memory[1] * window


def _longest(size: int, side: int) -> int:
    """Samples of the longest of an axis's windows, their halos left out; see fit.windows."""
    return size if size <= side + side // 2 else max(side, size - side * (len(range(0, size - side // 2, side)) - 1))


def field_memory(grid: tuple[int, ...], channels: int, settings: EncodeSettings) -> float:
    """The same of a process that fits a coordinate field, whose steps take a batch of the samples; its optimiser has bases for its weights."""
    weights = (settings.layers or DEFAULT_LAYERS) * (settings.width or DEFAULT_WIDTH) ** 2
    return FIT_MEMORY + FIELD_MEMORY + FIELD_SAMPLE * channels * math.prod(grid) + FIELD_WEIGHT * weights
