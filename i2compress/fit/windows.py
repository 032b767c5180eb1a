"""Large signals are fitted window by window, so that memory is bounded: which samples a window holds and which count.

A window has a core and a halo around it. The cores tile the signal; a step moves the latents of one core and sees the
rest of the window as constants. Cores start at multiples of the coarsest stride. The halo is some points of every grid:
what lies further off does not reach the core by interpolation, by the context model, or by more than a little by the layer.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from torch import Tensor

from ..field.spec import PyramidSpec

Part = tuple[slice, ...]

LEAST_SAMPLES = 1 << 16  # samples of a core, at least, where windows are cut along one axis only
HALO = 6  # points of each grid: upsampling needs h with h >= h / 2 + 2, so 5; the context model 3; the layer one an iteration


@dataclass(frozen=True)
class Window:
    """Parts of the signal, level by level (finest first; level 0 is also the source grid).

    Args:
        whole: what is seen, in each grid.
        core: what counts, in each grid.
        inner: what counts, relative to what is seen.
    """

    whole: tuple[Part, ...]
    core: tuple[Part, ...]
    inner: tuple[Part, ...]

    @property
    def origins(self) -> list[tuple[int, ...]]:
        """Where in its grid each level's part begins."""
        return [tuple(part.start for part in parts) for parts in self.whole]


def likeness(window: Window, shifts: Sequence[Sequence[int]]) -> Hashable:
    """What of a window the work on it depends on: its sizes, its core's place in it, and where its levels are to each other, of strides 2**shift."""
    sizes = tuple(tuple(part.stop - part.start for part in parts) for parts in window.whole)
    inner = tuple(tuple((part.start, part.stop) for part in parts) for parts in window.inner)
    last, far = window.origins[-1], shifts[-1]
    offsets = tuple(
        tuple(start - (coarse << (deep - shift)) for start, coarse, deep, shift in zip(own, last, far, above, strict=True))
        for own, above in zip(window.origins, shifts, strict=True)
    )
    return sizes, inner, offsets


def cut(tensor: Tensor, part: Part) -> Tensor:
    """That part of the last axes of `tensor`, a view."""
    index: Any = (..., *part)
    return tensor[index]


def cut_all(latents: Sequence[Tensor], window: Window) -> list[Tensor]:
    """What a window sees of latents of the whole signal."""
    return [cut(grid, part) for grid, part in zip(latents, window.whole, strict=True)]


def windows(spec: PyramidSpec, side: int | None, reach: int = 0) -> list[Window]:
    """The windows of a signal; a single one, all of it, where it is no larger than one and a half cores.

    Args:
        spec: sizes of the field.
        side: of a core along each axis, about; None for a single window.
        reach: samples that are seen on top of the halo, along the last two axes.
    """
    if side is None:
        return [_window(spec, [(0, size) for size in spec.grid], reach)]
    along = spec.context_inputs.cut_axis
    whole = [] if along is None else [size for axis, size in enumerate(spec.grid) if axis - spec.axes != along]
    if whole:
        side = max(side, math.ceil(LEAST_SAMPLES / math.prod(whole)))
    strides = [1 << shift for shift in spec.shifts[-1]]
    sides = [max(stride, side // stride * stride) for stride in strides]
    cuts = [_cuts(size, sides[axis] if along in (None, axis - spec.axes) else size) for axis, size in enumerate(spec.grid)]
    return [_window(spec, bounds, reach) for bounds in product(*cuts)]


def _cuts(size: int, side: int) -> list[tuple[int, int]]:
    if size <= side + side // 2:
        return [(0, size)]
    starts = list(range(0, size - side // 2, side))
    return list(zip(starts, [*starts[1:], size], strict=True))


def _window(spec: PyramidSpec, bounds: Sequence[tuple[int, int]], reach: int) -> Window:
    core = tuple(tuple(slice(low >> shift, -(-high >> shift)) for (low, high), shift in zip(bounds, shifts, strict=True)) for shifts in spec.shifts)
    halos = [_halos(shifts, reach) for shifts in spec.shifts]
    whole = tuple(
        tuple(slice(max(0, part.start - halo), min(size, part.stop + halo)) for part, size, halo in zip(parts, shape, sides, strict=True))
        for parts, shape, sides in zip(core, spec.latent_shapes, halos, strict=True)
    )
    inner = tuple(tuple(slice(c.start - w.start, c.stop - w.start) for c, w in zip(cs, ws, strict=True)) for cs, ws in zip(core, whole, strict=True))
    return Window(whole, core, inner)


def _halos(shifts: Sequence[int], reach: int) -> list[int]:
    """Points that a window sees beside its core along each axis, of a grid of strides 2**shift."""
    return [HALO + (-(-reach >> shift) if axis >= len(shifts) - 2 else 0) for axis, shift in enumerate(shifts)]
