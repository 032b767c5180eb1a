"""i2c itself as a benchmarked codec, measured on the bytes of its files."""

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

from ..config import EncodeSettings, View
from .parts import Codec, Coded, Samples, Work

# What shapes a file's bytes or its decoded values; the command line, the benchmark and the readers of other formats do not.
_SHAPING = ("codec", "config", "container", "coordinate_codec", "coords", "header", "metrics", "signal", "coding", "field", "fit", "render", "priors")


def _encode(picture: Samples, work: Work) -> Coded:
    from ..codec import encode_signal
    from ..signal import Signal

    given = {name: value for name, value in vars(work).items() if value is not None}
    settings = EncodeSettings(**given, strip=True)
    result = encode_signal(Signal.from_codes(picture), settings)
    return Coded(result.data, {"loss": result.loss, "steps": result.steps, "seconds": result.seconds, "lambda": settings.rate_weight})


def _decode(data: bytes, threads: int | None) -> Samples:
    return enlarge(data, threads, scale=None)


def enlarge(data: bytes, threads: int | None, *, scale: float | None) -> Samples:
    """The file evaluated at `scale` samples for each of its own; None is its own size."""
    from ..codec import I2File
    from ..signal import to_codes

    view = View() if scale is None else View(scale=scale)
    codes = to_codes(I2File.from_bytes(data, threads=threads).render(view).values, 8)
    return codes.astype("uint8", copy=False)


def _prepare() -> None:
    from .. import codec, fit  # noqa: F401  # torch takes seconds to import


@cache
def _versions() -> dict[str, str]:
    """The version, and a digest of the sources: between two releases the same version writes different files."""
    root = Path(__file__).parent.parent
    found = sorted(path for part in _SHAPING for path in [*root.glob(f"{part}.py"), *(root / part).rglob("*.py"), *(root / part).rglob("*.npz")])
    digest = hashlib.sha256()
    for path in found:
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return {"i2compress": version("i2compress"), "sources": digest.hexdigest()[:12], "torch": version("torch")}


I2C = Codec(
    name="i2c",
    note="i2compress",
    extension="i2",
    qualities=(25.0, 40.0, 55.0, 70.0, 85.0),
    encode=_encode,
    decode=_decode,
    missing=lambda: None,
    versions=_versions,
    prepare=_prepare,
    fitted=True,
)
