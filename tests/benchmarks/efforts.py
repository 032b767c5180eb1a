"""Bytes against seconds: i2c at its efforts beside AVIF at its speeds, as a table, JSON and a plot.

    python -m tests.benchmarks.efforts PICTURE... --out FOLDER [--efforts 1,3,5,6] [--speeds 8,6,4,2,0] [--tune psnr|visual] [--published TABLE]

The bytes are the BD-rate against AVIF at speed 4 with its own tune for the same measure, means over the pictures; the seconds those of the
processor for one encode of one thread, means over pictures and qualities. `--published`: lines of picture, lambda, PSNR and bits a pixel,
tab-separated, of another codec: its BD-rate is drawn as a line, as nothing is known of its seconds here. A run that was interrupted goes
on where it was.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from i2compress.bench.benchmark import Point
from i2compress.bench.codec import Codec, FitOptions, Work
from i2compress.bench.files import make_folder, write_file
from i2compress.bench.image import AVIF_SPEED, IMAGE, avif_at
from i2compress.bench.plots import new_figure, to_png
from i2compress.bench.provenance import metadata
from i2compress.bench.results import against
from i2compress.bench.run import Task, plan, run, sources
from i2compress.bench.store import Store

QUALITIES = (30.0, 50.0, 75.0, 90.0)
MEASURES = {"psnr": ("psnr-rgb", "psnr"), "visual": ("ssimulacra2", "iq")}  # by tune: what is compared, and the tune of AVIF
PUBLISHED = "published"


def named(tune: str, effort: int) -> str:
    """A codec of its own for each effort."""
    return f"i2c -e {effort}" if tune == "visual" else f"i2c --tune {tune} -e {effort}"


def codecs(given: argparse.Namespace, tune: str) -> list[tuple[Codec, FitOptions]]:
    """Everything that is compared, the anchor first."""
    first = avif_at(AVIF_SPEED, tune)
    others = [avif_at(int(speed), tune) for speed in given.speeds.split(",") if int(speed) != AVIF_SPEED]
    own = IMAGE.codecs["i2c" if given.tune == "visual" else f"i2c-{given.tune}"]
    efforts = [int(effort) for effort in given.efforts.split(",")]
    plain = FitOptions(threads=1)
    fits = [(replace(own, name=named(given.tune, effort)), replace(plain, effort=effort)) for effort in efforts]
    return [(first, plain), *((codec, plain) for codec in others), *fits]


def published(path: Path, names: list[str]) -> Iterator[Point]:
    """Points of those pictures that another codec has published."""
    for line in path.read_text(encoding="utf-8").splitlines():
        name, *numbers = line.split("\t")
        if name in names:
            _, psnr, bpp = map(float, numbers)
            yield Point(
                codec=PUBLISHED, source=name, digest="", work=Work(quality=psnr), bytes=0, bpp=bpp, metrics={"psnr-rgb": psnr},
                encoding_time=0, decoding_time=0, encoding_memory=None, decoding_memory=None,
            )  # fmt: skip


def plot(rows: list[dict[str, float | str]], line: float | None, title: str, anchor: str) -> bytes:
    """BD-rate over seconds, a curve for each family of codecs."""
    figure = new_figure(7.0, 4.2, dpi=130)
    axes = figure.add_subplot()
    for family, colour in (("avif", "#009e73"), ("i2c", "#d55e00")):
        own = sorted((float(row["seconds"]), float(row["rate"]), str(row["codec"])) for row in rows if str(row["codec"]).startswith(family))
        axes.plot([x for x, _, _ in own], [y for _, y, _ in own], marker="o", color=colour, label=family)
        for x, y, name in own:
            axes.annotate(" ".join(name.split()[-2:]), (x, y), textcoords="offset points", xytext=(5, 5), fontsize="small")
    if line is not None:
        axes.axhline(line, linestyle=":", color="#000000", label="Cool-chic 5.0, as published")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set(xlabel="seconds of one core for an encode", ylabel=f"bytes at equal {title}\nagainst {anchor} [%]")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return to_png(figure)


def main() -> None:
    """Run it all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--efforts", default="1,3,5,6")
    parser.add_argument("--speeds", default="8,6,4,2,0")
    parser.add_argument("--tune", choices=MEASURES, default="psnr")
    parser.add_argument("--published", type=Path)
    given = parser.parse_args()
    measure, tune = MEASURES[given.tune]
    metric = IMAGE.metrics[measure]
    make_folder(given.out)
    files = sources(given.pictures, IMAGE)
    store = Store(folder=given.out, benchmark=IMAGE, metrics=(metric,))
    tasks: list[Task] = []
    for codec, options in codecs(given, tune):
        tasks += plan(files, [codec], {codec.name: QUALITIES} if codec.fitted else {}, options)
    points, failures = run(
        tasks, store, lambda progress: print(progress.task.codec.name, progress.task.source.name, progress.task.work.quality, flush=True)
    )
    for failure in failures:
        print(failure.task.codec.name, failure.error)
    anchor = tasks[0].codec.name
    if given.published is not None and measure == "psnr-rgb":
        points += published(given.published, [file.name for file in files])
    found = {entry.codec: entry.rate for entry in against(points, anchor, [metric], overlap=IMAGE.least_overlap)}
    found[anchor] = 0.0
    line = found.pop(PUBLISHED, None)
    rows: list[dict[str, float | str]] = [
        {"codec": codec, "rate": round(rate, 2), "seconds": round(fmean(p.encoding_cpu or p.encoding_time for p in points if p.codec == codec), 2)}
        for codec, rate in found.items()
        if rate is not None
    ]
    for row in rows:
        print(f"{row['codec']:24} {row['seconds']:8.1f} s {row['rate']:+7.1f} %")
    print(f"published {line}")
    write_file(given.out / f"efforts-{given.tune}.png", plot(rows, line, metric.title, anchor))
    write_file(given.out / f"efforts-{given.tune}.json", json.dumps({"rows": rows, "published": line, **metadata()}, indent=1, default=str) + "\n")


if __name__ == "__main__":
    main()
