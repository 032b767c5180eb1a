"""A benchmark whose codec is quick and whose points are known, and pictures to feed it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from i2compress.bench.benchmark import Metric, Point
from i2compress.bench.codec import Samples, Work
from i2compress.bench.image import IMAGE

PSNR = IMAGE.metrics["psnr-rgb"]
JPEG_ONLY = replace(IMAGE, codecs={"jpeg": IMAGE.codecs["jpeg"]}, metrics={"psnr-rgb": PSNR})


def photo(height: int = 64, width: int = 80, seed: int = 0) -> Samples:
    """Something between a photograph and noise: smooth shapes, an edge and some texture."""
    y, x = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(seed).normal(0, 6, (height, width, 3))
    base = 120 + 60 * np.sin(x / 9 + seed)[..., None] + 40 * np.cos(y / 7)[..., None] * np.array([1, -0.5, 0.3])
    base[y > x] -= 50
    return np.clip(base + noise, 0, 255).astype(np.uint8)


def saved(path: Path, samples: Samples | None = None) -> str:
    """Writes a picture and returns its path."""
    Image.fromarray(photo() if samples is None else samples).save(path)
    return str(path)


def point(codec: str, source: str, quality: float, bpp: float, psnr: float, **metrics: float) -> Point:
    """A point as if it had been measured."""
    return Point(
        codec=codec,
        source=source,
        digest=source,
        work=Work(quality=quality),
        bytes=int(bpp * 1000),
        bpp=bpp,
        metrics={"psnr-rgb": psnr, **metrics},
        encoding_time=0.5,
        decoding_time=0.25,
        encoding_memory=1_000_000,
        decoding_memory=None,
    )


def curve(codec: str, source: str = "a", *, factor: float = 1.0, shift: float = 0.0) -> list[Point]:
    """Five points on a line: 6 dB for each doubling of the rate; `factor` times the bytes, `shift` more dB."""
    return [point(codec, source, 10.0 * k, factor * 2**k / 10, 24 + 6 * k + shift) for k in range(5)]


def constant(name: str, value: float) -> Metric:
    """A measure that always says the same."""
    return Metric(name=name, title=name, digits=1, measure=lambda source, decoded: value)
