"""i2c itself as a benchmarked codec, measured on the bytes of its files."""

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

from ..config import EncodeSettings, View
from ..memory import keep_freed_memory
from .parts import Codec, Coded, Pixels, Work

# What shapes a file's bytes or its decoded values; the command line, the benchmark and the readers of other formats do not.
_SHAPING = (
    "codec",
    "config",
    "container",
    "coordinate_codec",
    "coords",
    "header",
    "metrics",
    "signal",
    "coding",
    "field",
    "fit",
    "render",
    "priors",
)
SOUND_SHAPING = (*_SHAPING, "media/sound")


def _encode(picture: Pixels, work: Work) -> Coded:
    from ..codec import encode
    from ..signal import Signal

    chosen = settings(work)
    result = encode(Signal.from_codes(picture), chosen)
    extra = {"loss": result.loss or 0.0, "steps": result.coded.steps, "seconds": result.seconds, "lambda": chosen.rate_weight}
    return Coded(result.data, extra, device(chosen))


def device(chosen: EncodeSettings) -> str:
    """What the fit runs on, in words."""
    import torch

    from ..fit import pick_device

    found = pick_device(chosen.device)
    return f"{found.type}, {torch.cuda.get_device_name(found)}" if found.type == "cuda" else found.type


def settings(work: Work, *, tune: str | None = None) -> EncodeSettings:
    """How to encode for a Work, without the source's metadata."""
    given = {name: value for name, value in (*vars(work).items(), ("tune", tune)) if value is not None}
    return EncodeSettings(**given, strip=True)


def _decode(data: bytes, threads: int | None) -> Pixels:
    return enlarge(data, threads, scale=None)


def enlarge(data: bytes, threads: int | None, *, scale: float | None) -> Pixels:
    """The file evaluated at `scale` samples for each of its own; None is its own size."""
    from ..codec import I2File
    from ..signal import to_codes

    view = View() if scale is None else View(scale=scale)
    codes = to_codes(I2File.from_bytes(data, threads=threads).render(view).values, 8)
    return codes.astype("uint8", copy=False)


def _prepare() -> None:
    from .. import codec, fit  # noqa: F401  # torch takes seconds to import

    keep_freed_memory()  # as i2c encode does


@cache
def versions(shaping: tuple[str, ...] = _SHAPING) -> dict[str, str]:
    """The version, and a digest of the sources: between two releases the same version writes different files."""
    root = Path(__file__).parent.parent
    found = sorted(path for part in shaping for path in [*root.glob(f"{part}.py"), *(root / part).rglob("*.py"), *(root / part).rglob("*.npz")])
    digest = hashlib.sha256()
    for path in found:
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return {"i2compress": version("i2compress"), "sources": digest.hexdigest()[:12], "torch": version("torch")}


def nothing_missing() -> str | None:
    """i2c needs nothing that is not installed with it."""
    return None


I2C = Codec(
    name="i2c",
    note="i2compress",
    extension="i2",
    qualities=(25.0, 40.0, 55.0, 70.0, 85.0),
    encode=_encode,
    decode=_decode,
    missing=nothing_missing,
    versions=versions,
    prepare=_prepare,
    fitted=True,
)
