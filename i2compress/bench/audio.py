"""Sound in the benchmark: SNR and log-spectral distance of decoded files against their bytes, and time."""

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import UsageError
from .audio_codecs import AudioCodec, codecs
from .origin import metadata

FloatArray = npt.NDArray[np.float64]

FARTHEST = 8192  # samples that a decoder may be late or early
ANCHOR = "opus"
STFT, STFT_HOP = 2048, 512
FLOOR_DB = -80.0  # under the loudest place of the source's spectrogram: what lies below counts as this


@dataclass(frozen=True, kw_only=True)
class AudioPoint:
    """One file, measured; times in seconds, rates in bits a second of the source's length.

    `encoding_cpu` is the processor's share of `encoding_time`: user and system time of all threads of this process, which other work on the
    machine hardly changes. None in files of before it was measured.
    """

    source: str
    codec: str
    point: float
    bytes: int
    bitrate: float
    snr: float
    lsd: float
    encoding_time: float
    decoding_time: float
    seconds: float
    encoding_cpu: float | None = None


def aligned(source: FloatArray, decoded: FloatArray) -> FloatArray:
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


def snr(source: FloatArray, decoded: FloatArray) -> float:
    """Signal-to-noise ratio in dB over all channels; inf where equal."""
    noise = float(np.square(source - decoded).sum())
    return math.inf if noise == 0 else 10 * math.log10(max(float(np.square(source).sum()), 1e-30) / noise)


def log_spectral_distance(source: FloatArray, decoded: FloatArray) -> float:
    """Mean over frames and channels of the root mean square difference of log power spectra in dB; 0 where equal.

    Hann windows of 2048 samples, 512 apart; power more than 80 dB under the loudest place of the source counts as that.
    """
    first, second = spectrogram(source), spectrogram(decoded)
    floor = float(first.max()) * 10 ** (FLOOR_DB / 10) + 1e-30
    difference = 10 * np.log10(np.maximum(first, floor) / np.maximum(second, floor))
    return float(np.sqrt(np.square(difference).mean(-1)).mean())


def spectrogram(x: FloatArray) -> FloatArray:
    """Power `[frames, C, bins]` of `x` `[n, C]` by Hann windows of 2048 samples, 512 apart."""
    padded = np.pad(x, ((0, max(0, STFT - len(x))), (0, 0)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, STFT, 0)[::STFT_HOP]
    return np.asarray(np.square(np.abs(np.fft.rfft(frames * np.hanning(STFT), axis=-1))))


def run(
    paths: Sequence[str], names: Sequence[str], folder: Path, *, effort: int, on_point: Callable[[int, int, AudioPoint], None] | None = None
) -> list[AudioPoint]:
    """Measure what no earlier run into `folder` has, and write results.json there after every point, and the coded files into files/.

    Raises:
        UsageError: a codec that is not known.
        SignalError: a source that cannot be read.
    """
    from .. import media

    folder.mkdir(parents=True, exist_ok=True)
    known = {(p.source, p.codec, p.point): p for p in load(folder)}
    tasks: list[tuple[str, AudioCodec, float]] = []
    for path in paths:
        signal = media.read(path)
        table = codecs(effort=effort, depth=(signal.bit_depth, signal.floating))
        unknown = [name for name in names if name not in table]
        if unknown:
            raise UsageError(f"codec {unknown[0]!r} is not known; expected some of {', '.join(table)}")
        tasks += [(path, table[name], point) for name in names for point in table[name].points]
    tasks.sort(key=lambda task: task[1].name.startswith("i2c"))
    for done, (path, codec, point) in enumerate(tasks, 1):
        key = (Path(path).stem, codec.name, float(point))
        if key not in known:
            signal = media.read(path)
            known[key], data = _measure(key[0], codec, float(point), signal.values.astype(np.float64), signal.rate)
            keep(folder, key[0], codec, point, data)
            save(list(known.values()), folder, effort)
        if on_point is not None:
            on_point(done, len(tasks), known[key])
    return list(known.values())


def kept(folder: Path, source: str, codec: AudioCodec, point: float) -> Path:
    """Where a run leaves a coded file."""
    return folder / "files" / f"{source}-{codec.name}-{point:g}.{codec.extension}"


def keep(folder: Path, source: str, codec: AudioCodec, point: float, data: bytes) -> None:
    """Write a coded file where `kept` says."""
    path = kept(folder, source, codec, point)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)


def _measure(name: str, codec: AudioCodec, point: float, samples: FloatArray, rate: int) -> tuple[AudioPoint, bytes]:
    """The point, and the coded file."""
    began, busy = time.perf_counter(), time.process_time()
    data = codec.encode(samples, rate, point)
    middle, busy = time.perf_counter(), time.process_time() - busy
    decoded = codec.decode(data, rate)
    end = time.perf_counter()
    back = aligned(samples, decoded)
    seconds = len(samples) / rate
    measured = AudioPoint(
        source=name,
        codec=codec.name,
        point=point,
        bytes=len(data),
        bitrate=8 * len(data) / seconds,
        snr=snr(samples, back),
        lsd=log_spectral_distance(samples, back),
        encoding_time=middle - began,
        decoding_time=end - middle,
        seconds=seconds,
        encoding_cpu=busy,
    )
    return measured, data


def load(folder: Path) -> list[AudioPoint]:
    """The points of an earlier run; none where there is none."""
    path = folder / "results.json"
    return [AudioPoint(**point) for point in json.loads(path.read_text())["points"]] if path.exists() else []


def save(points: Sequence[AudioPoint], folder: Path, effort: int) -> None:
    """Write results.json."""
    content = {"schema": 1, "effort": effort, "origin": metadata(), "points": [asdict(point) for point in points]}
    (folder / "results.json").write_text(json.dumps(content, indent=1, default=str) + "\n")


def bd_rates(points: Sequence[AudioPoint], measure: str = "snr") -> dict[tuple[str, str], float]:
    """Percent more (+) or fewer (-) bytes than the anchor at equal SNR (or LSD), by (codec, source); only where curves overlap."""
    import bjontegaard

    found = {}
    sources, names = dict.fromkeys(p.source for p in points), dict.fromkeys(p.codec for p in points)
    for source in sources:
        anchor = curve(points, ANCHOR, source, measure)
        for name in names:
            test = curve(points, name, source, measure)
            if name == ANCHOR or min(len(anchor), len(test)) < 4 or min(anchor[-1][1], test[-1][1]) <= max(anchor[0][1], test[0][1]):
                continue
            series = [list(side) for pair in (anchor, test) for side in zip(*pair, strict=True)]
            found[name, source] = float(bjontegaard.bd_rate(*series, method="akima", require_matching_points=False, min_overlap=0))
    return found


def curve(points: Sequence[AudioPoint], codec: str, source: str, measure: str = "snr") -> list[tuple[float, float]]:
    """(bits a second, SNR or -LSD), both rising: points that cost more for nothing are left out."""
    sign = 1 if measure == "snr" else -1
    pairs = sorted((p.bitrate, sign * getattr(p, measure)) for p in points if p.codec == codec and p.source == source)
    rising: list[tuple[float, float]] = []
    for rate, value in pairs:
        if math.isfinite(value) and (not rising or value > rising[-1][1]):
            rising.append((rate, value))
    return rising
