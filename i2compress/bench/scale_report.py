"""What i2c bench scale says: who wins, means over pictures, and every picture."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import I2Error
from . import plain
from .fitted import I2C
from .origin import metadata
from .results import number, table, where, write
from .scale import FIELD, MEASURES, UNCODED, Enlarged

DIGITS = dict(zip(MEASURES, (2, 4), strict=True))
TITLES = dict(zip(MEASURES, ("PSNR RGB [dB]", "SSIM RGB"), strict=True))

Way = tuple[str, str]  # codec and method


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
        own = [mean for (name, method), mean in self.means.items() if method != FIELD and (name == I2C.name) is codec]
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
    won = sum(max(case, key=lambda way: case[way]) == (I2C.name, FIELD) for case in known)
    return Verdict(factor=factor, measure=measure, winner=max(means, key=lambda way: means[way]), means=means, won=won, cases=len(known))


def verdict_table(found: Sequence[Verdict]) -> str:
    """A line for each factor and measure."""
    lines = []
    for verdict in found:
        field = verdict.means.get((I2C.name, FIELD))
        values = [number(value, DIGITS[verdict.measure]) for value in (field, verdict.best(True), verdict.best(False))]
        cells = [" by ".join(verdict.winner), *values, f"{verdict.won} of {verdict.cases}"]
        lines.append([f"{verdict.factor}x", TITLES[verdict.measure], *cells])
    return table(["reduced", "measure", "winner", "i2c by its field", "i2c, best filter", "peers, best", "cases won by the field"], lines)


def factor_table(rows: Sequence[Enlarged], factor: int) -> str:
    """Means over pictures and qualities of every codec and method; the best coded one of each measure in bold."""
    mine = [row for row in rows if row.factor == factor]
    cases = _cases(mine)
    ways = {way: [case[way] for case in cases] for way in (cases or [{}])[0]}
    sources = {row.source for case in cases for row in case.values()}
    for row in mine:
        if row.codec == UNCODED and row.source in sources:  # so that all means are over the same pictures
            ways.setdefault((row.codec, row.method), []).append(row)
    means = {way: {name: _mean([row.metrics.get(name) for row in group]) for name in MEASURES} for way, group in ways.items()}
    tops = {name: max((mean[name] or 0.0 for (codec, _), mean in means.items() if codec != UNCODED), default=0.0) for name in MEASURES}
    lines = []
    for (codec, method), group in ways.items():
        cells = [_bold(means[codec, method][name], DIGITS[name], tops[name]) for name in MEASURES]
        lines.append([codec, method, number(_mean([row.bytes for row in group]), 0), *cells])
    return table(["codec", "enlarged by", "bytes", *TITLES.values()], lines)


def pictures_table(rows: Sequence[Enlarged]) -> str:
    """A line for each picture, factor and quality: who is best in PSNR, and by how much the field is ahead of the best other way."""
    lines = []
    for factor in dict.fromkeys(row.factor for row in rows):
        for case in _cases([row for row in rows if row.factor == factor]):
            found = [verdict for name in MEASURES if (verdict := _verdict(factor, name, [case])) is not None]
            first = next(iter(case.values()))
            ahead = [number(_ahead(verdict), DIGITS[verdict.measure], sign=True) for verdict in found]
            lines.append(
                [
                    first.source,
                    f"{factor}x",
                    "-" if first.case is None else f"{first.case:g}",
                    *(" by ".join(verdict.winner) for verdict in found),
                    *ahead,
                ]
            )
    names = [name.split(" ")[0] for name in TITLES.values()]
    return table(["source", "reduced", "i2c quality", *(f"best {name}" for name in names), *(f"field ahead, {name}" for name in names)], lines)


def _ahead(verdict: Verdict) -> float | None:
    others = [mean for way, mean in verdict.means.items() if way != (I2C.name, FIELD)]
    own = verdict.means.get((I2C.name, FIELD))
    ahead = math.nan if own is None or not others else own - max(others)
    return ahead if math.isfinite(ahead) else None  # both equal to the source: inf - inf


def markdown(rows: Sequence[Enlarged], failed: Mapping[str, I2Error], meta: Mapping[str, object]) -> str:
    """All tables, with where they come from."""
    names = ", ".join(dict.fromkeys(row.source for row in rows))
    factors = dict.fromkeys(row.factor for row in rows)
    parts = [
        f"# i2c bench scale\n\n{where(meta)}\n\nSources: {names}. Peers at most as large as i2c's file, or at their smallest.\n",
        f"## Who wins\n\nMeans over pictures and qualities.\n\n{verdict_table(verdicts(rows))}",
        *(f"## Reduced {factor}x, coded, enlarged {factor}x\n\n{factor_table(rows, factor)}" for factor in factors),
        f"## Every picture\n\n{pictures_table(rows)}",
        "## Failed\n\n" + "".join(f"- **{name}**: {error}\n" for name, error in failed.items()) if failed else "",
    ]
    return "\n".join(part for part in parts if part)


def write_all(rows: Sequence[Enlarged], failed: Mapping[str, I2Error], folder: Path) -> list[Path]:
    """Writes `scale.md`, `scale.json` and `scale.csv`; returns their paths."""
    text, meta = io.StringIO(), metadata()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(["source", "factor", "codec", "method", "bytes", "case", "quality", *MEASURES])
    for row in rows:
        out.writerow([row.source, row.factor, row.codec, row.method, row.bytes, row.case, row.quality, *(row.metrics.get(name) for name in MEASURES)])
    found = [
        {**asdict(verdict), "means": [{"codec": codec, "method": method, "mean": mean} for (codec, method), mean in verdict.means.items()]}
        for verdict in verdicts(rows)
    ]
    reasons = {name: str(error) for name, error in failed.items()}
    record = {"meta": meta, "verdicts": found, "rows": [asdict(row) for row in rows], "failed": reasons}
    return [
        write(folder / "scale.md", markdown(rows, failed, meta).encode()),
        write(folder / "scale.json", plain.dumps(record).encode()),
        write(folder / "scale.csv", text.getvalue().encode()),
    ]


def _bold(value: float | None, digits: int, top: float) -> str:
    return f"**{number(value, digits)}**" if value == top else number(value, digits)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
