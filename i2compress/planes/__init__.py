"""A signal on a grid becomes the header, weights and latents of a field, and they become the signal again: of any kind of media."""

from .cost import Cost, plane_cost
from .open import MAX_SAMPLES, open_plane
from .plane import TOLERANCE_ERROR, FittedPlane, Plane, PlaneJob, code_tolerance
from .pyramid import Settle, fit_pyramid, next_base, plane_weights
from .sparse import SparseJob, fit_sparse_plane, open_beside

__all__ = [
    "MAX_SAMPLES",
    "TOLERANCE_ERROR",
    "Cost",
    "FittedPlane",
    "Plane",
    "PlaneJob",
    "Settle",
    "SparseJob",
    "code_tolerance",
    "fit_pyramid",
    "fit_sparse_plane",
    "next_base",
    "open_beside",
    "open_plane",
    "plane_cost",
    "plane_weights",
]
