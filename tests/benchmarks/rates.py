"""Bytes of each point of a codec against those that an anchor takes for the same quality: python -m tests.benchmarks.rates POINTS.csv [options]

POINTS.csv is what `i2c bench` writes. Between the anchor's points the logarithm of its bytes is linear; beyond them there is nothing to compare with.
"""

import argparse
import csv
from pathlib import Path

import numpy as np


def ratio(points: list[tuple[float, float]], anchor: list[tuple[float, float]]) -> list[float]:
    """Bytes of each point (quality, bytes) over the anchor's at its quality; NaN where the anchor has none."""
    qualities, sizes = np.array(sorted(anchor)).T
    own = np.array(points).T
    return list(own[1] / np.exp(np.interp(own[0], qualities, np.log(sizes), left=np.nan, right=np.nan)))


def main() -> None:
    """A line for each source."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("points", type=Path)
    parser.add_argument("--codec", default="i2c")
    parser.add_argument("--anchor", default="x264")
    parser.add_argument("--metric", default="psnr")
    options = parser.parse_args()
    with options.points.open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = {(row["source"], row["codec"], float(row["quality"])): (float(row[options.metric]), float(row["bytes"])) for row in rows}
    qualities = sorted({quality for _, codec, quality in found if codec == options.codec})
    print("| source |", *(f" q {quality:g} |" for quality in qualities), f"\n|---|{'---:|' * len(qualities)}", sep="")
    for source in dict.fromkeys(row["source"] for row in rows):
        own = [found[source, options.codec, quality] for quality in qualities]
        anchor = [point for (name, codec, _), point in found.items() if (name, codec) == (source, options.anchor)]
        cells = ["-" if np.isnan(value) else f"{100 * (value - 1):+.0f} %" for value in ratio(own, anchor)]
        print(f"| {source} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
