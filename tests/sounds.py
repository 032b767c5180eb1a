"""Short sounds made here, so that no test needs a file."""

import io

import numpy as np
import numpy.typing as npt

from i2compress.signal import Kind, Metadata, Signal

RATE = 8000


def chord(seconds: float = 1.0, channels: int = 1, rate: int = RATE) -> npt.NDArray[np.float32]:
    """`[N, C]`: three decaying partials, a little noise and a click."""
    t = np.arange(round(seconds * rate)) / rate
    random = np.random.default_rng(7)
    x = sum(a * np.sin(2 * np.pi * f * t + f) * np.exp(-2 * (t % 0.4)) for f, a in ((330.0, 0.3), (495.0, 0.2), (1237.0, 0.05)))
    x = x + random.normal(0, 0.003, len(t))
    if len(t) > 3000:
        x[3000:3040] += 0.3 * random.normal(size=40)
    return np.stack([x * (1 - 0.3 * c) for c in range(channels)], 1).astype(np.float32)


def sound(values: npt.NDArray[np.float32], rate: int = RATE, tags: bytes | None = None) -> Signal:
    """A signal of 16 bits."""
    return Signal(values=values, kind=Kind.AUDIO, rate=rate, bit_depth=16, metadata=Metadata(tags=tags))


def wav(values: npt.NDArray[np.float32], rate: int = RATE, **options: str) -> bytes:
    """A file of the values, WAV of 16 bits unless told otherwise."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, values, rate, **{"format": "WAV", "subtype": "PCM_16", **options})
    return file.getvalue()


def snr(source: npt.NDArray[np.floating], decoded: npt.NDArray[np.floating]) -> float:
    """dB."""
    return float(10 * np.log10(np.square(source).sum() / np.square(source - decoded).sum()))
