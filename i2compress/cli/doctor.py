"""i2c doctor: what there is to work with, and whether every kind of media comes through an encode and a decode here."""

import math
import os
import platform
import time
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

import typer

from ..errors import ExitCode, I2Error
from ..kinds import SAMPLES, Kind
from .errors import exit_code, sentence
from .options import AsJson, Debug, Device
from .output import Json, Output, duration, fail, size
from .work import Failure

if TYPE_CHECKING:
    from ..media.protocol import Medium
    from ..signal import Signal

GRIDS = {1: (4000,), 2: (48, 64), 3: (8, 24, 32)}  # of the test signal, by axes
RATE = 8000
STEPS = 24
LEAST_PSNR = 12.0  # dB: so few steps make a poor copy, but something that is broken makes none
NEEDED, OPTIONAL = "needed", "optional"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One round trip."""

    medium: "Medium"
    seconds: float
    psnr: float
    error: BaseException | None = None

    @property
    def passed(self) -> bool:
        """Whether the signal came back."""
        return self.error is None


def doctor(*, device: Device = "auto", as_json: AsJson = False, debug: Debug = False) -> None:
    """Check this installation: libraries, devices, memory, and a round trip of each kind of media, in seconds."""
    from ..fit import pick_device
    from ..fit.devices import devices
    from ..media import MEDIA
    from ..memory import available, installed

    out, libraries = Output("doctor", as_json=as_json, debug=debug), versions()
    chosen, found = str(pick_device(device)), devices()
    out.text(f"i2compress {libraries['i2compress'][0]}, Python {platform.python_version()}, {platform.platform()}")
    for kind in (NEEDED, OPTIONAL):
        shown = [f"{name} {version or 'not installed'}" for name, (version, use) in libraries.items() if use == kind]
        out.text(f"{kind} libraries: {', '.join(shown)}")
    cores, memory, free = os.cpu_count() or 1, installed(), available()
    out.text(f"cpu: {cores} cores; memory {_size(memory)}, of which {_size(free)} are free")
    for each in found[1:]:
        out.text(f"{each.name}: {each.model or 'a GPU'}" + ("" if each.memory is None else f", {size(each.memory)}"))
    out.text(f"encoding would use {chosen}")
    trials = [trial(medium, chosen) for medium in MEDIA.values()]
    for one in trials:
        if one.error is not None:
            fail(Failure.of(one.error), source=one.medium.kind.name.lower(), debug=debug)
        else:
            out.text(f"{one.medium.noun}: encoded, decoded, {one.psnr:.1f} dB after {STEPS} steps, {duration(one.seconds)}")
    missing = [name for name, (version, use) in libraries.items() if version is None and use == NEEDED]
    if missing:
        fail(Failure.of(I2Error(f"{', '.join(missing)} cannot be found; install i2compress again")))
    well = all(one.passed for one in trials) and not missing
    out.text("all is well" if well else "something is wrong; see above")
    facts: dict[str, Json] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "libraries": {name: version for name, (version, _) in libraries.items()},
        "devices": [{"name": each.name, "model": each.model, "memory": each.memory} for each in found],
        "device": chosen,
        "cores": cores,
        "memory": memory,
        "memory_free": free,
        "trials": [_facts(one) for one in trials],
    }
    out.record("", "ok" if well else "error", facts)
    failed = [exit_code(one.error) for one in trials if one.error is not None]
    raise typer.Exit(ExitCode.OK if well else failed[0] if failed else ExitCode.FAILED)


def versions() -> dict[str, tuple[str | None, str]]:
    """The version (None where it is not there) of this package and each library that it names, and whether it is needed."""
    from packaging.requirements import Requirement

    found: dict[str, tuple[str | None, str]] = {"i2compress": (_version("i2compress"), "own")}
    try:
        requirements = metadata.requires("i2compress") or []
    except metadata.PackageNotFoundError:  # a source tree that is not installed
        requirements = []
    extras = (
        [extra for extra in metadata.metadata("i2compress").get_all("Provides-Extra") or [] if extra not in ("dev", "test")] if requirements else []
    )
    for requirement in map(Requirement, requirements):
        needed = requirement.marker is None or requirement.marker.evaluate({"extra": ""})  # not what only another Python or system needs
        wanted = needed or any(requirement.marker.evaluate({"extra": extra}) for extra in extras if requirement.marker is not None)
        if wanted and requirement.name != "i2compress":
            found.setdefault(requirement.name, (_version(requirement.name), NEEDED if needed else OPTIONAL))
    return found


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def trial(medium: "Medium", device: str) -> Trial:
    """A signal of a kind of media, encoded and decoded in memory on `device`."""
    from .. import codec
    from ..config import EncodeSettings

    began = time.perf_counter()
    try:
        signal = sample(medium.kind)
        encoded = codec.encode(signal, EncodeSettings(steps=STEPS, device=device))
        found = codec.I2File.from_bytes(encoded.data).render()
        if found.layout != signal.layout:
            raise I2Error(f"{medium.noun} came back as {medium.describe(found.layout)}; expected {medium.describe(signal.layout)}: report this")
        if not encoded.psnr >= LEAST_PSNR:
            raise I2Error(f"{medium.noun} came back with {encoded.psnr:.1f} dB; expected at least {LEAST_PSNR:g}: try --device cpu, and report this")
        return Trial(medium=medium, seconds=time.perf_counter() - began, psnr=encoded.psnr)
    except Exception as error:  # whatever it is, it is what was asked for
        return Trial(medium=medium, seconds=time.perf_counter() - began, psnr=math.nan, error=error)


def sample(kind: Kind) -> "Signal":
    """A few waves over the whole range of a kind of media."""
    import numpy as np

    from ..signal import Layout, Signal

    samples = SAMPLES[kind]
    grid, rate = GRIDS[samples.axes], RATE if samples.timed else 0
    layout = Layout(
        kind=kind, grid=grid, channels=1 if samples.lowest < 0 else min(3, samples.channels), bit_depth=max(samples.depths[False][:2]), rate=rate
    )
    axes = np.meshgrid(*(np.arange(side) * (6.0 / side if samples.axes > 1 else 0.3) for side in grid), indexing="ij")
    waves = [0.5 + 0.35 * np.sin(sum(axes) + channel) for channel in range(layout.channels)]
    return Signal.of(layout, (samples.lowest + samples.peak * np.stack(waves, -1)).astype(np.float32))


def _facts(one: Trial) -> dict[str, Json]:
    error = None if one.error is None else sentence(one.error)
    return {"kind": one.medium.kind.name.lower(), "ok": one.passed, "psnr": one.psnr, "seconds": one.seconds, "error": error}


def _size(count: int | None) -> str:
    return "unknown" if count is None else size(count)
