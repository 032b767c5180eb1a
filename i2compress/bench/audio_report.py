"""What the benchmark of sound shows besides the curves of means: SNR over the rate, a panel for each clip."""

import io
import math
from collections.abc import Sequence

from .audio import SNR
from .parts import Point

_COLUMNS = 3


def curves(points: Sequence[Point]) -> dict[str, bytes]:
    """curves.png."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    sources, codecs = (list(dict.fromkeys(names)) for names in ([point.source for point in points], [point.codec for point in points]))
    columns = min(_COLUMNS, len(sources))
    rows = -(-len(sources) // columns)
    figure = Figure(figsize=(4.7 * columns, 4 * rows), dpi=80, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False)
    for source, panel in zip(sources, panels.ravel(), strict=False):
        for index, codec in enumerate(codecs):
            pairs = _pairs(points, source, codec)
            if len(pairs) > 1:
                panel.plot([rate / 1000 for rate, _ in pairs], [value for _, value in pairs], "o-", color=f"C{index}", label=codec)
        panel.set(title=source, xlabel="kbps", ylabel="SNR [dB]", xscale="log")
        panel.grid(alpha=0.3)
    if panels[0, 0].lines:
        panels[0, 0].legend()
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return {"curves.png": file.getvalue()}


def _pairs(points: Sequence[Point], source: str, codec: str) -> list[tuple[float, float]]:
    found = ((point.bpp, point.metrics.get(SNR)) for point in points if (point.source, point.codec) == (source, codec))
    return sorted((rate, value) for rate, value in found if value is not None and math.isfinite(value))
