"""Every picture that is drawn, as PNG, by matplotlib: curves over the rate, times and spectrograms."""

import io
import math
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrays import Float32Array
from .benchmark import Benchmark, Metric, Point
from .results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colours that stay apart for colour-blind readers (Okabe and Ito 2008); a codec has its own, whatever else is in the plot.
_COLOURS = ("#d55e00", "#0072b2", "#56b4e9", "#009e73", "#cc79a7", "#000000", "#e69f00", "#999999")
_MARKERS = "oshvD^PX"
_PANELS_A_ROW = 3
_PALETTE = 128  # colours of a spectrogram's file: half the bytes of true colour, and no plainer


def available() -> bool:
    """True where matplotlib is installed."""
    return find_spec("matplotlib") is not None


def curves(results: Results) -> dict[str, bytes]:
    """PNG files by name: a curve for each metric and one of times; none where matplotlib is not installed."""
    if not available() or not any(results.curves.values()):
        return {}
    means = [mean for codec in results.curves.values() for mean in codec]
    known = [metric for metric in results.metrics if any(mean.metrics.get(metric.name) is not None for mean in means)]
    return {**{f"{metric.name}.png": _metric_plot(results, metric) for metric in known}, "times.png": _times_plot(results)}


def _metric_plot(results: Results, metric: Metric) -> bytes:
    figure, axes = _rate_axes(results)
    for codec, means in results.curves.items():
        known = [(mean.bpp / results.benchmark.rate.unit, value) for mean in means if (value := mean.metrics.get(metric.name)) is not None]
        axes.plot([rate for rate, _ in known], [value for _, value in known], label=codec, **_style(results.benchmark, codec))
    axes.set_ylabel(metric.title)
    axes.legend(frameon=False)
    return to_png(figure)


def _times_plot(results: Results) -> bytes:
    figure, axes = _rate_axes(results)
    for codec, means in results.curves.items():
        style, rates = _style(results.benchmark, codec), [mean.bpp / results.benchmark.rate.unit for mean in means]
        axes.plot(rates, [mean.encoding_time for mean in means], label=codec, **style)
        axes.plot(rates, [mean.decoding_time for mean in means], linestyle=":", **style)
    axes.set_yscale("log")
    axes.set_ylabel("seconds (encode solid, decode dotted)")
    axes.legend(frameon=False)
    return to_png(figure)


def _rate_axes(results: Results) -> "tuple[Figure, Axes]":
    """A plot over the rate, with its title."""
    figure = new_figure(7.0, 4.6, dpi=130)
    axes = figure.add_subplot()
    _over_rate(axes, results.benchmark)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    names = results.sources
    axes.set_title(names[0] if len(names) == 1 else f"mean over {len(names)} sources", fontsize="medium")
    return figure, axes


def _over_rate(axes: "Axes", benchmark: Benchmark) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(lambda x, _: f"{x:g}" if f"{x:.0e}"[0] in "25" else "")
    axes.set_xlabel(benchmark.rate.axis)


def _style(benchmark: Benchmark, codec: str) -> dict[str, Any]:
    index = list(benchmark.codecs).index(codec)
    own = benchmark.codecs[codec].fitted
    turn, place = divmod(index, len(_COLOURS))  # where there are more codecs than colours, the next ones have other markers, and hollow ones
    marker, filled = _MARKERS[(place + turn) % len(_MARKERS)], "none" if turn % 2 else "full"
    look = {"color": _COLOURS[place], "marker": marker, "fillstyle": filled, "markersize": 5.0}
    return {**look, "linewidth": 2.6 if own else 1.3, "zorder": 3.0 if own else 2.0}


def curves_of_sources(points: Sequence[Point], benchmark: Benchmark) -> bytes:
    """PNG of the first metric over the rate, a panel for each source."""
    metric, rate = next(iter(benchmark.metrics.values())), benchmark.rate
    sources, codecs = (list(dict.fromkeys(names)) for names in ([point.source for point in points], [point.codec for point in points]))
    columns = min(_PANELS_A_ROW, len(sources))
    rows = -(-len(sources) // columns)
    figure = new_figure(4.7 * columns, 4 * rows, dpi=80)
    panels = figure.subplots(rows, columns, squeeze=False)
    for source, panel in zip(sources, panels.ravel(), strict=False):
        for codec in codecs:
            mine = [(point.bpp, point.metrics.get(metric.name)) for point in points if (point.source, point.codec) == (source, codec)]
            pairs = sorted((bits / rate.unit, value) for bits, value in mine if value is not None and math.isfinite(value))
            if len(pairs) > 1:
                panel.plot(*zip(*pairs, strict=True), label=codec, **_style(benchmark, codec))
        _over_rate(panel, benchmark)
        panel.set(title=source, ylabel=metric.title)
        panel.grid(alpha=0.3)
    for panel in panels.ravel()[len(sources) :]:
        panel.set_axis_off()
    if panels[0, 0].lines:
        panels[0, 0].legend()
    return to_png(figure)


def spectrograms(panels: Sequence[tuple[str, Float32Array]], *, seconds: float, rate: int, floor: float) -> bytes:
    """PNG of titled spectrograms, one below the other, in dB under the loudest place of the first.

    Args:
        panels: titles and powers `[bins, frames]` of sounds of one length and rate.
        seconds, rate: of all of them; the rate in Hz.
        floor: dB, below zero: what is quieter is drawn as this.
    """
    from PIL import Image

    figure = new_figure(8.0, 0.6 + 1.7 * len(panels), dpi=80)
    loudest = float(panels[0][1].max()) + 1e-30
    extent = (0.0, seconds, 0.0, rate / 2000)
    rows = figure.subplots(len(panels), sharex=True, sharey=True, squeeze=False).ravel()
    for axes, (title, power) in zip(rows, panels, strict=True):
        levels = 10 * np.log10(np.maximum(power / loudest, 10 ** (floor / 10)))
        image = axes.imshow(levels, origin="lower", aspect="auto", extent=extent, vmin=floor, vmax=0, cmap="magma", interpolation="antialiased")
        axes.set_title(title, fontsize="medium")
        axes.set_ylabel("kHz")
    rows[-1].set_xlabel("seconds")
    figure.colorbar(image, ax=list(rows), label="dB")
    picture = io.BytesIO()
    Image.open(io.BytesIO(to_png(figure))).convert("RGB").quantize(_PALETTE).save(picture, "PNG", optimize=True)
    return picture.getvalue()


def new_figure(width: float, height: float, *, dpi: int) -> "Figure":
    """A figure of so many inches, made without pyplot, which would look for a screen and keep state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=dpi, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def to_png(figure: "Figure") -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()
