"""What efforts and qualities mean: steps of a fit, and its lambda."""

import math
from collections.abc import Mapping
from typing import NamedTuple

DEFAULT_QUALITY = 75.0
DEFAULT_EFFORT = 5


class Effort(NamedTuple):
    """Work of one effort level: optimiser steps in all, and how many short candidates are tried first."""

    steps: int
    candidates: int


EFFORTS = {
    1: Effort(50, 1),
    2: Effort(90, 1),
    3: Effort(150, 1),
    4: Effort(250, 1),
    5: Effort(400, 1),
    6: Effort(800, 1),
    7: Effort(2500, 2),
    8: Effort(5000, 3),
    9: Effort(15000, 5),
}

# Larger pictures get fewer of them, as their networks move with each of their windows: so an effort takes a time that grows with the samples
# to the power 1 - STEPS_FALL.
FULL_STEPS = 1 << 19  # samples of the largest picture with all its effort's steps
STEPS_FALL = 0.4
# Fits of at least so many steps, of at most so many samples, have their weights quantised with compensation; see fit.schedule.Compensation.
COMPENSATED_FROM, COMPENSATED_UP_TO = 200, 3 << 19

FEWEST_STEPS = 40  # with fewer a picture or a group of a video falls apart at any rate; see docs/results


def effort_steps(effort: int, samples: int) -> int:
    """Steps of an effort for a field of so many samples; see EFFORTS and FULL_STEPS."""
    return round(EFFORTS[effort].steps * math.pow(FULL_STEPS / max(samples, FULL_STEPS), STEPS_FALL))


# Steps of a fit of a coordinate field, whose weights hold everything and need more of them.
COORDINATE_STEPS = {1: 60, 2: 120, 3: 200, 4: 400, 5: 800, 6: 1500, 7: 2500, 8: 5000, 9: 15000}
FULL_BATCH, BATCH = 2**16, 2**14  # points up to which each of those steps takes all of them, and points of a step otherwise
CHECKED_POINTS = 2**14  # on which states and steps of the weights are compared
CLOUD_BATCH = 2**11  # points with normals of a step, and as many random places


def coordinate_batch(points: int) -> int:
    """Points that a step of the fit of a coordinate field takes of so many."""
    return points if points <= FULL_BATCH else BATCH


# Steps of a fit whose latents start at their places, not at zero (those of sound: at the quantised spectrum).
STARTED_STEPS = {1: 30, 2: 60, 3: 100, 4: 150, 5: 200, 6: 400, 7: 800, 8: 1600, 9: 4000}

# Steps of a fit of each group of pictures of a video, whose samples are many; a short or small one gets up to MORE_STEPS times as many.
VIDEO_STEPS = {1: 60, 2: 80, 3: 110, 4: 150, 5: 200, 6: 320, 7: 700, 8: 1500, 9: 4000}
VIDEO_SAMPLES = 30 * 144 * 176  # of the smallest video without more: a second of QCIF
MORE_STEPS = 2.0


def video_steps(effort: int, samples: int) -> int:
    """Steps of an effort for each group of a video of so many samples (frames, rows and columns); see VIDEO_STEPS."""
    return round(VIDEO_STEPS[effort] * min(MORE_STEPS, math.sqrt(max(1.0, VIDEO_SAMPLES / samples))))


# Quality -> noise below the sound, in dB; linear in between.
QUALITY_DECIBELS = {0.0: 5.0, 25.0: 11.0, 50.0: 17.0, 75.0: 24.0, 90.0: 32.0, 100.0: 45.0}


def decibels_of_quality(quality: float) -> float:
    """How far below the (weighted) power of a sound lambda is put, for a quality in 0..100."""
    start, end, share = _between(QUALITY_DECIBELS, quality)
    return start + (end - start) * share


# Quality -> lambda, geometric in between. Chosen so that a photograph has about the PSNR of a JPEG of that quality.
QUALITY_LAMBDAS = {0.0: 2e-2, 25.0: 6e-3, 50.0: 2.25e-3, 75.0: 9e-4, 90.0: 2.8e-4, 95.0: 1.2e-4, 100.0: 3e-5}


def lambda_of_quality(quality: float) -> float:
    """Rate weight lambda of a quality in 0..100: geometric between the entries of QUALITY_LAMBDAS."""
    start, end, share = _between(QUALITY_LAMBDAS, quality)
    return start * math.pow(end / start, share)


def _between(table: Mapping[float, float], quality: float) -> tuple[float, float, float]:
    """The values of the entries to both sides of a quality, and how far from the first to the second it is, 0..1."""
    high = next(knot for knot in sorted(table)[1:] if quality <= knot)
    low = max(knot for knot in table if knot < high)
    return table[low], table[high], (quality - low) / (high - low)
