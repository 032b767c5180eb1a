"""The plane in the chunks of a file, whatever field it is in."""

import math
import os

from ..container import Container
from ..errors import LimitError
from ..field.coordinate_file import FIELD_NUMBERS
from ..header import SPARSE
from . import coordinate, pyramid, sparse
from .plane import Plane

MAX_SAMPLES = 1 << 27  # a plane of so many takes about 4 GB of memory to decode


def open_plane(content: Container, *, threads: int | None = None) -> Plane:
    """Entropy-decode a plane.

    Args:
        content: header, weights and latents; the latents that are missing count as 0.
        threads: CPU threads that will render it; None for all.

    Raises:
        FormatError: a plane that no encoder writes, or a larger one than this version decodes.
    """
    samples = math.prod(content.header.grid)
    if samples > MAX_SAMPLES:
        raise LimitError(f"file has {samples} samples; this version decodes up to {MAX_SAMPLES}")
    if content.header.field in SPARSE:
        return sparse.open_field(content)
    opened = coordinate.open_field if content.header.field in FIELD_NUMBERS else pyramid.open_field
    return opened(content, threads or os.cpu_count() or 1)
