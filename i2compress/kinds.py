"""The kinds of media that the format knows, and what holds of their samples. What is done with each is in media/."""

from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple

MAX_RATE = 2**24  # samples a second


class Kind(IntEnum):
    """What a signal is; the number is the one in the file."""

    IMAGE = 0
    AUDIO = 1
    VIDEO = 2
    SHAPE = 3


class Samples(NamedTuple):
    """What the samples of a kind of media are.

    Args:
        axes: of the grid that they lie on.
        plane_axes: of the grids that fields of this kind may have in a file.
        channels: most of them.
        depths: bits of integer samples (False) and of floating-point samples (True).
        lowest: values lie in lowest..1, so their peak for a PSNR is 1 - lowest; code value = value * full_scale(depth).
        timed: the first axis is time, so that a rate belongs to it.
    """

    axes: int
    plane_axes: tuple[int, ...]
    channels: int
    depths: Mapping[bool, tuple[int, ...]]
    lowest: float
    timed: bool = False

    @property
    def peak(self) -> float:
        """From the lowest value to the highest."""
        return 1 - self.lowest


_INTEGERS = {False: (8, 16), True: ()}

SAMPLES = {
    Kind.IMAGE: Samples(axes=2, plane_axes=(2,), channels=4, depths=_INTEGERS, lowest=0),
    # A file of sound holds planes of frequencies over time, of one or more channels.
    Kind.AUDIO: Samples(axes=1, plane_axes=(1, 2, 3), channels=8, depths={False: (8, 16, 24, 32), True: (32, 64)}, lowest=-1, timed=True),
    Kind.VIDEO: Samples(axes=3, plane_axes=(3,), channels=4, depths=_INTEGERS, lowest=0, timed=True),
    Kind.SHAPE: Samples(axes=3, plane_axes=(3,), channels=4, depths={False: (16,), True: ()}, lowest=-1),
}
