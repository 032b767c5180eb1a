"""Rate-distortion curves and times as PNG, by matplotlib."""

import io
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from .parts import Metric
from .results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Colours that stay apart for colour-blind readers (Okabe and Ito 2008); a codec has its own, whatever else is in the plot.
_COLOURS = ("#d55e00", "#0072b2", "#56b4e9", "#009e73", "#cc79a7", "#000000", "#e69f00", "#999999")
_MARKERS = "oshvD^PX"
_SIZE = (7.0, 4.6)
_DPI = 130


def plots(results: Results) -> dict[str, bytes]:
    """PNG files by name: a curve for each metric and one of encoding times; none where matplotlib is not installed."""
    if find_spec("matplotlib") is None or not any(results.curves.values()):
        return {}
    steps = [step for codec in results.curves.values() for step in codec]
    known = [metric for metric in results.metrics if any(step.metrics.get(metric.name) is not None for step in steps)]
    made = {f"{metric.name}.png": _draw(partial(_curves, results, metric)) for metric in known}
    return {**made, "times.png": _draw(partial(_times, results))}


def _draw(fill: "Callable[[Axes], None]") -> bytes:
    """One figure, made without pyplot, which would look for a screen and keep state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    fill(axes)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _style(results: Results, codec: str) -> dict[str, str | float]:
    index = list(results.modality.codecs).index(codec)
    own = results.modality.codecs[codec].fitted
    style: dict[str, str | float] = {"color": _COLOURS[index % len(_COLOURS)], "marker": _MARKERS[index % len(_MARKERS)], "markersize": 5.0}
    return {**style, "linewidth": 2.6 if own else 1.3, "zorder": 3.0 if own else 2.0}


def _curves(results: Results, metric: Metric, axes: "Axes") -> None:
    for codec, steps in results.curves.items():
        pairs = [(step.bpp / results.modality.rate.unit, value) for step in steps if (value := step.metrics.get(metric.name)) is not None]
        axes.plot([x for x, _ in pairs], [y for _, y in pairs], label=codec, **_style(results, codec))  # type: ignore[arg-type]
    _rate_axis(axes, results)
    axes.set_ylabel(metric.title)
    axes.set_title(_title(results), fontsize="medium")


def _times(results: Results, axes: "Axes") -> None:
    for codec, steps in results.curves.items():
        rates = [step.bpp / results.modality.rate.unit for step in steps]
        axes.plot(rates, [step.encoding_time for step in steps], label=codec, **_style(results, codec))  # type: ignore[arg-type]
        dashed = {**_style(results, codec), "linestyle": ":"}
        axes.plot(rates, [step.decoding_time for step in steps], **dashed)  # type: ignore[arg-type]
    _rate_axis(axes, results)
    axes.set_yscale("log")
    axes.set_ylabel("seconds (encode solid, decode dotted)")
    axes.set_title(_title(results), fontsize="medium")


def _rate_axis(axes: "Axes", results: Results) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(lambda x, _: f"{x:g}" if f"{x:.0e}"[0] in "25" else "")
    axes.set_xlabel(results.modality.rate.axis)


def _title(results: Results) -> str:
    names = results.sources
    return names[0] if len(names) == 1 else f"mean over {len(names)} sources"
