"""From the integers in a file to the tensors of a field and of its context model."""

import numpy as np

from ..arrays import Float32Array
from ..coding.context import ContextWeights
from ..coding.weights import WeightGroup
from .sparse_spec import SparseSpec
from .spec import PRIOR_BITS, Arrays, PyramidSpec


def dequantise(groups: dict[str, WeightGroup], base: Arrays) -> Arrays:
    """The values of all tensors: prior + integer * step, float64 by name."""
    return {name: base[name] + group.symbols * 2.0**-group.exponent for name, group in groups.items()}


def rendering_weights(spec: PyramidSpec | SparseSpec, groups: dict[str, WeightGroup], base: Arrays) -> dict[str, Float32Array]:
    """The tensors as the renderer takes them: float32, with the step of the latents worked into B and S."""
    values = dequantise(groups, base)
    return {name: (value * spec.step if name in ("B", "S") else value).astype(np.float32) for name, value in values.items()}


def context_weights(spec: PyramidSpec | SparseSpec, groups: dict[str, WeightGroup], base: Arrays) -> ContextWeights:
    """The context model's exact integers: prior and difference on the finer of their two grids."""
    names = list(spec.context.tensors)
    bits = {name: max(groups[name].exponent, PRIOR_BITS) for name in names}
    integers = {
        name: (base[name] * 2.0 ** bits[name]).astype(np.int64) + (groups[name].symbols << (bits[name] - groups[name].exponent)) for name in names
    }
    return ContextWeights(spec=spec.context, integers=integers, bits=bits)
