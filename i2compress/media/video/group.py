"""One group of pictures becomes a plane: what is fitted of its frames, and in which field."""

import math
import time
from dataclasses import dataclass, field, replace

import numpy as np

from ...arrays import Float32Array
from ...config import DEFAULT_FIELD, EncodeSettings
from ...efforts import video_steps
from ...field.spec import MAX_STEP_CODE, STEPS_PER_OCTAVE, Arrays, PyramidSpec, prior
from ...kinds import Kind
from ...planes import FittedPlane, PlaneJob, code_tolerance, fit_pyramid
from ...planes.coordinate import file_spec, fit_field
from ...signal import Layout
from .. import estimates
from ..protocol import Hooks
from .camera import brightness, camera_path, found_path
from .colour import SUBSAMPLED, Colour, to_luma, unit
from .groups import ROOM, largest_group
from .motion import STILL, Motion, laid, moves, plane_grid
from .parts import found_mesh

MAX_LEVELS = 5  # that halve rows and columns
SLOW = (1, 2)  # levels after which one more halves time alone: what stands still is told there once for several frames
FEWEST = 4  # samples along time of such a level, at least
STILL_LEVELS = 2  # with grids for what stands still all the while, where the camera does not go far
WIDTH, HIDDEN = 8, 16
SPLIT = 1  # the first level with a grid for each channel
PLANES_FROM = 3 << 14  # samples of the smallest group with a grid for each channel
STEP_CODE, STEP_LAMBDA = 50, 1e-3  # as of pictures
COLOUR_GAIN = 6 / 64  # of each plane on its channel at first, where channels are luma and chroma
MESH_TIME = 0.1  # share of a limited time that it may take to find how parts of frames move
PART = (16, 256, 256)  # samples of a group on which the decoder's iterations are counted
INPUT_SCALE = (128, 640)  # of coordinate fields: (Implicit)^2's, and the longest side of the videos that it is for


@dataclass(frozen=True, kw_only=True)
class Frames:
    """The frames of a group as its field is to have them.

    Args:
        values: `[n, H, W, C]`, luma and chroma or other colours.
        importance: weights of their squared errors, of the same shape; None where all are 1.
        motion: how they move.
        far: whether the camera goes so far that they have little in common.
    """

    values: Float32Array
    importance: Float32Array | None
    motion: Motion = STILL
    far: bool = False


def frames_of(values: Float32Array, layout: Layout, colour: Colour, settings: EncodeSettings, hooks: Hooks) -> Frames:
    """What is fitted of frames `[n, H, W, C]` of a source, of one scene."""
    values = to_luma(values, colour) if colour.yuv else values
    motion, far = (STILL, False) if settings.field != DEFAULT_FIELD else found_motion(brightness(values, colour), layout, settings, hooks)
    return Frames(values=values, importance=importance(values, layout, colour), motion=motion, far=far)


def found_motion(frames: Float32Array, layout: Layout, settings: EncodeSettings, hooks: Hooks) -> tuple[Motion, bool]:
    """How frames `[n, H, W]` of one scene move, of a video of that layout, and whether the camera goes far."""
    path = camera_path(frames, largest_group(settings))
    # Frames of a camera that goes far have little in common, whether or not its path is followed: what they share moves faster than a mesh can tell.
    far = math.prod(plane_grid(frames.shape, path or found_path(frames))) > ROOM * frames.size
    hurried = settings.time_limit is not None and estimates.MESH_SAMPLE * frames.size > MESH_TIME * settings.time_limit
    mesh = None if far or hurried else found_mesh(frames, path, layout.frequency, settings.rate_weight, hooks)
    return Motion(path=path, mesh=mesh), far


def steps_of(settings: EncodeSettings, layout: Layout) -> int:
    """Of the fit of a group of a video."""
    return video_steps(settings.effort, layout.samples) if settings.steps is None else settings.steps


@dataclass(frozen=True, kw_only=True)
class GroupFit:
    """The fit of a group, which another process can make; see workers.Part.

    Args:
        values: `[n, H, W, C]` of the source, the frames of the group.
        layout, colour: of the video.
        settings: lambda, steps, and the group's share of a time limit.
        longest: frames of the longest group of its video.
        base: weights to begin at and to be coded as differences from, where the field has the same; None for the prior.
        began: the time.monotonic() from which its time limit counts, on whatever process of this machine.
    """

    values: Float32Array
    layout: Layout
    colour: Colour
    settings: EncodeSettings
    longest: int
    base: Arrays | None = None
    began: float = field(default_factory=time.monotonic)

    def __call__(self, hooks: Hooks) -> "FittedGroup":
        """Makes it."""
        frames = frames_of(self.values, self.layout, self.colour, self.settings, hooks)
        plane, follows = _fit(self, frames, hooks)
        return FittedGroup(plane=plane, frames=frames, base=self.base if follows else None)


@dataclass(frozen=True, kw_only=True)
class FittedGroup:
    """A group, fitted: its plane, the frames that it is of, and what its weights are differences from; None for the prior."""

    plane: FittedPlane
    frames: Frames
    base: Arrays | None


def _fit(group: GroupFit, frames: Frames, hooks: Hooks) -> tuple[FittedPlane, bool]:
    """The plane, and whether its weights are differences from those that the group was to begin at."""
    from ...fit import Start  # it takes seconds to import, and they count

    layout, colour, settings, base = group.layout, group.colour, group.settings.in_time(group.began), group.base
    values, weights, motion = frames.values, frames.importance, frames.motion
    if motion.path:
        values, weights = laid(values, motion), laid(np.ones_like(values) if weights is None else weights, motion)
    job = PlaneJob(
        values=values,
        kind=Kind.VIDEO,
        bit_depth=layout.bit_depth,
        settings=settings if settings.field != DEFAULT_FIELD else replace(settings, steps=steps_of(settings, layout)),
        tolerance=code_tolerance(layout.bit_depth),
        importance=weights,
        moves=moves(frames.values.shape[:3], motion) if motion else None,
        on_step=hooks.on_step,
        stop=hooks.stop,
    )
    if settings.field != DEFAULT_FIELD:
        return fit_field(job, file_spec(job.grid, job.channels, settings, scale=INPUT_SCALE)), False
    spec = pyramid_spec(job.grid, job.channels, settings, longest=group.longest, still=0 if frames.far else STILL_LEVELS)
    if base is not None and {name: values.shape for name, values in base.items()} == spec.weight_shapes:
        return fit_pyramid(job, spec, part=PART, base=base), True
    return fit_pyramid(job, spec, part=PART, start=Start(weights=first_weights(spec) if colour.yuv else {})), False


def pyramid_spec(grid: tuple[int, ...], channels: int, settings: EncodeSettings, *, longest: int, still: int = STILL_LEVELS) -> PyramidSpec:
    """The sizes of the field that a plane of `grid` (n, H, W) is fitted with.

    Whatever their length, all groups of a video have the levels of the longest one, so that each can begin at the weights of the one before.
    """
    planes = channels if math.prod(grid) >= PLANES_FROM else 1
    halving = max(1, min(MAX_LEVELS, math.floor(math.log2(min(grid[1:])))))
    slow = [level for level in SLOW if level < halving and longest >= FEWEST << level]
    code = STEP_CODE + STEPS_PER_OCTAVE / 2 * math.log2(settings.rate_weight / STEP_LAMBDA)
    return PyramidSpec(
        grid=grid,
        channels=channels,
        explicit=settings.explicit,
        width=settings.width or WIDTH,
        levels=halving + len(slow),
        hidden=HIDDEN,
        planes=planes,
        split=SPLIT if planes > 1 else 0,
        sharp=sum(1 << level for level in slow),
        still=min(still, halving + len(slow) - 1),
        step_code=min(max(round(code), 0), MAX_STEP_CODE),
    )


def first_weights(spec: PyramidSpec) -> Arrays:
    """Where a fit of luma and chroma begins: each plane of latents on its own channel, the single grids on luma."""
    gains = np.zeros_like(prior(0, spec)["S"])
    for grid, plane in enumerate(reversed(spec.grid_planes)):
        gains[min(plane, len(gains) - 1), grid] = COLOUR_GAIN
    return {"S": gains} if spec.planes > 1 else {}


def importance(values: Float32Array, layout: Layout, colour: Colour) -> Float32Array | None:
    """Weights of the squared errors of what is fitted: so that their mean is that of the code values, as shares of the largest, of all samples.

    Luma and chroma count as many samples as there are of them; colour under full transparency does not count.
    """
    if colour.yuv:
        (down, across), (luma, chroma) = SUBSAMPLED[colour.chroma], unit(layout.bit_depth, colour)
        share = 1 / (down * across)
        weights = np.array([luma**2, share * chroma**2, share * chroma**2], np.float32) * (3 / (1 + 2 * share))
        return np.ascontiguousarray(np.broadcast_to(weights.astype(np.float32), values.shape))
    if layout.channels not in (2, 4):
        return None
    seen = np.ones(values.shape, np.float32)
    seen[..., :-1] = values[..., -1:] > 0
    return seen
