"""Pictures as a modality of the benchmark."""

import numpy as np

from .. import media
from ..errors import SignalError
from ..signal import to_codes
from .codecs import CODECS
from .metrics import METRICS
from .parts import Modality, Pixels, Rate


def read(path: str) -> Pixels:
    """uint8 `[H, W, 3]`: the one kind of picture that every codec in the table holds; gray becomes RGB.

    Raises:
        SignalError: not readable, 16-bit, or with alpha, which peers would code in ways that cannot be compared.
    """
    signal = media.read(path)
    if signal.bit_depth != 8 or signal.channels not in (1, 3):
        found = f"{signal.bit_depth}-bit with {signal.channels} channel{'s' if signal.channels > 1 else ''}"
        raise SignalError(f"{path} is {found}; the benchmark expects 8-bit gray or RGB: convert it, or leave it out")
    codes = to_codes(signal.values, 8)
    return np.ascontiguousarray(np.broadcast_to(codes, (*codes.shape[:2], 3)), np.uint8)


def count(samples: Pixels) -> int:
    """Pixels."""
    return int(samples.shape[0] * samples.shape[1])


BPP = Rate(name="bpp", title="bpp", axis="bits per pixel", digits=3)
ANCHORS = ("avif-psnr", "avif", "jxl", "webp", "jpeg")  # the strongest in PSNR first: flattering anchors help nobody

IMAGE = Modality(name="image", read=read, codecs=CODECS, metrics=METRICS, count=count, rate=BPP, anchors=ANCHORS, slider=True)
