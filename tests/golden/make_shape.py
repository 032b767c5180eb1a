"""Makes the golden files of shapes anew: python tests/golden/make_shape.py [NAME...], while format version 1 is not frozen."""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent / "shape"
sys.path.insert(0, str(HERE.parent.parent))


def digest(data: bytes) -> dict[str, str]:
    """SHA-256 of what a file's symbols are, each array little-endian in C order."""
    from i2compress.codec import I2File

    content = I2File.from_bytes(data).content
    plane = content.plane
    arrays = {"weights": (list(plane.weights.values()), "<f4")}
    if plane.latents:
        arrays |= {"blocks": ([plane.renderer.lattice.active], "u1"), "latents": (plane.latents, "<i4")}
    if content.colours:
        arrays["colours"] = ([grid for beside in content.colours for grid in beside.latents], "<i4")
    return {name: hashlib.sha256(b"".join(a.astype(kind).tobytes() for a in found)).hexdigest() for name, (found, kind) in arrays.items()}


def main() -> None:
    from shapes import box, cloud, join, ply, sphere

    from i2compress import EncodeSettings, View, codec, media

    wide = box((0, 0, 0), (1, 0.5, 0.4))
    occupied = {"field": "siren", "surface": "occupancy", "grid": 20, "width": 10, "lam": None}
    meshes = {"trained": join(sphere(0.8), box((0.4, -0.2, -0.2), (1.4, 0.2, 0.3))), "explicit": sphere(), "wide": wide, "painted": wide}
    meshes |= {"occupancy": sphere(), "points": sphere()}
    options = {"trained": {}, "explicit": {"explicit": True}, "wide": {"width": 5}, "painted": {"grid": 20}}
    options |= {"occupancy": occupied, "points": {**occupied, "surface": "points", "field": "gabor", "explicit": True}}
    expected = json.loads((HERE / "expected.json").read_text()) if sys.argv[1:] else {}
    distances = dict(np.load(HERE / "distances.npz")) if sys.argv[1:] else {}
    for name in sys.argv[1:] or meshes:
        mesh = meshes[name]
        settings = EncodeSettings(**{"grid": 32, "lam": 4e-3, "steps": 60, "threads": 1, "device": "cpu", **options[name]})
        source = cloud(mesh[0], mesh[0]) if name == "points" else ply(mesh, np.rint(255 * mesh[0]) if name == "painted" else None)
        with media.open_source(source) as opened:
            data = codec.encode(opened.source, settings).data
        (HERE / f"{name}.i2").write_bytes(data)
        expected[name] = digest(data)
        distances[name] = np.concatenate(list(codec.I2File.from_bytes(data).content.blocks(View()))).astype(np.float16)
        print(name, len(data))
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    np.savez_compressed(HERE / "distances.npz", **distances)


if __name__ == "__main__":
    main()
