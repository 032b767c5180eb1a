"""Sound as a modality of the benchmark."""

from collections.abc import Sequence
from importlib.util import find_spec

from .audio import LSD, SNR, Sound, earlier, log_spectral_distance, read, record, snr
from .audio_codecs import CODECS, onto
from .audio_report import curves
from .parts import Files, Metric, Modality, Point, Rate, Source
from .spectrograms import spectrograms


def _seconds(sound: Sound) -> float:
    return len(sound.values) / sound.rate


def _plots(points: Sequence[Point], sources: Sequence[Source], files: Files) -> dict[str, bytes]:
    """SNR over the rate for each clip, and spectrograms; none where matplotlib is not installed."""
    return {} if find_spec("matplotlib") is None else {**curves(points), **spectrograms(points, sources, files)}


def _snr(source: Sound, decoded: Sound) -> float:
    return snr(source.values, decoded.values)


def _log_spectral_distance(source: Sound, decoded: Sound) -> float:
    return log_spectral_distance(source.values, decoded.values)


AUDIO = Modality(
    name="audio",
    read=read,
    codecs=CODECS,
    metrics={
        SNR: Metric(name=SNR, title="SNR [dB]", digits=2, measure=_snr),
        LSD: Metric(name=LSD, title="log-spectral distance [dB]", digits=2, measure=_log_spectral_distance, falling=True),
    },
    count=_seconds,
    onto=onto,
    rate=Rate(name="bitrate", title="kbps", axis="kbps", digits=2, unit=1e3),
    anchors=("opus", "aac", "mp3"),
    least_overlap=0.0,
    each=True,
    plots=_plots,
    earlier=earlier,
    record=record,
)
