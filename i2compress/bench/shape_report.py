"""What comes out of the benchmark of shapes: bytes at equal distance, tables, curves and renders."""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import provenance, surface_plots
from .shape import ShapePoint
from .shape_codecs import CODECS

TARGET_BITS = (7, 8, 9, 10)  # of Draco, whose Chamfer distances the others are asked for
FIGURES = ("chamfer", "chamfer_l2", "hausdorff", "f_score", "normals", "iou")


def frontier(points: Sequence[ShapePoint]) -> list[ShapePoint]:
    """The points that no other of the same codec beats in both bytes and Chamfer distance, by bytes."""
    ordered, best = [], math.inf
    for point in sorted(points, key=lambda p: (p.count, p.figures["chamfer"])):
        if point.figures["chamfer"] < best:
            ordered.append(point)
            best = point.figures["chamfer"]
    return ordered


def bytes_at(points: Sequence[ShapePoint], chamfer: float) -> float | None:
    """Bytes for a Chamfer distance, linear in the logarithms between points of the frontier; None outside of them."""
    line = frontier(points)
    distances, sizes = ([math.log(value) for value in values] for values in ([p.figures["chamfer"] for p in line], [p.count for p in line]))
    if len(line) < 2 or not distances[-1] <= math.log(chamfer) <= distances[0]:
        return None
    return math.exp(float(np.interp(math.log(chamfer), distances[::-1], sizes[::-1])))


def write_all(points: Sequence[ShapePoint], folder: Path) -> None:
    """points.csv, shape.md, curves and renders."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "points.csv").write_text(_csv(points), encoding="utf-8")
    (folder / "shape.md").write_text(report(points), encoding="utf-8")
    for name, data in surface_plots.pictures(points).items():
        (folder / name).write_bytes(data)


def _csv(points: Sequence[ShapePoint]) -> str:
    file = io.StringIO()
    rows: Any = csv.writer(file, lineterminator="\n")
    rows.writerow(["source", "codec", "setting", "bytes", *FIGURES, "encoding_cpu", "decoding_cpu", "encoding_memory", "decoding_memory"])
    for p in points:
        figures = [f"{p.figures[name]:.2f}" if name in p.figures else "" for name in FIGURES]
        costs = [f"{p.encoding_cpu:.2f}", f"{p.decoding_cpu:.2f}", p.memory, p.decoding_memory]
        rows.writerow([p.source, p.codec, p.setting, p.count, *figures, *costs])
    return file.getvalue()


def report(points: Sequence[ShapePoint]) -> str:
    """Tables in Markdown: bytes at Draco's Chamfer distances, and every point."""
    lines = [f"Made by `{provenance.command()}` on {provenance.machine()}, commit {provenance.commit()}.", ""]
    lines += ["Bytes at equal Chamfer-L1 distance, interpolated between the best points of each codec.", ""]
    lines += [
        "| mesh | Chamfer of Draco | ppm | draco | draco-decimated | i2c | i2c / draco | i2c / decimated |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for source in dict.fromkeys(p.source for p in points):
        by_codec = {codec: [p for p in points if (p.source, p.codec) == (source, codec)] for codec in CODECS}
        for target in (p for p in by_codec["draco"] if p.setting in {f"q{bits}" for bits in TARGET_BITS}):
            chamfer = target.figures["chamfer"]
            decimated, own = (bytes_at(by_codec[codec], chamfer) for codec in ("draco-decimated", "i2c"))
            cells = [
                source,
                target.setting,
                f"{chamfer:.0f}",
                target.count,
                _whole(decimated),
                _whole(own),
                _ratio(own, target.count),
                _ratio(own, decimated),
            ]
            lines.append(f"| {' | '.join(map(str, cells))} |")
    lines += ["", "Seconds are of the processor, all threads added up; MB is by how much the process grew.", ""]
    lines += ["| mesh | codec | setting | bytes | Chamfer-L1 | L2 | Hausdorff | F-score | normals | IoU | encode s | MB | decode s | MB |"]
    lines += ["|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"]
    for p in points:
        figures = " | ".join(f"{p.figures.get(name, math.nan):.{0 if name in FIGURES[:3] else 1}f}" for name in FIGURES)
        costs = f"{p.encoding_cpu:.1f} | {_megabytes(p.memory)} | {p.decoding_cpu:.1f} | {_megabytes(p.decoding_memory)}"
        lines.append(f"| {p.source} | {p.codec} | {p.setting} | {p.count} | {figures} | {costs} |")
    return "\n".join(lines) + "\n"


def _megabytes(count: int | None) -> str:
    return "-" if count is None else f"{count / 1e6:.0f}"


def _whole(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _ratio(value: float | None, other: float | None) -> str:
    return "-" if value is None or other is None else f"{value / other:.2f}"
