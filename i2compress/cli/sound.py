"""What the verbs do with sound; pictures are in the verbs' own modules."""

import io
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..config import DEFAULT_FIELD, EncodeSettings, View
from ..container import ChunkSize, chunk_sizes, is_sound
from ..errors import SignalError, TargetError, UsageError
from ..files import STDIO
from ..waveform import is_waveform
from . import batch
from .output import Json, Output, duration, size

if TYPE_CHECKING:
    from ..media.sound.decode import I2Sound
    from ..media.sound.encode import EncodedSound
    from ..media.sound.files import SoundLayout, SoundReader, SoundWriter
    from ..media.sound.format import SoundFile, SoundHeader

HEAD = 64  # bytes from which a file is known


def head(source: str) -> bytes:
    """The first bytes of a path; none of standard input, which cannot be read twice, and of what cannot be read."""
    try:
        if source == STDIO:
            return b""
        with open(source, "rb") as file:
            return file.read(HEAD)
    except (OSError, ValueError):
        return b""


def output_extension(source: str, asked: str | None, otherwise: str) -> str:
    """Of a decoded file: what was asked for, else the format that a sound came from (wav for a lossy one), else `otherwise`."""
    if asked is not None:
        return asked
    first = head(source)
    if is_waveform(first):
        return "wav"
    if not is_sound(first):
        return otherwise
    from ..container import ChunkReader
    from ..errors import FormatError
    from ..media.sound.format import SOURCES, sound_header

    try:
        return SOURCES[sound_header(ChunkReader(first).expect("A")).source]
    except FormatError:  # said when the file is decoded
        return "wav"


def describe(samples: int, rate: int, channels: int, bit_depth: int, floating: bool) -> str:
    """12.45 s, 48000 Hz, 2 channels, 16 bit."""
    what = {1: "mono", 2: "stereo"}.get(channels, f"{channels} channels")
    return f"{samples / rate:.4g} s, {rate} Hz, {what}, {bit_depth} bit{' float' if floating else ''}"


@contextmanager
def _opened(source: str, data: bytes | None) -> "Iterator[SoundReader]":
    from .. import media
    from ..media.sound.files import SoundReader

    with io.BytesIO(data) if data is not None else media.open_binary(source) as file:
        yield SoundReader(file, "standard input" if data is not None else source)


def encode_one(
    job: batch.Job, data: bytes | None, settings: EncodeSettings, out: Output, *, stop: Callable[[], bool], force: bool, verify: bool
) -> None:
    """Encode the sound at a path, or in `data` (standard input)."""
    from ..media.sound.encode import encode_sound

    name = job.source if job.target == STDIO else job.target
    if settings.field != DEFAULT_FIELD:
        raise UsageError(f"--field {settings.field} does not take sound files yet; leave it out, or see i2c reproduce")
    with _opened(job.source, data) as source:
        if stop():
            raise KeyboardInterrupt
        with out.progress(name) as on_step:
            encoded = encode_sound(source, settings, on_step=on_step, stop=stop)
        batch.write_output(job.target, encoded.data, force=force, verify=verify)
        _report_encode(job, source, encoded, len(data) if data is not None else os.path.getsize(job.source), out)
    if stop():
        out.line(f"{name}: stopped early, after {encoded.steps} steps")


def _report_encode(job: batch.Job, source: "SoundReader", encoded: "EncodedSound", source_bytes: int, out: Output) -> None:
    layout, count = source.layout, len(encoded.data)
    what = describe(source.samples, layout.rate, layout.channels, layout.bit_depth, layout.floating)
    speed = encoded.seconds * layout.rate / source.samples
    rate = f"{size(count)}, {encoded.bitrate / 1000:.2f} kbps, {encoded.snr:.2f} dB SNR, {duration(encoded.seconds)} ({speed:.2g} x its length)"
    out.line(f"{job.source if job.target == STDIO else job.target}: {what}, {rate}")
    if count > source_bytes:
        out.warn(f"{job.target} is larger than its source ({count} bytes, {source_bytes} before); keep the source, or lower -q")
    fields: dict[str, Json] = {"output": job.target, "kind": "audio", **_layout_fields(source.samples, layout)}
    fields |= {"bytes": count, "source_bytes": source_bytes, "bitrate": encoded.bitrate, "snr": encoded.snr, "psnr": encoded.psnr}
    out.record(job.source, "ok", {**fields, "sizes": dict(encoded.sizes), "seconds": encoded.seconds, "steps": encoded.steps})


def _layout_fields(samples: int, layout: "SoundLayout | SoundHeader") -> dict[str, Json]:
    depth: dict[str, Json] = {"bit_depth": layout.bit_depth, "floating": layout.floating}
    return {"samples": samples, "rate": layout.rate, "channels": layout.channels, **depth}


def decode_one(
    job: batch.Job, data: bytes, view: View, out: Output, *, format: str | None, force: bool, allow_partial: bool, threads: int | None, most: int
) -> None:
    """Decode the sound in `data`."""
    from ..media.sound.decode import I2Sound
    from ..media.sound.files import SoundLayout
    from ..media.sound.format import SOURCES

    began = time.perf_counter()
    file = I2Sound.from_bytes(data, threads=threads, allow_partial=allow_partial)
    depth, floating = file.depth(view)
    first, last = file.span(view)
    check_length(last - first, file.header.channels, most)
    layout = SoundLayout(
        rate=view.rate or file.header.rate, channels=file.header.channels, bit_depth=depth, floating=floating, metadata=file.metadata
    )
    with writer(job, layout, format, force, SOURCES[file.header.source]) as into:
        for block in file.blocks(view):
            into.write(block)
    if not file.complete:
        out.warn(f"{job.source} was cut short; {job.target} is silent where its segments are missing")
    seconds = time.perf_counter() - began
    what = describe(last - first, layout.rate, layout.channels, depth, floating)
    out.line(f"{job.source if job.target == STDIO else job.target}: {what}, {duration(seconds)}")
    fields: dict[str, Json] = {"output": job.target, **_layout_fields(last - first, layout), "complete": file.complete, "seconds": seconds}
    out.record(job.source, "ok", fields)


def check_length(samples: int, channels: int, most: int) -> None:
    """Raises UsageError where an output has more samples in all than --max-samples allows."""
    if samples * channels > most:
        raise UsageError(f"the output has {samples} samples a channel; expected at most {most} in all: use --time, or raise --max-samples")


@contextmanager
def writer(job: batch.Job, layout: "SoundLayout", format: str | None, force: bool, source: str) -> "Iterator[SoundWriter]":
    """A writer of sound to a job's target, on standard output in the format `source` unless one is asked for."""
    from ..files import atomic_writer
    from ..media import find_format
    from ..media.sound.files import open_sound_writer
    from ..signal import Kind

    name = format or (source if job.target == STDIO else os.path.splitext(job.target)[1])
    form = find_format(name) if name else None
    if form is None or form.kind is not Kind.AUDIO:
        known = "wav, flac, aiff, caf, au, w64, rf64, ogg, opus, mp3"
        raise UsageError(f"'{name}' says no known format of sound; expected one of {known}")
    if job.target == STDIO:
        with open_sound_writer(sys.stdout.buffer, form, layout) as opened:
            yield opened
        return
    with atomic_writer(job.target, force=force) as place, open_sound_writer(place, form, layout) as opened:
        yield opened


def info(path: str, data: bytes, out: Output) -> None:
    """Show what a file of sound holds and where its bytes are."""
    from ..media.sound.format import read_sound

    content, chunks = read_sound(data), chunk_sizes(data)
    out.text(_text(path, content, chunks, len(data)))
    header = content.header
    grouped: dict[str, Json] = {chunk.name: 0 for chunk in chunks}
    for chunk in chunks:
        grouped[chunk.name] = int(str(grouped[chunk.name])) + chunk.size
    fields: dict[str, Json] = {"kind": "audio", **_layout_fields(header.samples, header), "lambda": header.lam}
    fields |= {"hop": header.hop, "segments": header.segments, "bins": [segment.bins for segment in content.segments]}
    out.record(path, "ok", {**fields, "bytes": len(data), "bitrate": 8 * len(data) * header.rate / header.samples, "sizes": grouped})


def _text(path: str, content: "SoundFile", chunks: list[ChunkSize], count: int) -> str:
    header = content.header
    what = describe(header.samples, header.rate, header.channels, header.bit_depth, header.floating)
    lam = "" if header.lam is None else f", lambda {header.lam:.2g}"
    rate = f"{size(count)}, {8e-3 * count * header.rate / header.samples:.2f} kbps{lam}"
    parts = f"{header.segments} segment{'s' if header.segments > 1 else ''}, frames of {header.hop} samples"
    lines = [f"{path}: I2 audio, {what}, {rate}, {parts}"]
    for name in dict.fromkeys(chunk.name for chunk in chunks):
        total = sum(chunk.size for chunk in chunks if chunk.name == name)
        letter = next(chunk.type for chunk in chunks if chunk.name == name)
        lines.append(f"  {letter or ' '} {name:<10}{total:>10} bytes {100 * total / count:6.1f} %")
    return "\n".join(lines)


def verify(path: str, data: bytes, against: str | None, min_psnr: float | None, threads: int | None, out: Output) -> None:
    """Decode a file of sound to its end, and measure it against its source."""
    from ..media.sound.decode import I2Sound

    began = time.perf_counter()
    file = I2Sound.from_bytes(data, threads=threads)
    header = file.header
    what = describe(header.samples, header.rate, header.channels, header.bit_depth, header.floating)
    snr, psnr = (None, None) if against is None else _compare(file, against, what)
    if against is None:
        for _ in file.blocks():
            pass
    seconds = time.perf_counter() - began
    report_verified(path, what, snr, psnr, min_psnr, seconds, out)


def report_verified(path: str, what: str, snr: float | None, psnr: float | None, min_psnr: float | None, seconds: float, out: Output) -> None:
    """Say that a sound is whole and how good it is. Raises TargetError below `min_psnr`."""
    if psnr is not None and min_psnr is not None and psnr < min_psnr:
        raise TargetError(f"{path} has {psnr:.2f} dB PSNR; expected at least {min_psnr:g} dB: encode again with a higher -q or -e")
    if not out.quiet:
        quality = "" if snr is None else f", {snr:.2f} dB SNR, {psnr:.2f} dB PSNR"
        out.text(f"{path}: OK, {what}{quality}, decoded in {duration(seconds)}")
    out.record(path, "ok", {"kind": "audio", "snr": snr, "psnr": psnr, "seconds": seconds})


def _compare(file: "I2Sound", against: str, expected: str) -> tuple[float, float]:
    """SNR and PSNR (peak 2) in dB."""
    from ..media.sound.encode import compare

    with _opened(against, batch.read_input(STDIO) if against == STDIO else None) as source:
        layout = source.layout
        found = describe(source.samples, layout.rate, layout.channels, layout.bit_depth, layout.floating)
        if found != expected or source.samples != file.header.samples:
            raise SignalError(f"{against} is {found}; expected {expected} as in the .i2 file: give the sound it was made from")
        return compare(file, source)
