"""Makes the golden files anew: python tests/golden/make.py [--check]

Run it only while format version 1 is not frozen (docs/format.md, section 12). After the release the files here are
kept as they are, and a new version gets files of its own. With --check nothing is encoded: the expected values are
taken from the files that are there.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

HERE = Path(__file__).parent
Codes = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


def shapes(height: int, width: int, channels: int, top: int) -> npt.NDArray[np.float64]:
    """A disc, a ramp and a fine grating; `[H, W, C]` in 0..top."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    disc = (x - 0.5) ** 2 + (y - 0.4) ** 2 < 0.07
    planes = [0.2 + 0.6 * x * (1 - 0.3 * c) + (0.25 - 0.1 * c) * disc + 0.05 * np.sin(60 * y + c) for c in range(channels)]
    return np.clip(np.stack(planes, -1), 0, 1) * top


def sources() -> dict[str, tuple[Codes, dict[str, object]]]:
    """Code values and settings by name."""
    noisy = shapes(100, 100, 1, 255) + np.random.default_rng(0).normal(0, 60, (100, 100, 1))
    alpha = shapes(23, 29, 4, 65535)
    alpha[:6, :, 3] = 0
    return {
        "gray": (shapes(17, 24, 1, 255).astype(np.uint8), {}),
        "rgb": (shapes(31, 40, 3, 255).astype(np.uint8), {}),
        "planes": (shapes(40, 46, 3, 255).astype(np.uint8), {"planes": True}),
        "explicit": (shapes(31, 40, 3, 255).astype(np.uint8), {"explicit": True}),
        "rgba16": (alpha.astype(np.uint16), {}),
        "streams": (np.clip(noisy, 0, 255).astype(np.uint8), {"lam": 1e-7}),
        "started": (shapes(64, 72, 3, 255).astype(np.uint8), {"start": "trained", "steps": 40, "tune": "psnr"}),
        "started-gray": (shapes(66, 64, 1, 255).astype(np.uint8), {"start": "trained", "steps": 40, "tune": "psnr", "quality": 60}),
        "started-rgba": (np.round(shapes(40, 33, 4, 255)).astype(np.uint8), {"start": "trained", "steps": 40, "tune": "psnr"}),
        "started-gray-alpha": (shapes(20, 70, 2, 255).astype(np.uint8), {"start": "trained", "steps": 40, "tune": "psnr", "quality": 60}),
        "started-small": (shapes(17, 19, 3, 255).astype(np.uint8), {"start": "trained", "steps": 40, "tune": "psnr", "quality": 95}),
        "grained": (noisy[:45, :50].clip(0, 255).astype(np.uint8), {"tune": "texture", "quality": 5}),
        "silent": (shapes(120, 520, 1, 255).astype(np.uint8), {"lam": 0.03, "steps": 100}),
        "pixel": (np.full((1, 1, 2), 200, np.uint8), {"steps": 5}),
    }


def encode(codes: Codes, options: dict[str, object]) -> bytes:
    """The file, with metadata where the source is 16 bits deep."""
    import i2compress
    from i2compress.media import SignalSource, image
    from i2compress.media.protocol import Hooks

    planes_from = None if "start" in options else 1 if options.get("planes") else 1 << 17
    options = {"start": "none", **options}
    options = {name: value for name, value in options.items() if name != "planes"}
    metadata = i2compress.Metadata(icc=b"golden profile", exif=b"II*\0\x08\0\0\0\0\0", xmp=b"<x/>") if codes.dtype == np.uint16 else None
    settings = i2compress.EncodeSettings(**{"quality": 85, "steps": 200, "threads": 1, "device": "cpu", **options})  # type: ignore[arg-type]
    source = SignalSource(i2compress.Signal.from_codes(codes, metadata))
    return image.encode(source, settings, Hooks(), planes_from=planes_from).data


def digest(arrays: list[npt.NDArray[np.generic]], kind: str) -> str:
    """SHA-256 of the arrays one after the other, little-endian, C order."""
    return hashlib.sha256(b"".join(array.astype(kind).tobytes() for array in arrays)).hexdigest()


def main() -> None:
    from i2compress.codec import I2File
    from i2compress.signal import to_codes

    expected, pictures = {}, {}
    for name, (codes, options) in sources().items():
        path = HERE / f"{name}.i2"
        if "--check" not in sys.argv[1:]:
            path.write_bytes(encode(codes, options))
        file = I2File.from_bytes(path.read_bytes())
        expected[name] = {"latents": digest(file.content.plane.latents, "<i4"), "weights": digest(list(file.content.plane.weights.values()), "<f4")}  # type: ignore[arg-type]
        pictures[name] = to_codes(file.render().values, file.content.plane.header.bit_depth)
        print(f"{name}: {path.stat().st_size} bytes, {file.content.plane.header.streams} streams")
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    np.savez_compressed(HERE / "codes.npz", **pictures)


if __name__ == "__main__":
    main()
