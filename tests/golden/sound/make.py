"""Makes the golden files of sound anew: python tests/golden/sound/make.py, while format version 1 is not frozen."""

import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent))


def main() -> None:
    from sounds import RATE, chord, sound

    from i2compress import EncodeSettings, decode
    from i2compress.media import SignalSource
    from i2compress.media import sound as medium
    from i2compress.media.protocol import Hooks

    mono = np.concatenate([chord(0.3), np.zeros((3000, 1), np.float32), chord(0.2)])
    made = {"mono": (mono, {"tune": "snr"}), "stereo": (chord(0.5, 2)[:3600] * np.array([1, -0.4], np.float32), {}), "three": (chord(0.1, 3), {})}
    made["peaks"] = (0.9 * np.sin(0.3 * np.arange(3000))[:, None].astype(np.float32), {"lam": 1e-9})
    samples = {}
    for name, (values, options) in made.items():
        settings = EncodeSettings(steps=60, threads=1, device="cpu", **{"quality": 60, **options})
        data = medium.encode(SignalSource(sound(values, RATE, b"title=golden")), settings, Hooks(), segment_samples=2500).data
        (HERE / f"{name}.i2").write_bytes(data)
        samples[name] = decode(data).values
        print(name, len(data))
    np.savez_compressed(HERE / "samples.npz", **samples)


if __name__ == "__main__":
    main()
