"""What a user can ask for, validated once, with every default written here and nowhere else."""

import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple

from .efforts import DEFAULT_EFFORT, DEFAULT_QUALITY, EFFORTS, lambda_of_quality
from .errors import UsageError
from .kinds import Kind

DEFAULT_FIELD = "pyramid"
FIELDS = {"pyramid": 64, "siren": 2048, "fourier": 2048, "gabor": 2048}  # and the largest width
SQUARES = "psnr"  # the tune that minimises the squared error
TEXTURE = "texture"  # the one of "visual" with grain in place of the texture that is lost
# What an encode is tuned for, the default first.
TUNES: Mapping[Kind, tuple[str, ...]] = {Kind.IMAGE: ("visual", "ssim", SQUARES, TEXTURE), Kind.AUDIO: ("hearing", "snr")}
MAX_OUTPUT_RATE = 2**22
WINDOW_SIDES = (1024, 96)  # of the windows of a large signal, of 2 and of 3 axes, before they are halved
MOST_HALVINGS = 3  # of the parts that a source is fitted in: smaller ones cost more bytes and time than they save memory
LEAST_TIME = 0.1  # seconds that a time limit leaves a fit at least


class Aim(NamedTuple):
    """What a fit is to come to: `measure` is one of AIM_ROOM, `value` bytes, dB or points."""

    measure: str
    value: float


LAST_PART_BEGINS = 0.5  # the share of a whole fit at which its last part begins: later, lambda changes little, and earlier it costs more steps


class Search(NamedTuple):
    """What one fit of a search for a target is; see targets.meet.

    Args:
        folder: where whole fits leave the states that last parts begin at; each part of a source has one of its own in it.
        share: of the usual steps that a fit makes; less than 1 of one that is only to say where the others begin, and leaves no state.
        last_part: whether only the last part of the whole fit that left its state there is made, once more, under another lambda.
        weights: other than 1: no fit is made, but what a fit that was otherwise the same has left there is coded once more, with weights in that
            share of the bits that they took.
    """

    folder: str
    share: float = 1.0
    last_part: bool = False
    weights: float = 1.0

    @property
    def work(self) -> float:
        """What it takes, in whole fits."""
        return 0.0 if self.recoded else 1 - LAST_PART_BEGINS if self.last_part else self.share

    @property
    def recoded(self) -> bool:
        """Whether no fit is made."""
        return self.weights != 1


# How far off its aim a fit may end, either way: in ln(bytes), dB and points.
AIM_ROOM = {"size": 0.015, "psnr": 0.05, "ssimulacra2": 0.3}
MIN_GRID, MAX_GRID = 16, 512  # samples along the longest side of a shape
SURFACES = ("distances", "occupancy", "points")  # what a coordinate field of a shape is fitted to
MAX_RESOLUTION = 4096


# Where a picture's fit begins: "trained": with the start that ships with the package; "none": from nothing; "auto": trained where that pays.
STARTS = ("auto", "trained", "none")


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a file is to come to; one of them at most.

    Args:
        size: bytes of the whole file, at most.
        bpp: bits for each sample of the grid, at most.
        psnr: dB of the decoded file, at least.
        ssimulacra2: of the decoded picture, at least.
    """

    size: int | None = None
    bpp: float | None = None
    psnr: float | None = None
    ssimulacra2: float | None = None

    def __post_init__(self) -> None:
        given = [(name, value) for name, value in vars(self).items() if value is not None]
        if len(given) > 1:
            raise UsageError(f"--target-size, --bpp, --target-psnr and --target-ssimulacra2 exclude each other; found {len(given)} of them: give one")
        for name, value in given:
            low, high = {"size": (64, 2**40), "bpp": (1e-4, 64), "psnr": (1, 120), "ssimulacra2": (-100, 100)}[name]
            if not low <= value <= high:
                raise UsageError(f"target {name} is {value:g}; expected {low:g} to {high:g}")

    def most_bytes(self, samples: int) -> int | None:
        """Of a file of so many samples of the grid; None where its size is free."""
        return self.size if self.bpp is None else math.floor(self.bpp * samples / 8)

    @property
    def given(self) -> bool:
        """Whether there is any."""
        return any(value is not None for value in vars(self).values())


@dataclass(frozen=True, kw_only=True)
class EncodeSettings:
    """How to encode.

    Args:
        quality: 0..100, more is better; sets lambda unless `lam` is given.
        lam: rate weight of the loss D + lam * R, D the mean squared error of values in [0, 1] (of sound in [-1, 1]), or what a tune puts
            in its place, and R bits a sample.
        effort: 1..9, more is slower and smaller; see EFFORTS.
        steps: optimiser steps, instead of the effort's.
        time_limit: seconds in which the whole encode is to end, about; the fit makes as many steps as it can.
        field: one of FIELDS.
        explicit: the explicit twin of the field instead of the implicit one.
        width: channels of the implicit layer, up to 64 for a pyramid and 2048 for the others; None for the default.
        layers: layers inside the implicit layer of a coordinate field, 1..16; None for 1. A pyramid has one.
        input_scale: of a coordinate field, about its highest frequency at first in radians, a whole number; None for the signal's default.
        contract: whether a coordinate field's implicit layer is kept a contraction, so that its fixed point is sure to exist.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        threads: CPU threads; None for all.
        seed: of everything random.
        strip: leave ICC, Exif, XMP and tags out.
        bitrate: of sound: bits a second of the whole file, instead of quality and lambda.
        target: what the file is to come to, instead of quality and lambda.
        tune: what errors weigh, one of TUNES; None for the first of the kind. Of pictures: "visual" as they are seen, "ssim" by structural
            similarity, "psnr" all alike. Of sound: "hearing" by a model of masking, "snr" all alike.
        start: of pictures: one of STARTS, or the path of a start that i2c train has written.
        grid: of a shape: samples of distance along its longest side; None: by the quality.
        surface: of a shape in a coordinate field: what it is fitted to, one of SURFACES: distances to the surface; which side of it a place is on;
            or points of it with their normals. None: by what the source holds.
        no_audio: of video: leave its sound out.
        max_memory: bytes that the process may have, about; None for any. Where it is little, the source is fitted in smaller parts.
        halvings: how often the parts that a source is fitted in (windows, segments, groups of pictures) are halved; 0 without max_memory,
            which sets it.
        jobs: of video: groups of pictures that are fitted at the same time, each in a process of its own, which imports the main module anew: a
            script needs its `if __name__ == "__main__"`.
        aim: what the file is to come to, within AIM_ROOM; a lambda is where the fit begins then. None without a target, which sets it.
        search: which fit of a search for a target this is. None without a target, which sets it.
    """

    quality: float = DEFAULT_QUALITY
    lam: float | None = None
    effort: int = DEFAULT_EFFORT
    steps: int | None = None
    time_limit: float | None = None
    field: str = DEFAULT_FIELD
    explicit: bool = False
    width: int | None = None
    layers: int | None = None
    input_scale: int | None = None
    contract: bool = True
    device: str = "auto"
    threads: int | None = None
    seed: int = 0
    strip: bool = False
    bitrate: float | None = None
    target: Target = Target()
    start: str = "auto"
    tune: str | None = None
    grid: int | None = None
    surface: str | None = None
    no_audio: bool = False
    max_memory: int | None = None
    halvings: int = 0
    jobs: int = 1
    aim: Aim | None = None
    search: Search | None = None

    def __post_init__(self) -> None:
        known = [tune for tunes in TUNES.values() for tune in tunes]
        if self.tune not in (None, *known):
            raise UsageError(f"tune is {self.tune!r}; expected one of {', '.join(known)}")
        if self.bitrate is not None and not (math.isfinite(self.bitrate) and self.bitrate >= 100):
            raise UsageError(f"bitrate is {self.bitrate:g}; expected at least 100 bits a second")
        if not 0 <= self.quality <= 100:
            raise UsageError(f"quality is {self.quality:g}; expected 0 to 100")
        if self.lam is not None and not (math.isfinite(self.lam) and 1e-12 <= self.lam <= 1):
            raise UsageError(f"lambda is {self.lam:g}; expected 1e-12 to 1")
        if self.effort not in EFFORTS:
            raise UsageError(f"effort is {self.effort}; expected 1 to 9")
        if self.steps is not None and self.steps < (self.start in ("auto", "none")):
            raise UsageError(f"steps is {self.steps}; expected at least 1 (0 with a trained start)")
        if self.time_limit is not None and not self.time_limit > 0:
            raise UsageError(f"time limit is {self.time_limit:g} s; expected more than 0")
        if self.field not in FIELDS:
            raise UsageError(f"field is {self.field!r}; expected one of {', '.join(FIELDS)}")
        if self.width is not None and not 1 <= self.width <= FIELDS[self.field]:
            raise UsageError(f"width is {self.width}; expected 1 to {FIELDS[self.field]} for a {self.field} field")
        if self.bitrate is not None and self.field != DEFAULT_FIELD:
            raise UsageError("bitrate is not for coordinate fields; choose a width, or leave the field out")
        if self.start not in ("auto", "none") and self.field != DEFAULT_FIELD:
            raise UsageError("a trained start is not for coordinate fields; leave it or the field out")
        self._check_coordinates()
        if not 0 <= self.seed < 2**63:
            raise UsageError(f"seed is {self.seed}; expected 0 to {2**63 - 1}")
        if self.grid is not None and not MIN_GRID <= self.grid <= MAX_GRID:
            raise UsageError(f"grid is {self.grid}; expected {MIN_GRID} to {MAX_GRID} samples along the longest side")
        if self.threads is not None and self.threads < 1:
            raise UsageError(f"threads is {self.threads}; expected at least 1")
        if self.max_memory is not None and self.max_memory < 1:
            raise UsageError(f"max memory is {self.max_memory}; expected at least 1 byte")
        if self.jobs < 1:
            raise UsageError(f"jobs is {self.jobs}; expected at least 1")
        if not 0 <= self.halvings <= MOST_HALVINGS:
            raise UsageError(f"halvings is {self.halvings}; expected 0 to {MOST_HALVINGS}")

    def _check_coordinates(self) -> None:
        """The settings that only a coordinate field has."""
        if self.surface not in (None, *SURFACES):
            raise UsageError(f"surface is {self.surface!r}; expected one of {', '.join(SURFACES)}")
        if self.surface is not None and self.field == DEFAULT_FIELD:
            raise UsageError("surface is for coordinate fields; choose one with --field, or leave it out")
        given = [("layers", self.layers, 16), ("input scale", self.input_scale, 2**20)]
        for name, value, high in given:
            if value is None:
                continue
            if self.field == DEFAULT_FIELD:
                raise UsageError(f"{name} is for coordinate fields; choose one with --field, or leave it out")
            if not 1 <= value <= high:
                raise UsageError(f"{name} is {value}; expected 1 to {high}")
        if not self.contract and (self.field == DEFAULT_FIELD or self.explicit):
            raise UsageError("only implicit coordinate fields can go without contraction; leave --no-contract out")

    def in_time(self, began: float) -> "EncodeSettings":
        """The settings with what is left of a time limit that counts from that time.monotonic() on."""
        if self.time_limit is None:
            return self
        return replace(self, time_limit=max(LEAST_TIME, self.time_limit - (time.monotonic() - began)))

    def of_part(self, number: int) -> "EncodeSettings":
        """The settings of the fit of one part of a source, such as a group of pictures."""
        if self.search is None:
            return self
        return replace(self, search=self.search._replace(folder=os.path.join(self.search.folder, str(number))))

    def tune_of(self, kind: Kind) -> str:
        """The tune, given or the default of that kind of media."""
        return TUNES[kind][0] if self.tune is None else self.tune

    @property
    def rate_weight(self) -> float:
        """Lambda, given or from the quality."""
        return lambda_of_quality(self.quality) if self.lam is None else self.lam


@dataclass(frozen=True, kw_only=True)
class View:
    """Which part of a file to decode and how large; at most one of scale, size and max_size.

    Args:
        scale: output samples per source sample, any positive real.
        size: (width, height) of the output (of the crop, where there is one); one of them None: in proportion to the other.
        max_size: longest side of the output, never enlarged.
        crop: (x, y, width, height) in source samples.
        bit_depth: 8 or 16 (of sound also 24 or 32); None for the source's.
        dither: of a picture: noise of one code value, the same on every machine, so that slow gradients have no contours.
        no_grain: of a picture: without the noise in place of lost texture, where it has that; see media.image.grain.
        rate: of sound: samples a second; None for the source's.
        time: of sound and video: (from, to) in seconds; None for all of it.
        frames: of video: (from, to, step), any of them None, as in a slice; the step more than 0.
        fps: of video: frames a second; None for the source's own frames.
        resolution: of a shape: samples along the longest side of the grid that its surface is found on; None for the file's own.
        box: of a shape: (x, y, z) of its lowest and of its highest corner, in the shape's units; None for all of it.
        normals: of a shape: with a normal for each vertex.
        no_audio: of video: without its sound.
    """

    scale: float | None = None
    size: tuple[int | None, int | None] | None = None
    max_size: int | None = None
    crop: tuple[int, int, int, int] | None = None
    bit_depth: int | None = None
    dither: bool = False
    no_grain: bool = False
    rate: int | None = None
    time: tuple[float, float] | None = None
    frames: tuple[int | None, int | None, int | None] | None = None
    fps: Fraction | None = None
    resolution: int | None = None
    box: tuple[float, float, float, float, float, float] | None = None
    normals: bool = False
    no_audio: bool = False

    def __post_init__(self) -> None:
        if self.resolution is not None and not 2 <= self.resolution <= MAX_RESOLUTION:
            raise UsageError(f"resolution is {self.resolution}; expected 2 to {MAX_RESOLUTION} samples along the longest side")
        if self.box is not None and not all(low < high for low, high in zip(self.box[:3], self.box[3:], strict=True)):
            raise UsageError(f"box is {','.join(f'{value:g}' for value in self.box)}; expected X0,Y0,Z0,X1,Y1,Z1, the second corner above the first")
        if self.rate is not None and not 1 <= self.rate <= MAX_OUTPUT_RATE:
            raise UsageError(f"rate is {self.rate}; expected 1 to {MAX_OUTPUT_RATE} samples a second")
        if self.time is not None and not 0 <= self.time[0] < self.time[1]:
            raise UsageError(f"time is {self.time[0]:g} to {self.time[1]:g} s; expected a start from 0 on, before its end")
        if self.frames is not None and len(self.frames) != 3:
            raise UsageError(f"frames has {len(self.frames)} values; expected 3: from, to and step, each of which may be None")
        if self.frames is not None and self.frames[2] is not None and self.frames[2] < 1:
            raise UsageError(f"step of frames is {self.frames[2]}; expected at least 1")
        if self.fps is not None and not self.fps > 0:
            raise UsageError(f"frame rate is {self.fps}; expected more than 0")
        if sum(v is not None for v in (self.scale, self.size, self.max_size)) > 1:
            raise UsageError("--scale, --size and --max-size exclude each other; give one")
        if self.scale is not None and not (math.isfinite(self.scale) and self.scale > 0):
            raise UsageError(f"scale is {self.scale:g}; expected a positive number")
        if self.size is not None and not all(side is None or side >= 1 for side in self.size):
            raise UsageError(f"size is {'x'.join('' if side is None else str(side) for side in self.size)}; expected at least 1x1")
        if self.size == (None, None):
            raise UsageError("size has neither width nor height; expected at least one of them")
        if self.max_size is not None and self.max_size < 1:
            raise UsageError(f"max size is {self.max_size}; expected at least 1")
        if self.crop is not None and (min(self.crop[2:]) < 1 or min(self.crop[:2]) < 0):
            raise UsageError(f"crop is {','.join(map(str, self.crop))}; expected X,Y,W,H with X, Y >= 0 and W, H >= 1")
        if self.bit_depth not in (None, 8, 16, 24, 32):
            raise UsageError(f"bit depth is {self.bit_depth}; expected 8 or 16 (of sound also 24 or 32)")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How large an output may be; None for any.

    Args:
        max_pixels: of a picture.
        max_samples: of a sound, of all its channels.
    """

    max_pixels: int | None = None
    max_samples: int | None = None
