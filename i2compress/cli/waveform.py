"""What the verbs do with a waveform in a coordinate field: sound without segments, the whole of it one network."""

import math
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..config import EncodeSettings
from ..errors import SignalError, UsageError
from ..files import STDIO
from . import batch, sound
from .output import Json, Output, duration, size

if TYPE_CHECKING:
    from ..codec import I2File
    from ..config import View
    from ..signal import Signal


def encode_one(
    job: batch.Job, data: bytes | None, settings: EncodeSettings, out: Output, *, stop: Callable[[], bool], force: bool, verify: bool
) -> None:
    """Encode the sound at a path, or in `data` (standard input), as one coordinate field."""
    from .. import media
    from ..codec import encode_signal
    from ..signal import Kind

    if settings.bitrate is not None:
        raise UsageError("--bitrate is not for coordinate fields; choose --width, or -q")
    signal = media.read(job.source if data is None else data, kind=Kind.AUDIO)
    if stop():
        raise KeyboardInterrupt
    name = job.source if job.target == STDIO else job.target
    with out.progress(name) as on_step:
        encoded = encode_signal(signal, settings, on_step=on_step, stop=stop)
    batch.write_output(job.target, encoded.data, force=force, verify=verify)
    count, samples = len(encoded.data), signal.grid[0]
    rate, snr = 8 * count * signal.rate / samples, _snr(signal, encoded.psnr)
    what = sound.describe(samples, signal.rate, signal.channels, signal.bit_depth, signal.floating)
    out.line(f"{name}: {what}, {size(count)}, {rate / 1000:.2f} kbps, {snr:.2f} dB SNR, {duration(encoded.seconds)}")
    if not encoded.converged:
        out.warn(f"{job.target}: the fixed point is not reached, and the file says so; leave --no-contract out")
    source_bytes = os.path.getsize(job.source) if data is None else len(data)
    if count > source_bytes:
        out.warn(f"{job.target} is larger than its source ({count} bytes, {source_bytes} before); keep the source, or choose a smaller --width")
    fields: dict[str, Json] = {"output": job.target, "kind": "audio", "samples": samples, "rate": signal.rate, "channels": signal.channels}
    fields |= {"bytes": count, "source_bytes": source_bytes, "bitrate": rate, "snr": snr, "psnr": encoded.psnr}
    out.record(job.source, "ok", {**fields, "seconds": encoded.seconds, "steps": encoded.steps, "converged": encoded.converged})


def decode_one(job: batch.Job, file: "I2File", view: "View", out: Output, *, format: str | None, force: bool, most: int) -> None:
    """Decode a waveform."""
    from ..media.sound.files import SoundLayout
    from ..render.view import output_depth

    began, form = time.perf_counter(), file.waveform
    samples, channels = file.output_shape(view)
    sound.check_length(samples, channels, most)
    depth, floating = output_depth(view, form.bit_depth, form.floating)
    rate = view.rate or form.rate
    layout = SoundLayout(rate=rate, channels=channels, bit_depth=depth, floating=floating, metadata=file.metadata)
    with sound.writer(job, layout, format, force, "wav") as writer:
        for band in file.bands(view):
            writer.write(band)
    seconds = time.perf_counter() - began
    name = job.source if job.target == STDIO else job.target
    out.line(f"{name}: {sound.describe(samples, rate, channels, depth, floating)}, {duration(seconds)}")
    fields: dict[str, Json] = {"output": job.target, "samples": samples, "rate": rate, "channels": channels, "bit_depth": depth}
    out.record(job.source, "ok", {**fields, "complete": file.complete, "seconds": seconds})


def verify(path: str, file: "I2File", against: str | None, min_psnr: float | None, out: Output) -> None:
    """Decode a waveform to its end, and measure it against its source."""
    import numpy as np

    from .. import media, metrics
    from ..signal import Kind

    began, form = time.perf_counter(), file.waveform
    values = file.render().values
    what = sound.describe(len(values), form.rate, file.header.channels, form.bit_depth, form.floating)
    psnr = snr = None
    if against is not None:
        source = media.read(batch.read_input(STDIO) if against == STDIO else against, kind=Kind.AUDIO)
        if source.values.shape != values.shape or source.rate != form.rate:
            found = sound.describe(source.grid[0], source.rate, source.channels, source.bit_depth, source.floating)
            raise SignalError(f"{against} is {found}; expected {what} as in the .i2 file: give the sound it was made from")
        psnr = metrics.psnr(metrics.mean_squared_error(np.asarray(values), source.values), peak=2.0)
        snr = _snr(source, psnr - 20 * math.log10(2))
    seconds = time.perf_counter() - began
    sound.report_verified(path, what, snr, psnr, min_psnr, seconds, out)


def _snr(signal: "Signal", psnr: float) -> float:
    """Signal-to-noise ratio in dB, from the PSNR of peak 1."""
    import numpy as np

    power = float(np.mean(np.square(signal.values, dtype=np.float64)))
    return psnr + 10 * math.log10(power) if power else math.nan
