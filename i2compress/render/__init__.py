"""The decoder's renderer: from latents and weights to samples at any resolution, numpy only."""

from .convergence import Convergence
from .renderer import Renderer

__all__ = ["Convergence", "Renderer"]
