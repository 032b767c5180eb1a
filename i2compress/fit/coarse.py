"""Half the resolution first: where the steps of a fit are cheap, and most of what it has to find is found.

All grids of a pyramid but the finest are a pyramid of the signal at half its resolution. A step there costs a quarter of one of the whole
(of two axes; an eighth of three). So a fit begins on the halved signal, with all grids but the finest, and goes on with what that found. The
latents stay where they are, one level further up; the finest grids begin at zero, and tensors keep their values but for what belongs to
them alone.
"""

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from ..arrays import Float64Array
from ..field.spec import Arrays, PyramidSpec


def halved_spec(spec: PyramidSpec) -> PyramidSpec:
    """The sizes of a pyramid without its finest level, on half the resolution."""
    grid = tuple((size + 1) // 2 for size in spec.grid)
    split, still = (max(0, levels - 1) for levels in (spec.split, spec.still))
    return replace(spec, grid=grid, levels=spec.levels - 1, split=split, still=still, steady=spec.steady >> 1, sharp=spec.sharp >> 1)


def finest_grids(spec: PyramidSpec) -> int:
    """How many grids the halved pyramid does not have: those of the finest level."""
    return spec.grid_levels.count(0)


def parted(spec: PyramidSpec, whole: Mapping[str, Tensor]) -> Arrays:
    """Tensors of the halved pyramid by name: those of the whole one; the maps of its finest level are not there."""
    found: Arrays = {}
    maps, finest = spec.context.maps_by_name, finest_grids(spec)
    for name, tensor in whole.items():
        own = _array(tensor)
        if name not in maps:
            found[name] = own[1:] if name == "up" else own[:, :-finest] if name in ("B", "S") else own
        elif maps[name] >= finest:
            found[f"m{maps[name] - finest}"] = own
    return found


def joined(spec: PyramidSpec, whole: Mapping[str, Tensor], coarse: Mapping[str, Tensor]) -> Arrays:
    """Tensors of the whole pyramid by name: those of the halved one, and those of `whole` where they belong to the finest level alone."""
    maps, finest = spec.context.maps_by_name, finest_grids(spec)
    found: Arrays = {}
    for name, tensor in whole.items():
        own = _array(tensor)
        if name == "up":  # a filter for each doubling, finest first
            own[1:] = _array(coarse[name])
        elif name in ("B", "S"):  # a column for each grid, finest last
            own[:, :-finest] = _array(coarse[name])
        elif name not in maps:
            own = _array(coarse[name])
        elif maps[name] >= finest:  # a map for each of the finest grids, finest first
            own = _array(coarse[f"m{maps[name] - finest}"])
        found[name] = own
    return found


def _array(tensor: Tensor) -> Float64Array:
    return tensor.detach().cpu().double().numpy().copy()
