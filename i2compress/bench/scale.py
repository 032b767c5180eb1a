"""Decoding above the coded size: the field's own values against enlarging decoded pictures by Lanczos and bicubic filters.

Pictures are reduced, coded and enlarged again, and the source is what they are compared with; so the reduction's loss is in every figure.
"""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import SignalError
from . import fitted
from .origin import metadata
from .parts import Codec, FitOptions, Pixels, Point, Source
from .results import number, table, where, write
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
        quality: on the codec's scale.
        metrics: against the source, by name.
    """

    source: str
    factor: int
    codec: str
    method: str
    bytes: int | None
    quality: float | None
    metrics: dict[str, float | None]


OnCase = Callable[[str, int, int], None]


def bench(
    sources: Sequence[Source],
    peers: Sequence[Codec],
    store: Store,
    options: FitOptions,
    *,
    qualities: Sequence[float],
    factors: Sequence[int] = FACTORS,
    on_case: OnCase | None = None,
) -> list[Enlarged]:
    """Every source at every factor and quality of i2c; peers at the size of i2c's file.

    Args:
        sources: pictures.
        peers: codecs whose decoded pictures are enlarged by the filters.
        store: keeps the coded small pictures.
        options, qualities: of i2c.
        factors: whole reductions.
        on_case: called with a name, and how many of how many pictures, factors and qualities are done.

    Raises:
        SignalError: a picture that is too small to be reduced.
        I2Error: a codec failed.
    """
    cases = [(source, factor, quality) for source in sources for factor in factors for quality in qualities]
    rows: list[Enlarged] = []
    for done, (source, factor, quality) in enumerate(cases, 1):
        whole, small = _reduced(source, factor, store)
        first = quality == qualities[0]
        rows += _uncoded(whole, small, factor, store, source) if first else []
        own = store.get(small, fitted.I2C, fitted.I2C.work(quality, options))
        rows += _enlarged(own, whole, small, factor, store=store, source=source)
        for codec in peers:
            point = matched(store, small, codec, Target(bytes=own.bytes), options, fits=1)
            rows += _enlarged(point, whole, small, factor, store=store, source=source)
        if on_case is not None:
            on_case(f"{source.name} 1/{factor} q{quality:g}", done, len(cases))
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
    return [_row(source, factor, UNCODED, method, point=None, found=_scores(store, whole, samples)) for method, samples in made.items()]


def _enlarged(point: Point, whole: Pixels, small: Source, factor: int, *, store: Store, source: Source) -> list[Enlarged]:
    data, threads = store.data(point, small), point.work.threads
    made = _filtered(store.modality.codecs[point.codec].decode(data, threads), whole)
    if point.codec == fitted.I2C.name:
        made = {FIELD: fitted.enlarge(data, threads, scale=factor), **made}
    return [_row(source, factor, point.codec, method, point=point, found=_scores(store, whole, samples)) for method, samples in made.items()]


def _row(source: Source, factor: int, codec: str, method: str, *, point: Point | None, found: dict[str, float | None]) -> Enlarged:
    count, quality = (None, None) if point is None else (point.bytes, point.work.quality)
    return Enlarged(source=source.name, factor=factor, codec=codec, method=method, bytes=count, quality=quality, metrics=found)


def _filtered(small: Pixels, whole: Pixels) -> dict[str, Pixels]:
    height, width = whole.shape[:2]
    picture = Image.fromarray(small)
    return {name: np.asarray(picture.resize((width, height), kind)) for name, kind in FILTERS.items()}


def _scores(store: Store, whole: Pixels, samples: Pixels) -> dict[str, float | None]:
    return {metric.name: metric.measure(whole, samples) for metric in store.metrics if metric.name in MEASURES}


def write_all(rows: Sequence[Enlarged], folder: Path) -> list[Path]:
    """Writes `scale.md` and `scale.csv`; returns their paths."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(["source", "factor", "codec", "method", "bytes", "quality", *MEASURES])
    for row in rows:
        out.writerow([row.source, row.factor, row.codec, row.method, row.bytes, row.quality, *(row.metrics.get(name) for name in MEASURES)])
    return [write(folder / "scale.md", markdown(rows).encode()), write(folder / "scale.csv", text.getvalue().encode())]


def markdown(rows: Sequence[Enlarged]) -> str:
    """A table for each factor, with where it comes from."""
    names = ", ".join(dict.fromkeys(row.source for row in rows))
    head = f"# i2c bench scale\n\n{where(metadata())}\n\nSources: {names}. Peers at most as large as i2c's file.\n"
    factors = dict.fromkeys(row.factor for row in rows)
    return head + "".join(f"\n## Reduced {factor}x, coded, enlarged {factor}x\n\n{factor_table(rows, factor)}" for factor in factors)


def factor_table(rows: Sequence[Enlarged], factor: int) -> str:
    """Means over sources and qualities of every codec and method; the best coded one of each measure in bold."""
    groups: dict[tuple[str, str], list[Enlarged]] = {}
    for row in rows:
        if row.factor == factor:
            groups.setdefault((row.codec, row.method), []).append(row)
    means = {kind: {name: _mean([row.metrics.get(name) for row in group]) for name in MEASURES} for kind, group in groups.items()}
    tops = {name: max((mean[name] or 0.0 for (codec, _), mean in means.items() if codec != UNCODED), default=0.0) for name in MEASURES}
    lines = []
    for (codec, method), group in groups.items():
        size = _mean([row.bytes for row in group])
        cells = [_bold(means[codec, method][name], digits, tops[name]) for name, digits in zip(MEASURES, (2, 4), strict=True)]
        lines.append([codec, method, number(size, 0), *cells])
    return table(["codec", "enlarged by", "bytes", "PSNR RGB [dB]", "SSIM RGB"], lines)


def _bold(value: float | None, digits: int, top: float) -> str:
    return f"**{number(value, digits)}**" if value == top else number(value, digits)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
