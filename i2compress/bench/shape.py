"""The benchmark of shapes: real bytes against how far the decoded surface is from the source, beside Draco and Draco on decimated meshes.

Draco keeps the triangles that it is given, so at low rates the fair anchor gives it fewer: quadric decimation (Garland and Heckbert 1997) by
fast-simplification before it.
"""

import csv
import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from ..arrays import Float64Array, Int64Array
from ..codec import I2File, encode
from ..config import EncodeSettings, View
from ..errors import SignalError, UsageError
from ..media import open_source, open_writer
from ..media.shape.measures import surface_figures
from ..media.shape.source import MeshSource
from . import provenance, surface_plots

DRACO_BITS = (7, 8, 9, 10, 11, 12, 14)
DRACO_LEVEL = 10
KEPT_SHARES = (0.5, 0.25, 0.12, 0.06)  # of the triangles
KEPT_BITS = (8, 9, 10, 11)
TARGET_BITS = (8, 9, 10)  # of Draco, whose Chamfer distances the others are asked for
CODECS = ("i2c", "draco", "draco-decimated")
FINER = 2  # i2c's surface is taken from a grid so many times finer than the file's
FIGURES = ("chamfer", "chamfer_l2", "hausdorff", "f_score", "normals", "iou")


class Surface(NamedTuple):
    """Vertices `[V, 3]` and triangles `[F, 3]`."""

    vertices: Float64Array
    faces: Int64Array


@dataclass(frozen=True, kw_only=True)
class ShapePoint:
    """One coded mesh.

    Args:
        source, codec, setting: what was coded, and how.
        count: bytes of the file.
        figures: see metrics.FIGURES.
        encoding_time, decoding_time: seconds.
        surface: what came back.
    """

    source: str
    codec: str
    setting: str
    count: int
    figures: dict[str, float]
    encoding_time: float
    decoding_time: float
    surface: Surface


def bench(
    paths: Sequence[str], codecs: Sequence[str], qualities: Sequence[float], settings: EncodeSettings, told: Callable[[str], None]
) -> list[ShapePoint]:
    """Every point of every mesh; `told` of each as it is there. Raises SignalError and UsageError."""
    _check(codecs)
    points = []
    for path in paths:
        with open_source(path) as opened:
            source = opened.source
            if not isinstance(source, MeshSource):
                raise SignalError(f"{path} is no mesh; give PLY, OBJ, STL, OFF or GLB")
            for coded in _coded(source, Path(path).name, codecs, qualities, settings):
                points.append(coded)
                told(f"{coded.source} {coded.codec} {coded.setting}: {coded.count} bytes, {coded.figures['chamfer']:.0f} ppm")
    return points


def _check(codecs: Sequence[str]) -> None:
    unknown = [name for name in codecs if name not in CODECS]
    if unknown:
        raise UsageError(f"codec is {unknown[0]!r}; expected some of {', '.join(CODECS)}")
    needed = {"draco": "DracoPy", "draco-decimated": "fast_simplification"}
    for name in codecs:
        if name in needed and not (find_spec("DracoPy") and find_spec(needed[name])):
            raise UsageError(
                f'{name} needs DracoPy and fast-simplification; install them with: pip install "i2compress[bench]", or leave it out of --codecs'
            )


def _coded(source: MeshSource, name: str, codecs: Sequence[str], qualities: Sequence[float], settings: EncodeSettings) -> Iterator[ShapePoint]:
    whole = Surface(source.solid.given[0], source.solid.given[1])
    made: list[tuple[str, str, Callable[[], tuple[bytes, Callable[[], Surface]]]]] = []
    if "i2c" in codecs:
        made += [("i2c", f"q{quality:g}", lambda q=quality: _i2c(source, replace(settings, quality=q))) for quality in qualities]  # type: ignore[misc]
    if "draco" in codecs:
        made += [("draco", f"q{bits}", lambda b=bits: _draco(whole, b)) for bits in DRACO_BITS]  # type: ignore[misc]
    if "draco-decimated" in codecs:
        pairs = [(share, bits) for share in KEPT_SHARES for bits in KEPT_BITS]
        made += [("draco-decimated", f"{s:g} q{b}", lambda s=s, b=b: _draco(_decimated(whole, s), b)) for s, b in pairs]  # type: ignore[misc]
    for codec, setting, work in made:
        start = perf_counter()
        data, decode = work()
        middle = perf_counter()
        surface = decode()
        stop = perf_counter()
        figures = surface_figures(source.solid, *surface)
        yield ShapePoint(
            source=name,
            codec=codec,
            setting=setting,
            count=len(data),
            figures=figures,
            encoding_time=middle - start,
            decoding_time=stop - middle,
            surface=surface,
        )


def _i2c(source: MeshSource, settings: EncodeSettings) -> tuple[bytes, Callable[[], Surface]]:
    data = encode(source, settings).data

    def decode() -> Surface:
        content = I2File.from_bytes(data, threads=settings.threads)
        view, file = View(resolution=FINER * max(content.layout.grid)), io.BytesIO()
        with open_writer(file, content.output(view), format="ply") as sink:
            for block in content.blocks(view):
                sink.write(block)
        with open_source(file.getvalue()) as opened:
            assert isinstance(opened.source, MeshSource)
            return Surface(*opened.source.solid.given)

    return data, decode


def _draco(mesh: Surface, bits: int) -> tuple[bytes, Callable[[], Surface]]:
    import DracoPy

    data = DracoPy.encode(mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32), quantization_bits=bits, compression_level=DRACO_LEVEL)

    def decode() -> Surface:
        found = DracoPy.decode(data)
        return Surface(np.asarray(found.points, np.float64), np.asarray(found.faces, np.int64))

    return data, decode


def _decimated(mesh: Surface, share: float) -> Surface:
    import fast_simplification

    vertices, faces = fast_simplification.simplify(mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32), target_reduction=1 - share)
    return Surface(np.asarray(vertices, np.float64), np.asarray(faces, np.int64))


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
    rows.writerow(["source", "codec", "setting", "bytes", *FIGURES, "encoding_time", "decoding_time"])
    for p in points:
        figures = [f"{p.figures[name]:.2f}" if name in p.figures else "" for name in FIGURES]
        rows.writerow([p.source, p.codec, p.setting, p.count, *figures, f"{p.encoding_time:.2f}", f"{p.decoding_time:.2f}"])
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
    lines += ["", "| mesh | codec | setting | bytes | Chamfer-L1 | L2 | Hausdorff | F-score | normals | IoU | encode s | decode s |"]
    lines += ["|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"]
    for p in points:
        figures = " | ".join(f"{p.figures.get(name, math.nan):.{0 if name in FIGURES[:3] else 1}f}" for name in FIGURES)
        lines.append(f"| {p.source} | {p.codec} | {p.setting} | {p.count} | {figures} | {p.encoding_time:.1f} | {p.decoding_time:.1f} |")
    return "\n".join(lines) + "\n"


def _whole(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _ratio(value: float | None, other: float | None) -> str:
    return "-" if value is None or other is None else f"{value / other:.2f}"
