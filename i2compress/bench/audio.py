"""Sound in the benchmark: SNR and log-spectral distance of decoded files against their bytes, and time."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import SignalError, UsageError
from ..signal import Kind
from . import plain
from .parts import Point, Work

FloatArray = npt.NDArray[np.float64]

FARTHEST = 8192  # samples that a decoder may be late or early
SNR, LSD = "snr", "lsd"
RESULTS = "results.json"
STFT, STFT_HOP = 2048, 512
FLOOR_DB = -80.0  # under the loudest place of the source's spectrogram: what lies below counts as this


@dataclass(frozen=True, kw_only=True)
class Sound:
    """Samples `[n, C]` in -1..1 with their rate, and the depth of the file that they come from."""

    values: FloatArray
    rate: int
    bit_depth: int
    floating: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """What makes two sounds of the same bytes different: length, channels, rate and depth."""
        return (*self.values.shape, self.rate, self.bit_depth)

    def tobytes(self) -> bytes:
        """Of the samples."""
        return self.values.tobytes()


def read(path: str) -> Sound:
    """A file's samples. Raises SignalError where it is none of sound."""
    from .. import media

    signal = media.read(path)
    if signal.kind is not Kind.AUDIO:
        raise SignalError(f"{path} is no sound ({signal.kind.name.lower()}); expected a sound file")
    return Sound(values=signal.values.astype(np.float64), rate=signal.rate, bit_depth=signal.bit_depth, floating=signal.floating)


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


def earlier(folder: Path) -> list[Point]:
    """The points of results.json, which is all that is committed of a run; none where there is none.

    Those of before sources and versions were written have neither: they stand for any source of their name. Unknown fields are passed over.

    Raises:
        UsageError: it is something else, or was cut short.
    """
    path = folder / RESULTS
    if not path.exists():
        return []
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return [_point(fields, found.get("effort"), found.get("origin", {})) for fields in found["points"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise UsageError(
            f"{path} is not what i2c bench audio writes ({what}); expected its JSON: move the file away, or choose another folder"
        ) from error


def _point(fields: dict[str, Any], effort: int | None, origin: dict[str, Any]) -> Point:
    codec = str(fields["codec"])
    work = fields.get("work") or {"quality": fields["point"], "effort": effort if codec.startswith("i2c") else None}
    return Point(
        codec=codec,
        source=fields["source"],
        digest=fields.get("digest", ""),
        work=Work(**work),
        bytes=int(fields["bytes"]),
        bpp=_positive(fields["bitrate"]),
        metrics={SNR: math.inf if fields["snr"] is None else float(fields["snr"]), LSD: float(fields["lsd"])},
        encoding_time=float(fields["encoding_time"]),
        decoding_time=float(fields["decoding_time"]),
        encoding_memory=None,
        decoding_memory=None,
        encoding_cpu=fields.get("encoding_cpu"),
        decoding_cpu=fields.get("decoding_cpu"),
        versions=dict(fields.get("versions", {})),
        origin=dict(fields.get("origin") or {name: origin.get(name) for name in ("machine", "commit", "date")}),
    )


def _positive(value: object) -> float:
    number = float(value)  # type: ignore[arg-type]  # TypeError is what it is asked for
    if not number > 0:
        raise ValueError(f"a bitrate of {number:g}")
    return number


def record(points: Sequence[Point], metadata: Mapping[str, object]) -> dict[str, bytes]:
    """results.json with these points; an SNR of inf is null in it."""
    efforts = [point.work.effort for point in points if point.work.effort is not None]
    content = {"schema": 1, "effort": max(efforts, default=None), "origin": metadata, "points": [_fields(point) for point in points]}
    return {RESULTS: plain.dumps(content).encode()}


def _fields(point: Point) -> dict[str, object]:
    known = {"digest": point.digest, "versions": point.versions} if point.digest else {}
    return {
        "source": point.source,
        "codec": point.codec,
        "point": point.work.quality,
        "bytes": point.bytes,
        "bitrate": point.bpp,
        **point.metrics,
        "encoding_time": point.encoding_time,
        "decoding_time": point.decoding_time,
        "encoding_cpu": point.encoding_cpu,
        "decoding_cpu": point.decoding_cpu,
        "seconds": 8 * point.bytes / point.bpp,
        "work": asdict(point.work),
        **known,
        "origin": point.origin,  # always: the next run's own is another one
    }
