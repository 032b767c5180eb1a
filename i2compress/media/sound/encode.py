"""Sound becomes a file: segment by segment, each a plane of coefficients with a field of its own."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...arrays import Float64Array
from ...config import DEFAULT_FIELD, EncodeSettings
from ...efforts import STARTED_STEPS, decibels_of_quality
from ...planes import open_plane
from .. import estimates
from ..course import Parts
from ..estimates import field_memory, field_seconds
from ..protocol import Coded, Hooks, Source
from . import waveform
from .analysis import best_rotation, choose_hop, choose_splits, cost, ideal_bits, lambda_of_bits, rotate
from .format import (
    BARK_EDGES,
    GAIN_ORIGIN,
    GAINS_PER_OCTAVE,
    LAMBDA_STEPS,
    MAX_GAIN_CODE,
    PEAK_UNIT,
    SOURCES,
    Segment,
    SoundHeader,
    write_segment,
    write_start,
)
from .masking import band_gains, weigh
from .mdct import POWER, Framing, analyse
from .noise import levels
from .plane import LAMBDA, STEP, Fitted, fit_plane

if TYPE_CHECKING:
    from ...fit import Arrays, StepInfo

SEGMENT_SAMPLES = 3 << 19  # samples of a segment, all channels together: 33 s of mono at 48 kHz
SEGMENT_SECONDS, SEGMENT_LEAST = 33.0, 1 << 17  # and seconds, or samples a channel: each segment gets all the steps, from the last one's weights
LOOK_SECONDS = 8.0  # length of the loudest part, from which frames and rates are chosen
SILENCE_DB = -110.0  # lambda is never put further down: below the noise of 16 bits
FRAMING = 50  # bytes of a segment's chunks without weights, latents and what grows with its frames, about
FIT_BITS = 0.87  # bits of a fit, in those foreseen for its lambda: 0.76 to 0.94
PILOT, PILOT_LEAST = 0.3, 20  # share of the steps, and the least number of them, of the short fit from which a bitrate's lambda is foreseen
PILOT_RANGE, PILOT_HALVINGS = 3.0, 12  # how far lambda is moved from there, either way, and how finely
SETTLED = 0.96  # bytes of the latents of a whole fit, in the ideal ones of the short one
LEAST_BYTES = 1.0  # that a segment is asked to take, where its chunks alone take more than there is
MISSED = 0.05  # share of a segment's bytes: further off than this after the trim, it is fitted again
REFITS = 3  # times at most; all but fits of a few steps need one or none
REFIT_RANGE, LEAST_POWER = 16.0, 0.3  # how far lambda is moved from one to the next, either way; least power of what is foreseen that bytes go with
FITS = 2 + PILOT  # at most, for a bitrate: they share a time limit
WEIGHT_BYTES = 200
ENOUGH = 0.5  # share of its steps that a segment needs, or the time limit is said to have cost too many
HURRIED = "the time limit left fewer than half of the steps in {} of {} segments, so the file is larger or worse than it need be; give more time"
LEAST = 0.8  # steps; a bin whose coefficients all stay below is not kept


def encode(
    source: Source, settings: EncodeSettings, hooks: Hooks, *, segment_samples: int = SEGMENT_SAMPLES, look_seconds: float = LOOK_SECONDS
) -> Coded:
    """See Medium: a field for each segment, so that memory is bounded; or one coordinate field of the waveform.

    Frames and rates are chosen by the loudest `look_seconds`; a segment has at most `segment_samples` of all channels.
    """
    if settings.field != DEFAULT_FIELD:
        return waveform.encode(source, settings, hooks)
    work = _Work(source, settings, hooks, segment_samples, look_seconds)
    data = work.file()
    notes = () if hooks.stopped or not work.hurried else (HURRIED.format(work.hurried, work.header.segments),)
    return Coded(data=data, steps=work.steps, passes=work.steps, notes=notes)


def encode_memory(source: Source, settings: EncodeSettings) -> float:
    """See Medium."""
    layout = source.layout
    if settings.field != DEFAULT_FIELD:
        return field_memory(layout.grid, layout.channels, settings)
    segment = min(SEGMENT_SAMPLES >> settings.halvings, layout.channels * max(SEGMENT_SECONDS * layout.rate, SEGMENT_LEAST))
    look = LOOK_SECONDS * layout.rate * layout.channels
    return estimates.FIT_MEMORY + estimates.LOOK_MEMORY * look + estimates.SOUND_MEMORY * min(segment, layout.samples * layout.channels)


def encode_seconds(source: Source, settings: EncodeSettings) -> float:
    """See Medium."""
    layout = source.layout
    if settings.field != DEFAULT_FIELD:
        return field_seconds(layout.grid, settings)
    steps = STARTED_STEPS[settings.effort] if settings.steps is None else settings.steps
    if settings.bitrate is not None:
        steps += max(PILOT_LEAST, round(PILOT * steps))
    samples = layout.samples * layout.channels
    length = min(SEGMENT_SAMPLES, layout.channels * max(SEGMENT_SECONDS * layout.rate, SEGMENT_LEAST))
    return estimates.SOUND.seconds(steps, samples, fits=math.ceil(samples / length))


class _Work:
    """An encode under way."""

    def __init__(self, source: Source, settings: EncodeSettings, hooks: Hooks, segment_samples: int, look_seconds: float) -> None:
        self.source, self.settings, self.hooks, self._began = source, settings, hooks, time.monotonic()
        self.tune = settings.tune_of(source.layout.kind)
        self.steps = self.hurried = 0
        self._last_split: list[int] = []
        self.power, loudest = _survey(source, look_seconds)
        layout = source.layout
        look = _samples(source, loudest, int(look_seconds * layout.rate))
        look = rotate(look, best_rotation(look), 1)
        self.lam = self._lambda(look)
        self.hop = choose_hop(look, self.lam)
        frames = -(-layout.samples // self.hop)
        most = segment_samples >> settings.halvings
        length = min(most / layout.channels, max(SEGMENT_SECONDS * layout.rate, SEGMENT_LEAST))
        count = max(1, math.ceil(frames * self.hop / length))
        self.header = SoundHeader(
            layout=layout,
            hop=self.hop,
            window=POWER,
            source=SOURCES.index(source.format) if source.format in SOURCES else 0,
            segment=-(-frames // count),
            lam_code=min(max(round(-LAMBDA_STEPS * math.log2(self.lam)), 0), 254),
        )
        bounds = [self.header.bounds(number) for number in range(self.header.segments)]
        self.course = Parts(hooks.on_step, [last - first for first, last in bounds], Parts.named("segment", len(bounds)))
        self.budget = None if settings.bitrate is None else settings.bitrate * layout.samples / layout.rate / 8

    def file(self) -> bytes:
        """The file's bytes."""
        tags = None if self.settings.strip else self.source.metadata.tags
        parts = [write_start(self.header, {} if tags is None else {"tags": tags})]
        weights: Arrays | None = None
        splits = self._splits(0)
        for number in range(self.header.segments):
            following = self._splits(number + 1) if number + 1 < self.header.segments else None
            segment, found = self._segment(number, splits, following, weights, sum(map(len, parts)))
            parts.append(write_segment(segment, self.header.channels))
            weights, splits = found or weights, following if following is not None else splits
        return b"".join(parts)

    def _lambda(self, look: Float64Array) -> float:
        """Squared error of a coefficient that is worth a bit."""
        if self.settings.lam is not None:
            return self.settings.lam
        if self.settings.bitrate is not None:
            return lambda_of_bits(look, self.settings.bitrate * look.shape[1] / self.source.layout.rate / FIT_BITS, self._weighted)
        below = decibels_of_quality(self.settings.quality)
        return max(self.power, 10 ** ((SILENCE_DB + below) / 10)) * 10 ** (-below / 10)

    def _weighted(self, coefficients: Float64Array, hop: int) -> Float64Array:
        """Coefficients as the plane has them, but for the gain."""
        if self.tune != "hearing":
            return coefficients
        rate = self.source.layout.rate
        return coefficients / band_gains(weigh(coefficients, hop, rate)[0], hop, hop, rate)

    def _splits(self, number: int) -> npt.NDArray[np.int64]:
        first, last = self.header.bounds(number)
        x = _samples(self.source, first * self.hop, (last - first) * self.hop)
        return choose_splits(rotate(x, best_rotation(x), 1), self.hop, self.lam)[0]

    def _segment(
        self, number: int, splits: npt.NDArray[np.int64], following: npt.NDArray[np.int64] | None, weights: "Arrays | None", written: int
    ) -> "tuple[Segment, Arrays | None]":
        """One segment, and its field's weights to begin the next with."""
        first, last = self.header.bounds(number)
        x, framing, start = self._stretch(first, last, splits, following)
        rotation = best_rotation(x)
        coefficients = rotate(analyse(x, framing, start, start + last - first), rotation, 1)
        bands, importance = weigh(coefficients, self.hop, self.header.rate) if self.tune == "hearing" else ((), None)
        plane = coefficients / band_gains(bands, self.hop, self.hop, self.header.rate)
        budget = self._bytes_left(number, written, len(splits))
        pilot = 0.0 if budget is None else PILOT / (1 + PILOT)  # share of the short fit
        lam = self.lam
        if budget is not None:
            lam = self._lambda_for(plane, importance, budget, number, weights, self.course.of(number, (0.0, pilot)))
        told = self.course.of(number, (pilot, 1.0))
        code, bins = self._gain_code(plane, lam)
        if not bins:
            return Segment(splits=np.zeros(last - first, np.int64)), None
        fitted = self._fit(plane, importance, code, bins, self._fit_settings(number), weights, told, budget)
        power, before = 1.0, None
        for _ in range(REFITS if budget is not None else 0):
            assert budget is not None
            taken = len(fitted.content.weights) + sum(map(len, fitted.content.latents))
            if abs(taken / budget - 1) <= MISSED or self.hooks.stopped:
                break
            # Too far off for the trim: the few steps of a low effort or a short time leave a context model that costs more than was foreseen,
            # and that saves less by a larger lambda: bytes go with a power of what is foreseen, which two fits show.
            here = math.log(taken), math.log(_foreseen(plane, lam))
            if before is not None and here[1] != before[1]:
                power = min(max((here[0] - before[0]) / (here[1] - before[1]), LEAST_POWER), 1.0)
            before = here
            lam = _lambda_at(plane, lam, (budget / taken) ** (1 / power), REFIT_RANGE)
            again, most = self._gain_code(plane, lam)
            if not most:
                break
            code, bins = again, most
            fitted = self._fit(plane, importance, code, bins, self._fit_settings(number), weights, told, budget)
        self.hurried += fitted.steps < ENOUGH * (self._fit_settings(number).steps or 0)
        peaks = tuple((int(place), int(fitted.peaks.ravel()[place])) for place in np.flatnonzero(fitted.peaks))
        segment = Segment(splits=splits, bins=bins, gain_code=code, rotation=rotation, weights=bands, peaks=peaks, content=fitted.content)
        if self.tune == "hearing":
            decoded = (
                open_plane(fitted.content, threads=self.settings.threads or 1).renderer.render().astype(np.float64).reshape(fitted.latents.shape)
                - 0.5
            )
            codes = levels(plane * segment.gain, decoded + PEAK_UNIT * fitted.peaks, fitted.latents != 0, self.hop, self.header.rate)
            segment = replace(segment, noise=codes)
        return segment, fitted.weights

    def _fit(
        self,
        plane: Float64Array,
        importance: Float64Array | None,
        code: int,
        bins: int,
        settings: EncodeSettings,
        weights: "Arrays | None",
        on_step: "Callable[[StepInfo], None] | None",
        budget: float | None = None,
    ) -> Fitted:
        """A field of the plane's first bins times a gain."""
        fitted = fit_plane(
            plane[..., :bins] * _gain(code),
            None if importance is None else importance[:, :bins],
            settings,
            weights=weights,
            budget=budget,
            on_step=on_step,
            stop=self.hooks.stop,
        )
        self.steps += fitted.steps
        return fitted

    def _lambda_for(
        self,
        plane: Float64Array,
        importance: Float64Array | None,
        budget: float,
        number: int,
        weights: "Arrays | None",
        on_step: "Callable[[StepInfo], None] | None",
    ) -> float:
        """Lambda at which a fit will take the budget, foreseen from a short fit of the same plane."""
        lam, settings = self.lam, self._fit_settings(number)
        steps = max(PILOT_LEAST, round(PILOT * (settings.steps or 0)))
        limit = None if settings.time_limit is None else PILOT * settings.time_limit
        code, bins = self._gain_code(plane, lam)
        if not bins:
            return lam
        fitted = self._fit(plane, importance, code, bins, replace(settings, steps=steps, time_limit=limit), weights, on_step)
        # A short fit's latents are nearly those of a long one, its context model is not: the bits of an ideal one tell more.
        found = WEIGHT_BYTES + float(ideal_bits(np.abs(fitted.latents)).sum()) / 8 * SETTLED
        return _lambda_at(plane, lam, budget / found)

    def _stretch(
        self, first: int, last: int, splits: npt.NDArray[np.int64], following: npt.NDArray[np.int64] | None
    ) -> tuple[Float64Array, Framing, int]:
        """Samples with half a frame on either side, the layout of those frames and their neighbours, and the number of the first in it."""
        lead = 1 if first else 0
        before = self._last_split if lead else []
        after = [] if following is None else following[:1].tolist()
        self._last_split = splits[-1:].tolist()
        begin = first * self.hop - lead * (self.hop // 2)
        x = _samples(self.source, begin, last * self.hop + self.hop // 2 - begin)
        return x, Framing(self.hop, [*before, *splits.tolist(), *after], POWER), lead

    def _gain_code(self, plane: Float64Array, lam: float) -> tuple[int, int]:
        """Gain at which the plane's lambda is the one that the fit takes, and how many bins are worth keeping."""
        code = min(max(round(GAIN_ORIGIN + GAINS_PER_OCTAVE * math.log2(LAMBDA / lam) / 2), 0), MAX_GAIN_CODE)
        strong = np.flatnonzero(np.abs(plane).max((0, 1)) * _gain(code) / STEP >= LEAST)
        return code, int(strong[-1]) + 1 if len(strong) else 0

    def _bytes_left(self, number: int, written: int, frames: int) -> float | None:
        """Bytes for the weights and latents of a segment, by the share of the frames to come that it has."""
        if self.budget is None:
            return None
        framing = FRAMING + (len(BARK_EDGES) if self.tune == "hearing" else 0) + frames / 16
        share = frames / (self.header.frames - number * self.header.segment)
        return max(LEAST_BYTES, (self.budget - written) * share - framing)

    def _fit_settings(self, number: int) -> EncodeSettings:
        steps = STARTED_STEPS[self.settings.effort] if self.settings.steps is None else self.settings.steps
        first, last = self.header.bounds(number)
        limit = self.settings.in_time(self._began).time_limit  # what is left, after what came before the first fit as well
        limit = None if limit is None else limit * (last - first) / (self.header.frames - first)
        if limit is not None and self.budget is not None:
            limit /= FITS
        return replace(self.settings, steps=steps, time_limit=limit, lam=LAMBDA, bitrate=None)


def _lambda_at(plane: Float64Array, lam: float, share: float, reach: float = PILOT_RANGE) -> float:
    """Lambda at which a plane takes `share` of its bytes at `lam`: what is foreseen for other lambdas is off by the same factor as for this one."""
    wanted = share * _foreseen(plane, lam)
    low, high = lam / reach, lam * reach
    for _ in range(PILOT_HALVINGS):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if _foreseen(plane, middle) > wanted else (low, middle)
    return math.sqrt(low * high)


def _foreseen(plane: Float64Array, lam: float) -> float:
    """Bits of a plane at a lambda, foreseen without a fit."""
    return max(1.0, float(cost(plane, lam)[0].sum()))


def _gain(code: int) -> float:
    return float(2.0 ** ((code - GAIN_ORIGIN) / GAINS_PER_OCTAVE))


def _survey(source: Source, seconds: float) -> tuple[float, int]:
    """Mean square of all samples, which are all read once, and where the loudest stretch of so many seconds begins."""
    block = max(1, int(seconds * source.layout.rate))
    samples = source.layout.samples
    sums = [float(np.square(_samples(source, start, block)).sum()) for start in range(0, samples, block)]
    return sum(sums) / (samples * source.layout.channels), int(np.argmax(sums)) * block


def _samples(source: Source, start: int, count: int) -> Float64Array:
    """Samples start .. start + count, as many as there are, float64 `[C, n]`."""
    return np.ascontiguousarray(source.read(start, count).T, np.float64)
