"""The plane in the chunks of a file, whatever field it is in."""

import math

from ..container import Container
from ..errors import LimitError, MalformedError
from ..field.coordinate_file import FIELD_NUMBERS
from ..field.spec import Arrays
from ..header import SPARSE
from ..processes import cores
from . import coordinate, pyramid, sparse
from .plane import Plane

MAX_SAMPLES = 1 << 27  # a plane of so many takes about 4 GB of memory to decode


def open_plane(content: Container, *, threads: int | None = None, base: Arrays | None = None) -> Plane:
    """Entropy-decode a plane.

    Args:
        content: header, weights and latents; the latents that are missing count as 0.
        threads: CPU threads that will render it; None for all.
        base: of a pyramid, what its weights are differences from where that is no prior; see fit_pyramid.

    Raises:
        FormatError: a plane that no encoder writes, or a larger one than this version decodes.
    """
    samples = math.prod(content.header.grid)
    if samples > MAX_SAMPLES:
        raise LimitError(f"file has {samples} samples; this version decodes up to {MAX_SAMPLES}")
    threads = threads or cores()
    if content.header.field not in FIELD_NUMBERS and content.header.field not in SPARSE:
        return pyramid.open_field(content, threads, base)
    if base is not None:
        raise MalformedError(
            "weights of a field that is no dense pyramid are differences from others; expected them by themselves: the file was written wrongly"
        )
    return sparse.open_field(content) if content.header.field in SPARSE else coordinate.open_field(content, threads)
