"""One axis of what is to be rendered: which source samples, and how many output samples they become."""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, kw_only=True)
class Span:
    """One axis.

    Output sample j lies at start - 1/2 + (j + 1/2) * size / out, in source samples.

    Args:
        start, size: the source samples start .. start + size.
        out: how many output samples they become, at least 1.
    """

    start: int
    size: int
    out: int

    @property
    def scale(self) -> int:
        """The integer scale at which the field is solved: the next one up, at least 1."""
        return -(-self.out // self.size)

    @property
    def exact(self) -> bool:
        """True where the solved samples are the output samples."""
        return self.out == self.size * self.scale


Spans: TypeAlias = tuple[Span, ...]


def whole(grid: tuple[int, ...]) -> Spans:
    """All samples of a grid as they are."""
    return tuple(Span(start=0, size=size, out=size) for size in grid)
