"""Sound as a plane of frequencies over time, and back at any sampling rate."""

from .rate import Evaluation
from .transform import MAX_SPLIT, POWER, SINE, Framing, Synthesis, analyse, synthesise

__all__ = ["MAX_SPLIT", "POWER", "SINE", "Evaluation", "Framing", "Synthesis", "analyse", "synthesise"]
