"""The decoder's renderer: from latents and weights to samples at any resolution, numpy only."""

from .convergence import Solution
from .renderer import Renderer

__all__ = ["Renderer", "Solution"]
