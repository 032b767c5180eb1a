"""Tables, plots and JSON of the experiments, and what they say about the three claims."""

import io
import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ..bench.provenance import metadata
from .cost import Memory, Speed
from .runs import Done
from .train import EXPLICIT, IMPLICIT, ONE_PASS, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NETWORK_COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7")
_WAYS = {"implicit": "#0072b2", "unrolled": "#d55e00", "explicit": "#000000"}
_LINES = {IMPLICIT: "-", EXPLICIT: "--", ONE_PASS: ":"}
_DPI = 110

Cells = list[list[str]]


def rows_table(done: Done, *, unit: str) -> Cells:
    """Headings and one row for each network."""
    tests = sorted({name for row in done.rows for name in row.tests})
    head = ["signal", "network", "parameters", f"train {unit}", *(f"{name} {unit}" for name in tests)]
    cells = [[*head, "ms a step", "seconds", "forward its.", "its. to solve", "not solved", "saved MB"]]
    for row in done.rows:
        quality = [_number(row.quality), *(_number(row.tests.get(name, math.nan)) for name in tests)]
        solved = (str(row.solved_iterations), f"{100 * row.failed:.1f} %") if row.implicit else ("-", "-")
        cost = [f"{1e3 * row.step_seconds:.1f}", f"{row.seconds:.1f}", f"{row.forward_iterations:.1f}", *solved, f"{row.saved_bytes / 1e6:.1f}"]
        cells.append([row.signal, row.name, str(row.parameters), *quality, *cost])
    return cells


def pairs_table(done: Done, *, unit: str) -> Cells:
    """Implicit beside its explicit twin: quality at equal size, and seconds until both have what the worse one ends with."""
    head = ["signal", "network", f"implicit {unit}", "twin", f"twin's {unit}", "difference", "ms a step, ratio"]
    cells = [[*head, "s to the lower end", "twin's", "ratio"]]
    for implicit, explicit in pairs(done.rows):
        goal = min(implicit.step_quality, explicit.step_quality) - 0.1
        ours, theirs = reached(implicit, goal), reached(explicit, goal)
        mean = [sum(row.tests.values()) / len(row.tests) if row.tests else row.quality for row in (implicit, explicit)]
        ratio = implicit.step_seconds / explicit.step_seconds if explicit.step_seconds else math.nan
        times = [_number(ours, 1), _number(theirs, 1), _number(ours / theirs if ours and theirs else math.nan)]
        name = f"{implicit.kind} {implicit.network}"
        cells.append([implicit.signal, name, _number(mean[0]), explicit.way, _number(mean[1]), f"{mean[0] - mean[1]:+.2f}", _number(ratio), *times])
    return cells


def pairs(rows: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Implicit rows with each of their explicit twins."""
    implicit = {(row.signal, row.kind, row.network): row for row in rows if row.implicit}
    found = [(implicit.get((row.signal, row.kind, row.network)), row) for row in rows if not row.implicit]
    return [(row, twin) for row, twin in found if row is not None]


def reached(row: Row, goal: float) -> float:
    """Seconds, at the median step, until the training steps' own output first has that many dB; nan where it never has."""
    return next((step * row.step_seconds for step, _, quality in row.curve if quality >= goal), math.nan)


def memory_table(found: Sequence[Memory]) -> Cells:
    """Megabytes above the start, by iterations or layers."""
    cells = [["way", "iterations or layers", "MB of a step", "to the least of its way"]]
    least = {way: min(m.bytes for m in found if m.way == way) for way in dict.fromkeys(m.way for m in found)}
    return cells + [[m.way, str(m.count), f"{m.bytes / 1e6:.1f}", f"{m.bytes / max(least[m.way], 1):.2f}"] for m in found]


def speed_table(found: Sequence[Speed]) -> Cells:
    """Milliseconds of a step and their ratio to the explicit layer's."""
    return [["kind", "way", "ms a step", "to explicit"], *([s.kind, s.way, f"{1e3 * s.seconds:.1f}", f"{s.ratio:.2f}"] for s in found)]


def markdown(cells: Cells) -> str:
    """A table in Markdown."""
    rule = "|" + "|".join("---:" if _numeric(cells, i) else "---" for i in range(len(cells[0]))) + "|"
    lines = ["| " + " | ".join(row) + " |" for row in cells]
    return "\n".join([lines[0], rule, *lines[1:]]) + "\n"


def write(folder: Path, name: str, preset: str, tables: dict[str, Cells], data: dict[str, object], plots: dict[str, bytes]) -> list[Path]:
    """NAME.json, NAME.md and the plots into a folder, which is made if need be; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, bytes] = {f"{name}-{plot}.png": image for plot, image in plots.items()}
    files[f"{name}.md"] = "\n".join(f"{title}\n\n{markdown(cells)}" for title, cells in tables.items()).encode()
    record = {"experiment": name, "preset": preset, **metadata(), **data}
    files[f"{name}.json"] = dumped(record).encode()
    for file, content in files.items():
        (folder / file).write_bytes(content)
    return [folder / file for file in files]


def dumped(record: dict[str, object]) -> str:
    """JSON in lines, lists of numbers in one."""
    text = json.dumps(_plain(record), indent=1, allow_nan=False) + "\n"
    return re.sub(r"\[[-+.,\seE0-9null]+?\]", lambda match: re.sub(r"\s+", " ", match[0]), text)


def data_of(done: Done) -> dict[str, object]:
    """Rows as JSON holds them."""
    return {"signals": done.notes, "rows": [asdict(row) for row in done.rows]}


def curves(done: Done, *, unit: str) -> dict[str, bytes]:
    """For each signal quality against steps and against seconds, a column a kind; none where matplotlib is not installed."""
    made = {}
    for signal in dict.fromkeys(row.signal for row in done.rows):
        rows = [row for row in done.rows if row.signal == signal]
        kinds = list(dict.fromkeys(row.kind for row in rows))
        figure = _figure(1.2 + 3.2 * len(kinds), 5.6)
        if figure is None:
            return {}
        grid = figure.subplots(2, len(kinds), sharey="col", squeeze=False)
        for column, kind in zip(grid.T, kinds, strict=True):
            column[0].set_title(kind, fontsize="medium")
            for axes, x, label in zip(column, (0, 1), ("steps", "seconds of training"), strict=True):
                _lines(axes, [row for row in rows if row.kind == kind], x)
                axes.set_xlabel(label)
            column[1].legend(frameon=False, fontsize="x-small")
        for axes in grid[:, 0]:
            axes.set_ylabel(f"{'test' if any(row.test_curve for row in rows) else 'training'} {unit}")
        figure.suptitle(f"{signal}: implicit (solid), explicit (dashed) and one-pass (dotted) networks", fontsize="medium")
        made[signal] = _png(figure)
    return made


def _lines(axes: "Axes", rows: list[Row], x: int) -> None:
    networks = list(dict.fromkeys(row.network for row in rows))
    ends = []
    for row in rows:
        curve = row.test_curve or row.curve
        ends += [point[2] for point in curve[len(curve) // 20 :] if math.isfinite(point[2])]
        colour = _NETWORK_COLOURS[networks.index(row.network) % len(_NETWORK_COLOURS)]
        label = f"{row.way} {row.network}"
        axes.plot([point[x] for point in curve], [point[2] for point in curve], color=colour, linestyle=_LINES[row.way], linewidth=1.3, label=label)
    if ends:  # the first steps are far below, and would press everything else together
        axes.set_ylim(bottom=max(min(ends), sorted(ends)[len(ends) // 2] - 15))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def memory_plot(found: Sequence[Memory]) -> dict[str, bytes]:
    """Memory against iterations, applications and layers; none where matplotlib is not installed."""
    figure = _figure(6.5, 4.0)
    if figure is None:
        return {}
    axes = figure.add_subplot()
    names = {"implicit": "implicit, solver iterations", "unrolled": "unrolled, applications", "explicit": "explicit, layers"}
    for way, name in names.items():
        line = [(m.count, m.bytes / 1e6) for m in found if m.way == way]
        axes.plot([x for x, _ in line], [y for _, y in line], "o-", color=_WAYS[way], label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("iterations or layers")
    axes.set_ylabel("MB of a training step")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return {"memory": _png(figure)}


def _figure(width: float, height: float) -> "Figure | None":
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return None
    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _png(figure: "Figure") -> bytes:
    """The picture with 64 colours, a third of the bytes and to the eye the same."""
    from PIL import Image

    drawn, file = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    Image.open(drawn).convert("RGB").quantize(64).save(file, "png", optimize=True)
    return file.getvalue()


def _number(value: float, digits: int = 2) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def _numeric(cells: Cells, column: int) -> bool:
    return all(row[column][:1] in "-+0123456789" for row in cells[1:])


def _plain(value: object) -> object:
    """What JSON can hold: numbers that are not finite become null, long ones lose digits that mean nothing."""
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
