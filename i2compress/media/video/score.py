"""How close a decoded video is to its source."""

from collections.abc import Mapping

import numpy as np

from ...config import View
from ...metrics import Comparison
from ...signal import to_codes
from ..protocol import Content, Source
from .colour import Colour, to_planes


def score(source: Source, content: Content) -> Mapping[str, float]:
    """See Medium: the PSNR of all code values at the source's depth, in the colours that its file has them in; inf where they are equal.

    Of luma and chroma all planes count, each as many samples as it has. Colour under full transparency counts as right.
    """
    layout, colour, comparison, frame = source.layout, Colour.from_bytes(source.metadata.colour), Comparison(), 0
    for band in content.blocks(View()):
        wanted = np.asarray(source.read(frame, len(band)), np.float32)
        frame += len(band)
        if colour.yuv:
            for found, plane in zip(*(to_planes(part, layout.bit_depth, colour) for part in (band, wanted)), strict=True):
                comparison.add(found, plane)
            continue
        importance = np.ones(wanted.shape, np.float32) if layout.channels in (2, 4) else None
        if importance is not None:
            importance[..., :-1] = wanted[..., -1:] > 0
        comparison.add(to_codes(band, layout.bit_depth), to_codes(wanted, layout.bit_depth), importance)
    return {"psnr": comparison.psnr(2**layout.bit_depth - 1)}
