"""From the integers in a file to the tensors of a field and of its context model."""

import numpy as np
import numpy.typing as npt

from ..coding.context import ContextWeights, FractionBits
from ..coding.weights import WeightGroup
from .spec import PRIOR_BITS, Arrays, PyramidSpec


def dequantise(groups: dict[str, WeightGroup], base: Arrays) -> Arrays:
    """The values of all tensors: prior + integer * step, float64 by name."""
    return {name: base[name] + group.symbols * 2.0**-group.exponent for name, group in groups.items()}


def rendering_weights(spec: PyramidSpec, groups: dict[str, WeightGroup], base: Arrays) -> dict[str, npt.NDArray[np.float32]]:
    """The tensors as the renderer takes them: float32, with the step of the latents worked into B and S."""
    values = dequantise(groups, base)
    return {name: (value * spec.step if name in ("B", "S") else value).astype(np.float32) for name, value in values.items()}


def context_weights(spec: PyramidSpec, groups: dict[str, WeightGroup], base: Arrays) -> ContextWeights:
    """The context model's exact integers: prior and difference on the finer of their two grids."""
    names = [name for name in spec.weight_shapes if spec.is_context(name)]
    bits = {name: max(groups[name].exponent, PRIOR_BITS) for name in names}
    values = {
        name: (base[name] * 2.0 ** bits[name]).astype(np.int64) + (groups[name].symbols << (bits[name] - groups[name].exponent)) for name in names
    }
    maps = [name for name in names if name.startswith("m")]
    rest = [name for name in names if not name.startswith("m")]
    return ContextWeights(
        m=tuple(values[name] for name in maps),
        **{name: values[name] for name in rest},
        bits=FractionBits(tuple(bits[name] for name in maps), *(bits[name] for name in rest)),
        magnitudes=spec.magnitudes,
    )
