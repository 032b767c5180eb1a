"""The solvers by name: a new one is a file and a line here."""

from .anderson import Anderson
from .broyden import Broyden
from .points import PICARD, Method

METHODS: dict[str, Method] = {"picard": PICARD, "anderson": Anderson(), "broyden": Broyden()}
