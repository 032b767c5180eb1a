"""Decoding above the coded size: the field's own values against enlarging decoded pictures by Lanczos and bicubic filters.

Pictures are reduced, coded and enlarged again, and the source is what they are compared with; so the reduction's loss is in every figure.
"""

import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from ..errors import I2Error, SignalError
from . import i2c
from .benchmark import Point, Source
from .codec import Codec, FitOptions, Pixels
from .files import to_json, write_file
from .image import METRICS
from .provenance import metadata
from .results import mean_of_known
from .search import Target, matched
from .store import Store, digest
from .tables import csv_text, made_by, markdown_table, named_list, number

FACTORS = (2, 4)
FILTERS = {"lanczos": Image.Resampling.LANCZOS, "bicubic": Image.Resampling.BICUBIC}
FIELD = "field"  # the method of a codec that is evaluated at any resolution
UNCODED = "uncoded"  # the reduced picture itself: what enlarging alone costs
REDUCED = "reduced"  # folder of the reduced pictures
MEASURES = {name: METRICS[name] for name in ("psnr-rgb", "ssim-rgb")}

Way = tuple[str, str]  # codec and method
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
    own = store.get(small, i2c.PICTURE, i2c.PICTURE.work(case.quality, options))
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
    samples = store.benchmark.read(source.path)
    height, width = (side // factor for side in samples.shape[:2])
    if min(height, width) < _SMALLEST:
        raise SignalError(f"{source.path} reduced {factor}x is {width}x{height}; expected at least {_SMALLEST}x{_SMALLEST}: leave it out")
    whole = samples[: height * factor, : width * factor]
    small = np.asarray(Image.fromarray(whole).resize((width, height), FILTERS["lanczos"]))
    path, file = store.folder / REDUCED / f"{source.name}-{factor}.png", io.BytesIO()
    Image.fromarray(small).save(file, "PNG")
    write_file(path, file.getvalue())
    return whole, Source(name=f"{source.name} 1/{factor}", path=str(path), digest=digest(small))


def _uncoded(whole: Pixels, small: Source, factor: int, store: Store, source: Source) -> list[Enlarged]:
    made = _filtered(store.benchmark.read(small.path), whole)
    scored = {method: _scores(store, whole, samples) for method, samples in made.items()}
    return [Enlarged(source=source.name, factor=factor, codec=UNCODED, method=method, metrics=found) for method, found in scored.items()]


def _enlarged(point: Point, whole: Pixels, small: Source, case: _Case, *, store: Store) -> list[Enlarged]:
    data, threads = store.data(point, small), point.work.threads
    made = _filtered(store.benchmark.codecs[point.codec].decode(data, threads), whole)
    if point.codec == i2c.PICTURE.name:
        made = {FIELD: i2c.decode_picture(data, threads, scale=case.factor), **made}
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


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Who wins in one measure at one factor, by means over pictures and qualities.

    Args:
        factor, measure: of what.
        winner: codec and method of the greatest mean; the field among them.
        means: by codec and method, "uncoded" left out.
        won: cases (a picture at a quality) in which the field is the best of all.
        cases: how many there are.
    """

    factor: int
    measure: str
    winner: Way
    means: Mapping[Way, float]
    won: int
    cases: int

    def best(self, codec: bool) -> float | None:
        """The best mean of the filters on i2c's own decoded picture, or of the peers."""
        own = [mean for (name, method), mean in self.means.items() if method != FIELD and (name == i2c.PICTURE.name) is codec]
        return max(own, default=None)


def verdicts(rows: Sequence[Enlarged]) -> list[Verdict]:
    """One for each factor and measure. Cases in which something failed count for nobody, so that all means are over the same ones."""
    found = []
    for factor in dict.fromkeys(row.factor for row in rows):
        cases = _cases([row for row in rows if row.factor == factor])
        found += [verdict for measure in MEASURES if (verdict := _verdict(factor, measure, cases)) is not None]
    return found


def _cases(rows: Sequence[Enlarged]) -> list[dict[Way, Enlarged]]:
    """By picture and quality what each way gave, for those that all ways have."""
    cases: dict[tuple[str, float | None], dict[Way, Enlarged]] = {}
    for row in rows:
        if row.codec != UNCODED:
            cases.setdefault((row.source, row.case), {})[row.codec, row.method] = row
    most = max((len(case) for case in cases.values()), default=0)
    return [case for case in cases.values() if len(case) == most]


def _verdict(factor: int, measure: str, cases: Sequence[Mapping[Way, Enlarged]]) -> Verdict | None:
    values = [{way: row.metrics.get(measure) for way, row in case.items()} for case in cases]
    known = [{way: value for way, value in case.items() if value is not None} for case in values]
    known = [case for case, whole in zip(known, values, strict=True) if len(case) == len(whole)]
    if not known:
        return None
    means = {way: sum(case[way] for case in known) / len(known) for way in known[0]}
    won = sum(max(case, key=lambda way: case[way]) == (i2c.PICTURE.name, FIELD) for case in known)
    return Verdict(factor=factor, measure=measure, winner=max(means, key=lambda way: means[way]), means=means, won=won, cases=len(known))


def verdict_table(found: Sequence[Verdict]) -> str:
    """A line for each factor and measure."""
    lines = []
    for verdict in found:
        field = verdict.means.get((i2c.PICTURE.name, FIELD))
        values = [number(value, MEASURES[verdict.measure].digits) for value in (field, verdict.best(True), verdict.best(False))]
        cells = [" by ".join(verdict.winner), *values, f"{verdict.won} of {verdict.cases}"]
        lines.append([f"{verdict.factor}x", MEASURES[verdict.measure].title, *cells])
    return markdown_table(["reduced", "measure", "winner", "i2c by its field", "i2c, best filter", "peers, best", "cases won by the field"], lines)


def factor_table(rows: Sequence[Enlarged], factor: int) -> str:
    """Means over pictures and qualities of every codec and method; the best coded one of each measure in bold."""
    mine = [row for row in rows if row.factor == factor]
    cases = _cases(mine)
    ways = {way: [case[way] for case in cases] for way in (cases or [{}])[0]}
    sources = {row.source for case in cases for row in case.values()}
    for row in mine:
        if row.codec == UNCODED and row.source in sources:  # so that all means are over the same pictures
            ways.setdefault((row.codec, row.method), []).append(row)
    means = {way: {name: mean_of_known([row.metrics.get(name) for row in group]) for name in MEASURES} for way, group in ways.items()}
    tops = {name: max((mean[name] or 0.0 for (codec, _), mean in means.items() if codec != UNCODED), default=0.0) for name in MEASURES}
    lines = []
    for (codec, method), group in ways.items():
        cells = [_bold(means[codec, method][name], MEASURES[name].digits, tops[name]) for name in MEASURES]
        lines.append([codec, method, number(mean_of_known([row.bytes for row in group]), 0), *cells])
    return markdown_table(["codec", "enlarged by", "bytes", *(metric.title for metric in MEASURES.values())], lines)


def pictures_table(rows: Sequence[Enlarged]) -> str:
    """A line for each picture, factor and quality: who is best in PSNR, and by how much the field is ahead of the best other way."""
    lines = []
    for factor in dict.fromkeys(row.factor for row in rows):
        for case in _cases([row for row in rows if row.factor == factor]):
            found = [verdict for name in MEASURES if (verdict := _verdict(factor, name, [case])) is not None]
            first = next(iter(case.values()))
            ahead = [number(_ahead(verdict), MEASURES[verdict.measure].digits, sign=True) for verdict in found]
            lines.append(
                [
                    first.source,
                    f"{factor}x",
                    "-" if first.case is None else f"{first.case:g}",
                    *(" by ".join(verdict.winner) for verdict in found),
                    *ahead,
                ]
            )
    names = [metric.title.split(" ")[0] for metric in MEASURES.values()]
    head = ["source", "reduced", "i2c quality", *(f"best {name}" for name in names), *(f"field ahead, {name}" for name in names)]
    return markdown_table(head, lines)


def _ahead(verdict: Verdict) -> float | None:
    others = [mean for way, mean in verdict.means.items() if way != (i2c.PICTURE.name, FIELD)]
    own = verdict.means.get((i2c.PICTURE.name, FIELD))
    ahead = math.nan if own is None or not others else own - max(others)
    return ahead if math.isfinite(ahead) else None  # both equal to the source: inf - inf


def markdown(rows: Sequence[Enlarged], failed: Mapping[str, I2Error], meta: Mapping[str, object]) -> str:
    """All tables, with where they come from."""
    names = ", ".join(dict.fromkeys(row.source for row in rows))
    factors = dict.fromkeys(row.factor for row in rows)
    parts = [
        f"# i2c bench scale\n\n{made_by(meta)}\n\nSources: {names}. Peers at most as large as i2c's file, or at their smallest.\n",
        f"## Who wins\n\nMeans over pictures and qualities.\n\n{verdict_table(verdicts(rows))}",
        *(f"## Reduced {factor}x, coded, enlarged {factor}x\n\n{factor_table(rows, factor)}" for factor in factors),
        f"## Every picture\n\n{pictures_table(rows)}",
        "## Failed\n\n" + named_list(failed) + "\n" if failed else "",
    ]
    return "\n".join(part for part in parts if part)


def write_all(rows: Sequence[Enlarged], failed: Mapping[str, I2Error], folder: Path) -> list[Path]:
    """Writes `scale.md`, `scale.json` and `scale.csv`; returns their paths."""
    meta = metadata()
    names = ("source", "factor", "codec", "method", "bytes", "case", "quality")
    table = [{**{name: getattr(row, name) for name in names}, **{name: row.metrics.get(name) for name in MEASURES}} for row in rows]
    found = [
        {**asdict(verdict), "means": [{"codec": codec, "method": method, "mean": mean} for (codec, method), mean in verdict.means.items()]}
        for verdict in verdicts(rows)
    ]
    reasons = {name: str(error) for name, error in failed.items()}
    record = {"meta": meta, "verdicts": found, "rows": [asdict(row) for row in rows], "failed": reasons}
    return [
        write_file(folder / "scale.md", markdown(rows, failed, meta)),
        write_file(folder / "scale.json", to_json(record)),
        write_file(folder / "scale.csv", csv_text(table)),
    ]


def _bold(value: float | None, digits: int, top: float) -> str:
    return f"**{number(value, digits)}**" if value == top else number(value, digits)
