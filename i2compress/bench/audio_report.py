"""What a run of the audio benchmark says: tables in Markdown, curves, and spectrograms."""

import io
import math
from collections.abc import Sequence
from pathlib import Path

from .audio import ANCHOR, AudioPoint, bd_rates, curve


def tables(points: Sequence[AudioPoint], pictures: Sequence[str] = ()) -> str:
    """BD-rates by source, then every point, then the pictures with these file names."""
    sources = list(dict.fromkeys(p.source for p in points))
    names = [name for name in dict.fromkeys(p.codec for p in points) if name != ANCHOR]
    lines = []
    for measure, title in (("snr", "SNR"), ("lsd", "log-spectral distance")):
        rates = bd_rates(points, measure)
        lines += [f"Bytes against {ANCHOR} at equal {title}, in percent (BD-rate; negative is smaller):", ""]
        lines += [f"| codec | {' | '.join(sources)} | mean |", f"|---|{'---:|' * (len(sources) + 1)}"]
        for name in names:
            found = [rates.get((name, source)) for source in sources]
            known = [value for value in found if value is not None]
            if known:
                cells = ["" if value is None else f"{value:+.1f}" for value in found]
                lines.append(f"| {name} | {' | '.join(cells)} | {sum(known) / len(known):+.1f} |")
        lines.append("")
    lines += ["| source | codec | setting | kbps | SNR dB | LSD dB | encode s/s | encode CPU s/s | decode x real time |", f"|---|---|{'---:|' * 7}"]
    for p in sorted(points, key=lambda p: (sources.index(p.source), p.codec, p.bitrate)):
        snr = "equal" if math.isinf(p.snr) else f"{p.snr:.2f}"
        busy = "" if p.encoding_cpu is None else f"{p.encoding_cpu / p.seconds:.2f}"
        speed = f"{p.encoding_time / p.seconds:.2f} | {busy} | {p.seconds / p.decoding_time:.0f}"
        lines.append(f"| {p.source} | {p.codec} | {p.point:g} | {p.bitrate / 1000:.2f} | {snr} | {p.lsd:.2f} | {speed} |")
    for name in pictures:
        lines += ["", f"![{name.removesuffix('.png')}]({name})"]
    return "\n".join(lines) + "\n"


def plot(points: Sequence[AudioPoint], path: Path) -> None:
    """SNR over kbps, one panel a source, as PNG."""
    import matplotlib.pyplot as plt

    sources = list(dict.fromkeys(p.source for p in points))
    figure, panels = plt.subplots(2, -(-len(sources) // 2), figsize=(14, 8), squeeze=False)
    for source, panel in zip(sources, panels.ravel(), strict=False):
        for name in dict.fromkeys(p.codec for p in points):
            found = curve(points, name, source)
            if len(found) > 1:
                panel.plot([rate / 1000 for rate, _ in found], [value for _, value in found], "o-", label=name)
        panel.set(title=source, xlabel="kbps", ylabel="SNR dB", xscale="log")
        panel.grid(alpha=0.3)
    panels[0, 0].legend()
    figure.tight_layout()
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=80)
    plt.close(figure)
    path.write_bytes(buffer.getvalue())
