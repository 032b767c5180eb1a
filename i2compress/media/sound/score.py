"""How close a decoded sound is to its source."""

from collections.abc import Mapping

from ...config import View
from ...metrics import Comparison
from ..protocol import Content, Source
from .write import to_codes


def score(source: Source, content: Content) -> Mapping[str, float]:
    """See Medium: SNR, and PSNR against a peak of 2 (from -1 to 1), in dB, of the decoded sound in its source's depth; inf where equal."""
    layout, comparison, position = source.layout, Comparison(), 0
    for block in content.blocks(View()):
        wanted = source.read(position, len(block))
        comparison.add(to_codes(block, layout.bit_depth, layout.floating), wanted)
        position += len(block)
    return {"snr": comparison.snr, "psnr": comparison.psnr(layout.peak)}
