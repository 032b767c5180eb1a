"""What it takes to decode a plane, known from its header alone, so that a small file which asks for much is refused before anything is done.

The times are those of one core of an ordinary computer (tests/benchmarks/cost.py measures them); an estimate tells the order of magnitude.
"""

import math
from dataclasses import dataclass

from ..field.coordinate_file import FIELD_NUMBERS, CoordinateFile
from ..field.spec import PyramidSpec
from ..header import Header
from ..render import blocks, coordinate
from ..render.resample import Lanczos
from ..render.span import Span, Spans, whole

LATENT = 5e-8  # seconds for each latent, and for each weight of the context model that it takes
CONTEXT = 1.2e-9
MIXED = 6e-11  # seconds for each product of a mixing matrix
ELEMENT = 6e-9  # seconds for each channel of a pyramid's layer, in which its filter is
SINE = 1.5e-8  # the same of a coordinate field, in which a sine or a product is
CALL = 1e-4  # for each block at each phase, however small it is
BYTES = 24  # of memory for each latent, features and what the entropy decoder holds with them
BAND = 12  # bytes for each value of a band of the output: solved, reduced, rounded


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a decode takes, about.

    Args:
        memory: bytes at its height.
        seconds: of one core.
    """

    memory: float = 0.0
    seconds: float = 0.0

    def then(self, other: "Cost") -> "Cost":
        """Both, one after the other."""
        return Cost(memory=max(self.memory, other.memory), seconds=self.seconds + other.seconds)

    def times(self, share: float) -> "Cost":
        """As many times as long."""
        return Cost(memory=self.memory, seconds=self.seconds * share)


def plane_cost(header: Header, spans: Spans | None = None) -> Cost:
    """What decoding a plane takes.

    Args:
        header: of the plane.
        spans: which samples of each axis, and how many they become; None for all as they are.

    Raises:
        FormatError: a header that no encoder writes.
    """
    spans = whole(header.grid) if spans is None else spans
    return _coordinate(header, spans) if header.field in FIELD_NUMBERS else _pyramid(header, spans)


def _pyramid(header: Header, spans: Spans) -> Cost:
    """Entropy decoding of all latents, then the layer in all blocks that are touched, each with its halo, at every phase."""
    spec = PyramidSpec.from_header(header)
    latents = sum(map(math.prod, spec.latent_shapes))
    grid, scales = _volume(header.grid), tuple(span.scale for span in _lead(spans))
    samples, calls = _touched(
        grid, _lead(spans), blocks.block_shape(grid, (scales[0], scales[1], scales[2])), 0 if spec.explicit else spec.iterations - 1
    )
    per_sample = (1 if spec.explicit else spec.iterations) * spec.width * (ELEMENT + MIXED * spec.width)
    coding = latents * (LATENT + CONTEXT * spec.hidden * (spec.neighbours + 3))
    return Cost(
        memory=latents * BYTES + _band(grid, spans, header.channels), seconds=coding + math.prod(scales) * (samples * per_sample + calls * CALL)
    )


def _coordinate(header: Header, spans: Spans) -> Cost:
    """The layer at every point of the blocks that are touched, at every phase."""
    spec = CoordinateFile.from_header(header)
    network, grid, scales = spec.network, _volume(header.grid), tuple(span.scale for span in _lead(spans))
    shape = coordinate.block_shape(len(header.grid), network.width, (scales[0], scales[1], scales[2]))
    samples, calls = _touched(grid, _lead(spans), shape, 0)
    per_sample = spec.iterations * network.layers * network.width * (SINE + MIXED * network.width)
    return Cost(
        memory=64.0 * network.parameters + _band(grid, spans, header.channels), seconds=math.prod(scales) * (samples * per_sample + calls * CALL)
    )


def _touched(grid: tuple[int, ...], spans: Spans, shape: tuple[int, ...], halo: int) -> tuple[float, int]:
    """Source samples that are computed for a view, in whole blocks with their halo, and how many blocks."""
    total, count = 1.0, 1
    for size, span, step in zip(grid, spans, shape, strict=True):
        start, stop = Lanczos(span=span, samples=size).region
        here = -(-stop // step) - start // step
        count *= here
        total *= here * min(step + 2 * halo if size > 1 else 1, size)
    return total, count


def _band(grid: tuple[int, ...], spans: Spans, channels: int) -> float:
    """Bytes of one band of the output, before and after it is reduced."""
    across = math.prod(max(span.out, span.size * span.scale) for span in spans[1:])
    return BAND * channels * across * min(spans[0].out, 2 * blocks.MAX_BAND)


def _volume(grid: tuple[int, ...]) -> tuple[int, ...]:
    return (1,) * (3 - len(grid)) + grid


def _lead(spans: Spans) -> Spans:
    return (Span(start=0, size=1, out=1),) * (3 - len(spans)) + spans
