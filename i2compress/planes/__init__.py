"""A signal on a grid becomes the header, weights and latents of a field, and they become the signal again: of any kind of media."""

from .open import MAX_SAMPLES, open_plane
from .plane import FittedPlane, Plane, PlaneJob
from .pyramid import Settle, fit_pyramid

__all__ = ["MAX_SAMPLES", "FittedPlane", "Plane", "PlaneJob", "Settle", "fit_pyramid", "open_plane"]
