"""Decoding above the coded size: the field's own values against enlarging decoded pictures by Lanczos and bicubic filters.

Pictures are reduced, coded and enlarged again, and the source is what they are compared with; so the reduction's loss is in every figure.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image

from ..errors import I2Error, SignalError
from . import fitted
from .parts import Codec, FitOptions, Pixels, Point, Source
from .results import write
from .search import Target, matched
from .store import Store, digest

FACTORS = (2, 4)
FILTERS = {"lanczos": Image.Resampling.LANCZOS, "bicubic": Image.Resampling.BICUBIC}
FIELD = "field"  # the method of a codec that is evaluated at any resolution
UNCODED = "uncoded"  # the reduced picture itself: what enlarging alone costs
REDUCED = "reduced"  # folder of the reduced pictures
MEASURES = ("psnr-rgb", "ssim-rgb")
_SMALLEST = 16  # samples a side of a reduced picture


@dataclass(frozen=True, kw_only=True)
class Enlarged:
    """One way from the coded small picture back to the source's size, and how close it came.

    Args:
        source, factor: which picture, reduced by how much.
        codec, method: what coded the small picture (or "uncoded"), and what enlarged it: "field", "lanczos" or "bicubic".
        bytes: of the coded small picture; None for "uncoded".
        case: i2c's quality; a peer's file is at most as large as i2c's of the same case. None for "uncoded".
        quality: on the codec's own scale.
        metrics: against the source, by name.
    """

    source: str
    factor: int
    codec: str
    method: str
    metrics: dict[str, float | None]
    bytes: int | None = None
    case: float | None = None
    quality: float | None = None


OnCase = Callable[[str, int, int], None]


class _Case(NamedTuple):
    """A picture, a reduction and a quality of i2c."""

    source: Source
    factor: int
    quality: float

    @property
    def name(self) -> str:
        return f"{self.source.name} 1/{self.factor} q{self.quality:g}"


def bench(
    sources: Sequence[Source],
    peers: Sequence[Codec],
    store: Store,
    options: FitOptions,
    *,
    qualities: Sequence[float],
    factors: Sequence[int] = FACTORS,
    on_case: OnCase | None = None,
) -> tuple[list[Enlarged], dict[str, I2Error]]:
    """Every source at every factor and quality of i2c; peers at the size of i2c's file.

    Args:
        sources: pictures.
        peers: codecs whose decoded pictures are enlarged by the filters.
        store: keeps the coded small pictures, so that a run that was stopped goes on.
        options, qualities: of i2c.
        factors: whole reductions.
        on_case: called with a name, and how many of how many pictures, factors and qualities are done.

    Returns:
        What could be measured, and by name what failed: a picture that is too small, or a codec.
    """
    cases = [_Case(source, factor, quality) for source in sources for factor in factors for quality in qualities]
    rows: list[Enlarged] = []
    failed: dict[str, I2Error] = {}
    for done, case in enumerate(cases, 1):
        try:
            rows += _case(case, peers, store, options, failed, uncoded=case.quality == qualities[0])
        except I2Error as error:
            failed[case.name] = error
        if on_case is not None:
            on_case(case.name, done, len(cases))
    return rows, failed


def _case(case: _Case, peers: Sequence[Codec], store: Store, options: FitOptions, failed: dict[str, I2Error], *, uncoded: bool) -> list[Enlarged]:
    source, factor = case.source, case.factor
    whole, small = _reduced(source, factor, store)
    rows = _uncoded(whole, small, factor, store, source) if uncoded else []
    own = store.get(small, fitted.I2C, fitted.I2C.work(case.quality, options))
    rows += _enlarged(own, whole, small, case, store=store)
    for codec in peers:
        try:
            point = matched(store, small, codec, Target(bytes=own.bytes), options, fits=1)
            rows += _enlarged(point, whole, small, case, store=store)
        except I2Error as error:
            failed[f"{case.name}, {codec.name}"] = error
    return rows


def _reduced(source: Source, factor: int, store: Store) -> tuple[Pixels, Source]:
    """The source cut to a multiple of `factor`, and a file of its Lanczos reduction."""
    samples = store.modality.read(source.path)
    height, width = (side // factor for side in samples.shape[:2])
    if min(height, width) < _SMALLEST:
        raise SignalError(f"{source.path} reduced {factor}x is {width}x{height}; expected at least {_SMALLEST}x{_SMALLEST}: leave it out")
    whole = samples[: height * factor, : width * factor]
    small = np.asarray(Image.fromarray(whole).resize((width, height), FILTERS["lanczos"]))
    path, file = store.folder / REDUCED / f"{source.name}-{factor}.png", io.BytesIO()
    Image.fromarray(small).save(file, "PNG")
    write(path, file.getvalue())
    return whole, Source(name=f"{source.name} 1/{factor}", path=str(path), digest=digest(small))


def _uncoded(whole: Pixels, small: Source, factor: int, store: Store, source: Source) -> list[Enlarged]:
    made = _filtered(store.modality.read(small.path), whole)
    scored = {method: _scores(store, whole, samples) for method, samples in made.items()}
    return [Enlarged(source=source.name, factor=factor, codec=UNCODED, method=method, metrics=found) for method, found in scored.items()]


def _enlarged(point: Point, whole: Pixels, small: Source, case: _Case, *, store: Store) -> list[Enlarged]:
    data, threads = store.data(point, small), point.work.threads
    made = _filtered(store.modality.codecs[point.codec].decode(data, threads), whole)
    if point.codec == fitted.I2C.name:
        made = {FIELD: fitted.enlarge(data, threads, scale=case.factor), **made}
    return [
        Enlarged(
            source=case.source.name,
            factor=case.factor,
            codec=point.codec,
            method=method,
            bytes=point.bytes,
            case=case.quality,
            quality=point.work.quality,
            metrics=_scores(store, whole, samples),
        )
        for method, samples in made.items()
    ]


def _filtered(small: Pixels, whole: Pixels) -> dict[str, Pixels]:
    height, width = whole.shape[:2]
    picture = Image.fromarray(small)
    return {name: np.asarray(picture.resize((width, height), kind)) for name, kind in FILTERS.items()}


def _scores(store: Store, whole: Pixels, samples: Pixels) -> dict[str, float | None]:
    return {metric.name: metric.measure(whole, samples) for metric in store.metrics if metric.name in MEASURES}
