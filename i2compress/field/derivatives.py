"""Derivatives of a coordinate field in x, exact through the fixed point.

With t_i = dz*/dx_i the theorem of the implicit function gives t_i = (1 - J)^-1 dF/dx_i, and dPhi/dx_i = W t_i; the second
derivatives follow by differentiating that once more. Truncated gradients would be wrong here without a sign of it, so these
functions solve exactly, forward and backward. What they return can be differentiated again in the parameters, to fit a
gradient or a Laplacian (Sitzmann et al. 2020).
"""

import torch
from torch import Tensor

from ..errors import UsageError
from .coordinate_field import EXACT, CoordinateField, Solving
from .implicit import Exact


def gradient(field: CoordinateField, x: Tensor, *, solving: Solving = EXACT, keep_graph: bool = False) -> Tensor:
    """dPhi/dx, `[N, D, d]`, at x `[N, d]`.

    Args:
        field: of D channels.
        x: coordinates in [-1, 1]^d.
        solving: method and tolerances; its gradient must be `Exact`.
        keep_graph: so that the result can be differentiated.

    Raises:
        UsageError: a gradient that is not exact.
        ConvergenceError: a fixed point, forward or backward, that was not reached.
    """
    x = _leaf(field, x, solving)
    with torch.enable_grad():
        return _jacobian(field(x, solving=solving).values, x, keep_graph=keep_graph)


def laplacian(field: CoordinateField, x: Tensor, *, solving: Solving = EXACT, keep_graph: bool = False) -> Tensor:
    """sum_i d2Phi/dx_i2, `[N, D]`, at x `[N, d]`. Arguments and errors as for `gradient`."""
    x = _leaf(field, x, solving)
    with torch.enable_grad():
        first = _jacobian(field(x, solving=solving).values, x, keep_graph=True)
        second = _jacobian(first.flatten(1), x, keep_graph=keep_graph)
        return second.reshape(*first.shape, x.shape[1]).diagonal(dim1=-2, dim2=-1).sum(-1)


def _leaf(field: CoordinateField, x: Tensor, solving: Solving) -> Tensor:
    if not isinstance(solving.gradient, Exact) and not field.network.spec.explicit:
        raise UsageError(f"derivatives in x need the exact gradient; found {type(solving.gradient).__name__}")
    return x if x.requires_grad else x.detach().requires_grad_()


def _jacobian(values: Tensor, x: Tensor, *, keep_graph: bool) -> Tensor:
    """d values / dx `[N, K, d]` of values `[N, K]`: points do not look at each other, so a sum over them loses nothing."""
    last = values.shape[1] - 1
    rows = [
        torch.autograd.grad(values[:, k].sum(), x, create_graph=keep_graph, retain_graph=keep_graph or k < last)[0] for k in range(values.shape[1])
    ]
    return torch.stack(rows, 1)
