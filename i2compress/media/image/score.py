"""How close a decoded picture is to its source."""

from collections.abc import Mapping

import numpy as np

from ...config import View
from ...metrics import Comparison
from ..protocol import Content, Source
from .encode import opacity_importance
from .judge import compare


def score(source: Source, content: Content) -> Mapping[str, float]:
    """See Medium: the PSNR of the code values at the source's depth, in dB; inf where they are equal.

    Colour under full transparency, which nobody sees, counts as right.
    """
    layout, comparison, row = source.layout, Comparison(), 0
    for band in content.blocks(View()):
        wanted = np.asarray(source.read(row, len(band)), np.float32)
        importance = opacity_importance(wanted, layout)
        compare(comparison, band, wanted, layout, importance)
        row += len(band)
    return {"psnr": comparison.psnr(2**layout.bit_depth - 1)}
