"""Sound: codecs through PyAV (ffmpeg's libraries) beside i2c, each as a whole file in memory, and measures of decoded sound."""

import io
import math
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np

from ..arrays import Float64Array
from ..errors import I2Error
from ..metrics import Comparison
from . import plots
from .benchmark import Benchmark, CodedFiles, Metric, Point, Rate, Source
from .codec import Codec, Coded, Sound, Work
from .i2c import SOUNDS, read_sound

FARTHEST = 8192  # samples that a decoder may be late or early
STFT, STFT_HOP = 2048, 512
FLOOR_DB = -80.0  # under the loudest place of the source's spectrogram: what lies below counts as this
SHOWN_BITRATE = 24_000  # that the points in spectrograms are next to
SHOWN = ("i2c", "i2c-snr", "opus")


def _encode_av(sound: Sound, work: Work, *, codec: str, container: str, rates: tuple[int, ...]) -> Coded:
    import av

    rate = sound.rate
    used = rate if not rates or rate in rates else min((r for r in rates if r >= rate), default=max(rates))
    frame = _frame(sound.values, rate, "s16" if codec == "flac" else "flt")
    file = io.BytesIO()
    with av.open(file, "w", format=container, options={"metadata_header_padding": "0"}) as out:  # FLAC gets 8 kB of it otherwise
        stream: Any = out.add_stream(codec, rate=used)
        stream.layout = frame.layout
        if codec != "flac":
            stream.bit_rate = round(1000 * work.quality)
        form = stream.codec_context.format.name if stream.codec_context.format else "s16"
        stream.codec_context.open()
        resampler = av.AudioResampler(format=form, layout=frame.layout, rate=used, frame_size=stream.codec_context.frame_size or None)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            for packet in stream.encode(piece):
                out.mux(packet)
        for packet in stream.encode(None):
            out.mux(packet)
    return Coded(file.getvalue())


def _frame(samples: Float64Array, rate: int, form: str) -> Any:
    """Samples `[n, C]` in -1..1 as a frame of ffmpeg, in the sample format "s16" or "flt"; C is 1 or 2."""
    import av

    values = np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16) if form == "s16" else samples.astype("f4")
    layout = "mono" if samples.shape[1] == 1 else "stereo"
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(values.reshape(1, -1)), format=form, layout=layout)
    frame.sample_rate = rate
    return frame


def _decode_av(data: bytes, threads: int | None) -> Sound:
    import av

    with av.open(io.BytesIO(data)) as file:
        stream = file.streams.audio[0]
        rate = stream.rate
        resampler = av.AudioResampler(format="flt", layout=stream.layout.name, rate=rate)
        pieces = []
        for frame in file.decode(stream):  # type: ignore[union-attr]  # opened for reading
            frame.pts = None
            pieces += [piece.to_ndarray() for piece in resampler.resample(frame)]
        pieces += [piece.to_ndarray() for piece in resampler.resample(None)]
        values = np.concatenate(pieces, 1).reshape(-1, stream.channels).astype(np.float64)
    return Sound(values=values, rate=rate, bit_depth=32, floating=True)


def comparable(source: Sound, decoded: Sound) -> Sound:
    """The decoded sound at the source's rate, without the decoder's delay and of the source's length."""
    if decoded.values.shape[1] != source.values.shape[1]:
        raise I2Error(f"{decoded.values.shape[1]} channels came back; expected {source.values.shape[1]}: leave the codec out")
    values = _resampled(decoded.values, decoded.rate, source.rate)
    return Sound(values=aligned(source.values, values), rate=source.rate, bit_depth=source.bit_depth, floating=source.floating)


def _resampled(samples: Float64Array, rate: int, wanted: int) -> Float64Array:
    """`samples` `[n, C]` at another rate, by ffmpeg's resampler; C is 1 or 2."""
    if rate == wanted:
        return samples
    import av

    frame = _frame(samples, rate, "flt")
    resampler = av.AudioResampler(format="flt", layout=frame.layout, rate=wanted)
    pieces = [piece.to_ndarray() for piece in [*resampler.resample(frame), *resampler.resample(None)]]
    return np.concatenate(pieces, 1).reshape(-1, samples.shape[1]).astype(np.float64)


def _import_av() -> None:
    import av  # noqa: F401


def _missing(encoder: str) -> str | None:
    if find_spec("av") is None:
        return "av is not installed; pip install av"
    import av.codec

    return None if encoder in av.codecs_available else f"this PyAV is built without {encoder}; install PyAV's own wheel"


def _versions() -> dict[str, str]:
    import av

    return {"av": version("av"), "libavcodec": ".".join(map(str, av.library_versions["libavcodec"]))}


def _av(name: str, note: str, kbps: tuple[float, ...], *, codec: str, container: str, rates: tuple[int, ...] = (), lowest: int = 1) -> Codec:
    return Codec(
        name=name,
        note=note,
        extension=container,
        qualities=kbps,
        encode=partial(_encode_av, codec=codec, container=container, rates=rates),
        decode=_decode_av,
        missing=partial(_missing, codec),
        versions=_versions,
        prepare=_import_av,
        lowest=lowest,
        highest=512,
    )


_OPUS_RATES = (8000, 12000, 16000, 24000, 48000)
_MP3_RATES = (16000, 22050, 24000, 32000, 44100, 48000)

_ENTRIES = (
    *SOUNDS,
    _av("opus", "libopus in Ogg, VBR", (8, 12, 16, 24, 32, 48, 64, 96, 128, 192), codec="libopus", container="ogg", rates=_OPUS_RATES),
    _av("mp3", "LAME in MP3, CBR", (24, 32, 48, 64, 96, 128, 192), codec="libmp3lame", container="mp3", rates=_MP3_RATES),
    _av("aac", "ffmpeg's own AAC in ADTS", (16, 24, 32, 48, 64, 96, 128, 192), codec="aac", container="adts"),
    _av("flac", "FLAC of 16 bits", (0,), codec="flac", container="flac", lowest=0),
)


def aligned(source: Float64Array, decoded: Float64Array) -> Float64Array:
    """`decoded` `[n, C]` moved by the delay of greatest correlation, and cut or filled up to the source's length."""
    count = len(source)
    size = 1 << (count + len(decoded) + FARTHEST).bit_length()
    spectrum = np.fft.rfft(source.sum(1), size).conj() * np.fft.rfft(decoded.sum(1), size)
    correlation = np.fft.irfft(spectrum, size)
    lags = np.concatenate([np.arange(FARTHEST), np.arange(-FARTHEST, 0)])
    lag = int(lags[np.argmax(correlation[lags])])
    moved = decoded[lag:] if lag >= 0 else np.concatenate([np.zeros((-lag, decoded.shape[1])), decoded])
    out = np.zeros_like(source)
    out[: min(count, len(moved))] = moved[:count]
    return out


def snr(source: Float64Array, decoded: Float64Array) -> float:
    """Signal-to-noise ratio in dB over all channels; inf where equal. See metrics.Comparison."""
    return Comparison.of(decoded, source).snr


def log_spectral_distance(source: Float64Array, decoded: Float64Array) -> float:
    """Mean over frames and channels of the root mean square difference of log power spectra in dB; 0 where equal.

    Hann windows of 2048 samples, 512 apart; power more than 80 dB under the loudest place of the source counts as that.
    """
    first, second = spectrogram(source), spectrogram(decoded)
    floor = float(first.max()) * 10 ** (FLOOR_DB / 10) + 1e-30
    difference = 10 * np.log10(np.maximum(first, floor) / np.maximum(second, floor))
    return float(np.sqrt(np.square(difference).mean(-1)).mean())


def spectrogram(x: Float64Array) -> Float64Array:
    """Power `[frames, C, bins]` of `x` `[n, C]` by Hann windows of 2048 samples, 512 apart."""
    padded = np.pad(x, ((0, max(0, STFT - len(x))), (0, 0)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, STFT, 0)[::STFT_HOP]
    return np.asarray(np.square(np.abs(np.fft.rfft(frames * np.hanning(STFT), axis=-1))))


def spectrograms(points: Sequence[Point], sources: Sequence[Source], files: CodedFiles) -> dict[str, bytes]:
    """PNG files by name: every clip beside its i2c and anchor files of about 24 kbps, and what earlier runs have drawn of others.

    Files of older results that are gone are made again, except where their picture is there.
    """
    made: dict[str, bytes] = {}
    for name in dict.fromkeys(point.source for point in points):
        path, chosen = files.folder / f"spectrogram-{name}.png", nearest(points, name)
        source = next((source for source in sources if source.name == name), None)
        if path.exists() and (source is None or not all(files.holds(source, point) for point in chosen)):
            made[path.name] = path.read_bytes()
        elif source is not None and chosen:
            made[path.name] = _clip(source, chosen, files)
    return made


def _clip(source: Source, points: Sequence[Point], files: CodedFiles) -> bytes:
    original = read_sound(source.path)
    panels = [(f"{source.name}, source", original.values)]
    for point in points:
        codec = AUDIO.codecs[point.codec]
        decoded = comparable(original, codec.decode(files.coded(source, point), 1))
        panels.append((f"{codec.note}, {point.bpp / 1000:.1f} kbps", decoded.values))
    return draw(panels, original.rate)


def draw(panels: Sequence[tuple[str, Float64Array]], rate: int) -> bytes:
    """PNG of the spectrograms of titled sounds `[n, C]`, one below the other; channels by their mean power."""
    powers = [(title, spectrogram(samples).mean(1).T) for title, samples in panels]
    return plots.spectrograms(powers, seconds=len(panels[0][1]) / rate, rate=rate, floor=FLOOR_DB)


def nearest(points: Sequence[Point], source: str) -> list[Point]:
    """The point of each codec of SHOWN whose rate is next to SHOWN_BITRATE, in that order."""
    found = [[p for p in points if p.source == source and p.codec == codec] for codec in SHOWN]
    return [min(curve, key=lambda p: abs(math.log(p.bpp / SHOWN_BITRATE))) for curve in found if curve]


def _seconds(sound: Sound) -> float:
    return len(sound.values) / sound.rate


def _snr(source: Sound, decoded: Sound) -> float:
    return snr(source.values, decoded.values)


def _log_spectral_distance(source: Sound, decoded: Sound) -> float:
    return log_spectral_distance(source.values, decoded.values)


def _plots(points: Sequence[Point], sources: Sequence[Source], files: CodedFiles) -> dict[str, bytes]:
    """SNR over the rate for each clip, and spectrograms; none where matplotlib is not installed."""
    if not plots.available():
        return {}
    return {"curves.png": plots.curves_of_sources(points, AUDIO), **spectrograms(points, sources, files)}


AUDIO = Benchmark(
    name="audio",
    read=read_sound,
    codecs={codec.name: codec for codec in _ENTRIES},
    metrics={
        "snr": Metric(name="snr", title="SNR [dB]", digits=2, measure=_snr),
        "lsd": Metric(name="lsd", title="log-spectral distance [dB]", digits=2, measure=_log_spectral_distance, falling=True),
    },
    count=_seconds,
    comparable=comparable,
    rate=Rate(name="bitrate", title="kbps", axis="kbps", digits=2, unit=1e3),
    anchors=("opus", "aac", "mp3"),
    least_overlap=0.0,
    each=True,
    plots=_plots,
    keeps_results=True,
)
