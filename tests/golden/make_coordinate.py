"""Makes the golden files of coordinate fields anew: python tests/golden/make_coordinate.py [--check]; see make.py."""

import json
import sys
from pathlib import Path

import numpy as np
from make import digest, shapes

HERE = Path(__file__).parent / "coordinate"
FIELDS = [(field, explicit) for field in ("siren", "fourier", "gabor") for explicit in (False, True)]


def sources() -> dict[str, dict[str, object]]:
    """Settings by name: every field, and one whose fixed point is not reached."""
    found: dict[str, dict[str, object]] = {
        f"{field}{'-explicit' * explicit}": {"field": field, "explicit": explicit, "width": 8} for field, explicit in FIELDS
    }
    return found | {"gabor2": {"field": "gabor", "width": 6, "layers": 2}, "free": {"field": "siren", "width": 8, "contract": False}}


def main() -> None:
    import i2compress
    from i2compress.codec import I2File
    from i2compress.signal import to_codes

    HERE.mkdir(exist_ok=True)
    expected, pictures = {}, {}
    for name, options in sources().items():
        path = HERE / f"{name}.i2"
        if "--check" not in sys.argv[1:]:
            settings = i2compress.EncodeSettings(**{"quality": 85, "steps": 60, "threads": 1, "device": "cpu", **options})  # type: ignore[arg-type]
            path.write_bytes(i2compress.encode(shapes(13, 18, 3, 255).astype(np.uint8), settings))
        file = I2File.from_bytes(path.read_bytes())
        expected[name] = digest(list(file.content.plane.weights.values()), "<f8")  # type: ignore[arg-type]
        pictures[name] = to_codes(file.render().values, file.content.plane.header.bit_depth)
        print(f"{name}: {path.stat().st_size} bytes, {file.content.plane.header.params}")
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    np.savez_compressed(HERE / "codes.npz", **pictures)


if __name__ == "__main__":
    main()
