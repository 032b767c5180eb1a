"""Large pictures are fitted window by window, so that memory is bounded: which samples a window holds and which count.

A window has a core and a halo around it. The cores tile the picture; a step moves the latents of one core and sees the
rest of the window as constants. Windows start at multiples of the coarsest stride, so the grids of a window are the
same parts of the picture's grids.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from torch import Tensor

from ..field.spec import PyramidSpec

Part = tuple[slice, ...]

CORE = {2: 1024, 3: 96}
HALO_STRIDES = 1  # halo in coarsest strides


@dataclass(frozen=True)
class Window:
    """Parts of the picture, level by level (finest first; level 0 is also the source grid).

    Args:
        whole: what is seen, in each grid.
        core: what counts, in each grid.
        inner: what counts, relative to what is seen.
    """

    whole: tuple[Part, ...]
    core: tuple[Part, ...]
    inner: tuple[Part, ...]


def cut(tensor: Tensor, part: Part) -> Tensor:
    """That part of the last axes of `tensor`, a view."""
    index: Any = (..., *part)
    return tensor[index]


def windows(spec: PyramidSpec, core: int | None = None) -> list[Window]:
    """The windows of a picture; a single one, all of it, where it is no larger than one and a half cores."""
    if spec.magnitudes:  # its context model reads places in the whole grid; such signals come in segments
        return [_window(spec, [(0, size) for size in spec.grid], 0)]
    stride = 1 << (spec.levels - 1)
    side = max(stride, (CORE[spec.axes] if core is None else core) // stride * stride)
    cuts = [_cuts(size, side) for size in spec.grid]
    return [_window(spec, bounds, stride * HALO_STRIDES) for bounds in product(*cuts)]


def _cuts(size: int, side: int) -> list[tuple[int, int]]:
    if size <= side + side // 2:
        return [(0, size)]
    starts = list(range(0, size - side // 2, side))
    return list(zip(starts, [*starts[1:], size], strict=True))


def _window(spec: PyramidSpec, bounds: Sequence[tuple[int, int]], halo: int) -> Window:
    outer = [(max(0, low - halo), min(size, high + halo)) for (low, high), size in zip(bounds, spec.grid, strict=True)]

    def at(level: int, ranges: Sequence[tuple[int, int]]) -> Part:
        return tuple(slice(low >> level, -(-high >> level)) for low, high in ranges)

    whole = tuple(at(level, outer) for level in range(spec.levels))
    core = tuple(at(level, bounds) for level in range(spec.levels))
    inner = tuple(tuple(slice(c.start - w.start, c.stop - w.start) for c, w in zip(cs, ws, strict=True)) for cs, ws in zip(core, whole, strict=True))
    return Window(whole, core, inner)
