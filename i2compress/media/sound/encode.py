"""Sound becomes a file: segment by segment, each a plane of coefficients with a field of its own."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from ...codec import I2File
from ...config import STARTED_STEPS, EncodeSettings, decibels_of_quality
from ...container import chunk_sizes
from ...signal import Signal
from .analysis import best_rotation, choose_hop, choose_splits, cost, ideal_bits, lambda_of_bits, rotate
from .decode import I2Sound
from .files import SoundLayout, to_codes
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
from .mdct import POWER, Layout, analyse
from .noise import levels
from .plane import LAMBDA, STEP, Fitted, fit_plane

if TYPE_CHECKING:
    from ...fit import Arrays, StepInfo

SEGMENT_SAMPLES = 3 << 19  # of all channels: 33 s of mono at 48 kHz; the fit takes some 1000 bytes for each
SEGMENT_SECONDS, SEGMENT_LEAST = 33.0, 1 << 17  # and seconds, or samples a channel: each segment gets all the steps, from the last one's weights
LOOK_SECONDS = 8.0  # of the loudest part, from which frames and rates are chosen
SILENCE_DB = -110.0  # lambda is never put further down: below the noise of 16 bits
FRAMING = 50  # bytes of a segment's chunks without weights, latents and what grows with its frames, about
FIT_BITS = 0.87  # bits of a fit, in those foreseen for its lambda: 0.76 to 0.94
PILOT, PILOT_LEAST = 0.3, 20  # of the steps: the short fit from which a bitrate's lambda is foreseen; steps at least
PILOT_RANGE, PILOT_HALVINGS = 3.0, 10  # how far lambda is moved from there, either way, and how finely
SETTLED = 0.96  # bytes of the latents of a whole fit, in the ideal ones of the short one
MISSED = 0.05  # of a segment's bytes: further off than this after the trim, it is fitted once more
FITS = 2 + PILOT  # at most, for a bitrate: they share a time limit
WEIGHT_BYTES = 200
LEAST = 0.8  # steps; a bin whose coefficients all stay below is not kept

FloatArray = npt.NDArray[np.float64]


class Source(Protocol):
    """Where samples come from."""

    samples: int
    layout: SoundLayout
    source: str

    def read(self, start: int, count: int) -> FloatArray:
        """Samples `[C, n]`."""


class SignalSource:
    """A Signal as a source."""

    def __init__(self, signal: Signal) -> None:
        self.samples, self.source = len(signal.values), "wav"
        self.layout = SoundLayout(
            rate=signal.rate, channels=signal.channels, bit_depth=signal.bit_depth, floating=signal.floating, metadata=signal.metadata
        )
        self._values = signal.values

    def read(self, start: int, count: int) -> FloatArray:
        """Samples `[C, n]` start .. start + count, as many as there are."""
        return np.ascontiguousarray(self._values[start : start + count].T, np.float64)


@dataclass(frozen=True, kw_only=True)
class EncodedSound:
    """The result of an encode.

    Args:
        data: the .i2 file.
        snr: dB of the decoded `data`, in the source's depth; inf where equal, -inf where the source is silent and the result not.
        psnr: dB, against a peak of 2 (from -1 to 1).
        bitrate: bits a second of the whole file.
        seconds: wall-clock time of the encode.
        steps: optimiser steps made, in all segments.
        sizes: bytes of the file by kind of chunk.
    """

    data: bytes
    snr: float
    psnr: float
    bitrate: float
    seconds: float
    steps: int
    sizes: dict[str, int]


def encode_sound(
    source: Source | Signal,
    settings: EncodeSettings | None = None,
    *,
    on_step: "Callable[[StepInfo], None] | None" = None,
    stop: Callable[[], bool] | None = None,
) -> EncodedSound:
    """Fit a field to each segment of a sound and write them as one .i2 file; memory does not grow with its length.

    Args:
        source: a SoundReader, or a Signal of kind AUDIO.
        settings: how; None for the defaults.
        on_step: called after every step.
        stop: asked before every step; True ends the fit of every segment at once.

    Raises:
        SignalError: damaged, or NaN or infinite values.
        ResourceError: the device is not there or has not enough memory.
    """
    began = time.monotonic()
    settings = EncodeSettings() if settings is None else settings
    source = SignalSource(source) if isinstance(source, Signal) else source
    work = _Work(source, settings, on_step, stop)
    data = work.file()
    snr, psnr = compare(I2Sound.from_bytes(data, threads=settings.threads), source)
    sizes: dict[str, int] = {}
    for chunk in chunk_sizes(data):
        sizes[chunk.name] = sizes.get(chunk.name, 0) + chunk.size
    return EncodedSound(
        data=data,
        snr=snr,
        psnr=psnr,
        bitrate=8 * len(data) * source.layout.rate / source.samples,
        seconds=time.monotonic() - began,
        steps=work.steps,
        sizes=sizes,
    )


class _Work:
    """An encode under way."""

    def __init__(
        self, source: Source, settings: EncodeSettings, on_step: "Callable[[StepInfo], None] | None", stop: Callable[[], bool] | None
    ) -> None:
        self.source, self.settings, self.stop = source, settings, stop
        self._on_step = on_step
        self.steps = 0
        self._last_split: list[int] = []
        self.power, loudest = _survey(source)
        layout = source.layout
        look = source.read(loudest, int(LOOK_SECONDS * layout.rate))
        look = rotate(look, best_rotation(look), 1)
        self.lam = self._lambda(look)
        self.hop = choose_hop(look, self.lam)
        frames = -(-source.samples // self.hop)
        length = min(SEGMENT_SAMPLES / layout.channels, max(SEGMENT_SECONDS * layout.rate, SEGMENT_LEAST))
        count = max(1, math.ceil(frames * self.hop / length))
        self.header = SoundHeader(
            samples=source.samples,
            rate=layout.rate,
            channels=layout.channels,
            bit_depth=layout.bit_depth,
            floating=layout.floating,
            hop=self.hop,
            window=POWER,
            source=SOURCES.index(source.source) if source.source in SOURCES else 0,
            segment=-(-frames // count),
            lam_code=min(max(round(-LAMBDA_STEPS * math.log2(self.lam)), 0), 254),
        )
        self.budget = None if settings.bitrate is None else settings.bitrate * source.samples / layout.rate / 8

    def file(self) -> bytes:
        """The file's bytes."""
        tags = None if self.settings.strip else self.source.layout.metadata.tags
        parts = [write_start(self.header, {} if tags is None else {"tags": tags})]
        weights: Arrays | None = None
        splits = self._splits(0)
        for number in range(self.header.segments):
            following = self._splits(number + 1) if number + 1 < self.header.segments else None
            segment, found = self._segment(number, splits, following, weights, sum(map(len, parts)))
            parts.append(write_segment(segment, self.header.channels))
            weights, splits = found or weights, following if following is not None else splits
        return b"".join(parts)

    def _lambda(self, look: FloatArray) -> float:
        """Squared error of a coefficient that is worth a bit."""
        if self.settings.lam is not None:
            return self.settings.lam
        if self.settings.bitrate is not None:
            return lambda_of_bits(look, self.settings.bitrate * look.shape[1] / self.source.layout.rate / FIT_BITS, self._weighted)
        below = decibels_of_quality(self.settings.quality)
        return max(self.power, 10 ** ((SILENCE_DB + below) / 10)) * 10 ** (-below / 10)

    def _weighted(self, coefficients: FloatArray, hop: int) -> FloatArray:
        """Coefficients as the plane has them, but for the gain."""
        if self.settings.tune != "hearing":
            return coefficients
        rate = self.source.layout.rate
        return coefficients / band_gains(weigh(coefficients, hop, rate)[0], hop, hop, rate)

    def _splits(self, number: int) -> npt.NDArray[np.int64]:
        first, last = self.header.bounds(number)
        x = self.source.read(first * self.hop, (last - first) * self.hop)
        return choose_splits(rotate(x, best_rotation(x), 1), self.hop, self.lam)[0]

    def _segment(
        self, number: int, splits: npt.NDArray[np.int64], following: npt.NDArray[np.int64] | None, weights: "Arrays | None", written: int
    ) -> "tuple[Segment, Arrays | None]":
        """One segment, and its field's weights to begin the next with."""
        first, last = self.header.bounds(number)
        x, layout, start = self._stretch(first, last, splits, following)
        rotation = best_rotation(x)
        coefficients = rotate(analyse(x, layout, start, start + last - first), rotation, 1)
        bands, importance = weigh(coefficients, self.hop, self.header.rate) if self.settings.tune == "hearing" else ((), None)
        plane = coefficients / band_gains(bands, self.hop, self.hop, self.header.rate)
        budget = self._bytes_left(number, written, len(splits))
        lam = self.lam if budget is None else self._lambda_for(plane, importance, budget, number, weights)
        code, bins = self._gain_code(plane, lam)
        if not bins:
            return Segment(splits=np.zeros(last - first, np.int64)), None
        fitted = self._fit(plane, importance, code, bins, self._fit_settings(number), weights, budget)
        taken = len(fitted.content.weights) + sum(map(len, fitted.content.latents))
        if budget is not None and abs(taken / budget - 1) > MISSED and not (self.stop is not None and self.stop()):
            # Too far off for the trim: the few steps of a low effort leave a context model that costs more than was foreseen.
            again, most = self._gain_code(plane, _lambda_at(plane, lam, budget / taken))
            if most:
                code, bins = again, most
                fitted = self._fit(plane, importance, code, bins, self._fit_settings(number), weights, budget)
        peaks = tuple((int(place), int(fitted.peaks.ravel()[place])) for place in np.flatnonzero(fitted.peaks))
        segment = Segment(splits=splits, bins=bins, gain_code=code, rotation=rotation, weights=bands, peaks=peaks, content=fitted.content)
        if self.settings.tune == "hearing":
            decoded = I2File(fitted.content, threads=self.settings.threads or 1).values().astype(np.float64).reshape(fitted.latents.shape) - 0.5
            codes = levels(plane * segment.gain, decoded + PEAK_UNIT * fitted.peaks, fitted.latents != 0, self.hop, self.header.rate)
            segment = replace(segment, noise=codes)
        return segment, fitted.weights

    def _fit(
        self,
        plane: FloatArray,
        importance: FloatArray | None,
        code: int,
        bins: int,
        settings: EncodeSettings,
        weights: "Arrays | None",
        budget: float | None = None,
    ) -> Fitted:
        """A field of the plane's first bins times a gain."""
        fitted = fit_plane(
            plane[..., :bins] * _gain(code),
            None if importance is None else importance[:, :bins],
            settings,
            weights=weights,
            budget=budget,
            on_step=self._on_step,
            stop=self.stop,
        )
        self.steps += fitted.steps
        return fitted

    def _lambda_for(self, plane: FloatArray, importance: FloatArray | None, budget: float, number: int, weights: "Arrays | None") -> float:
        """Lambda at which a fit will take the budget, foreseen from a short fit of the same plane."""
        lam, settings = self.lam, self._fit_settings(number)
        steps = max(PILOT_LEAST, round(PILOT * (settings.steps or 0)))
        limit = None if settings.time_limit is None else PILOT * settings.time_limit
        code, bins = self._gain_code(plane, lam)
        if not bins:
            return lam
        fitted = self._fit(plane, importance, code, bins, replace(settings, steps=steps, time_limit=limit), weights)
        # A short fit's latents are nearly those of a long one, its context model is not: the bits of an ideal one tell more.
        found = WEIGHT_BYTES + float(ideal_bits(np.abs(fitted.latents)).sum()) / 8 * SETTLED
        return _lambda_at(plane, lam, budget / found)

    def _stretch(
        self, first: int, last: int, splits: npt.NDArray[np.int64], following: npt.NDArray[np.int64] | None
    ) -> tuple[FloatArray, Layout, int]:
        """Samples with half a frame on either side, the layout of those frames and their neighbours, and the number of the first in it."""
        lead = 1 if first else 0
        before = self._last_split if lead else []
        after = [] if following is None else following[:1].tolist()
        self._last_split = splits[-1:].tolist()
        begin = first * self.hop - lead * (self.hop // 2)
        x = self.source.read(begin, last * self.hop + self.hop // 2 - begin)
        return x, Layout(self.hop, [*before, *splits.tolist(), *after], POWER), lead

    def _gain_code(self, plane: FloatArray, lam: float) -> tuple[int, int]:
        """Gain at which the plane's lambda is the one that the fit takes, and how many bins are worth keeping."""
        code = min(max(round(GAIN_ORIGIN + GAINS_PER_OCTAVE * math.log2(LAMBDA / lam) / 2), 0), MAX_GAIN_CODE)
        strong = np.flatnonzero(np.abs(plane).max((0, 1)) * _gain(code) / STEP >= LEAST)
        return code, int(strong[-1]) + 1 if len(strong) else 0

    def _bytes_left(self, number: int, written: int, frames: int) -> float | None:
        """Bytes for the weights and latents of a segment, by the share of the frames to come that it has."""
        if self.budget is None:
            return None
        framing = FRAMING + (len(BARK_EDGES) if self.settings.tune == "hearing" else 0) + frames / 16
        return (self.budget - written) * frames / (self.header.frames - number * self.header.segment) - framing

    def _fit_settings(self, number: int) -> EncodeSettings:
        steps = STARTED_STEPS[self.settings.effort] if self.settings.steps is None else self.settings.steps
        first, last = self.header.bounds(number)
        limit = None if self.settings.time_limit is None else self.settings.time_limit * (last - first) / self.header.frames
        if limit is not None and self.budget is not None:
            limit /= FITS
        return replace(self.settings, steps=steps, time_limit=limit, lam=LAMBDA, bitrate=None)


def _lambda_at(plane: FloatArray, lam: float, share: float) -> float:
    """Lambda at which a plane takes `share` of its bytes at `lam`: what is foreseen for other lambdas is off by the same factor as for this one."""
    wanted = share * float(cost(plane, lam)[0].sum())
    low, high = lam / PILOT_RANGE, lam * PILOT_RANGE
    for _ in range(PILOT_HALVINGS):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if float(cost(plane, middle)[0].sum()) > wanted else (low, middle)
    return math.sqrt(low * high)


def _gain(code: int) -> float:
    return float(2.0 ** ((code - GAIN_ORIGIN) / GAINS_PER_OCTAVE))


def _survey(source: Source) -> tuple[float, int]:
    """Mean square of all samples, which are all read once, and where the loudest stretch of LOOK_SECONDS begins."""
    block = max(1, int(LOOK_SECONDS * source.layout.rate))
    sums = [float(np.square(source.read(start, block)).sum()) for start in range(0, source.samples, block)]
    return sum(sums) / (source.samples * source.layout.channels), int(np.argmax(sums)) * block


def compare(file: I2Sound, source: Source) -> tuple[float, float]:
    """SNR and PSNR (peak 2, from -1 to 1) in dB of a decoded file in its source's depth; inf where they are equal."""
    noise = power = 0.0
    position, layout = 0, source.layout
    for block in file.blocks():
        wanted = source.read(position, len(block)).T
        noise += float(np.square(to_codes(block, layout.bit_depth, layout.floating) - wanted).sum())
        power += float(np.square(wanted).sum())
        position += len(block)
    if noise == 0:
        return math.inf, math.inf
    snr = 10 * math.log10(power / noise) if power else -math.inf
    return snr, 10 * math.log10(4 * position * layout.channels / noise)
