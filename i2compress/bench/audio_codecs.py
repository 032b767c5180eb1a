"""Codecs of sound for the benchmark: i2c, and peers through PyAV (ffmpeg's libraries), each as a whole file in memory."""

import io
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import I2Error
from ..memory import keep_freed_memory
from . import fitted
from .audio import Sound, aligned
from .parts import Codec, Coded, Work

FloatArray = npt.NDArray[np.float64]


def _encode_i2c(sound: Sound, work: Work, *, tune: str) -> Coded:
    from ..codec import encode
    from ..signal import Kind, Signal

    signal = Signal(values=sound.values.astype(np.float32), kind=Kind.AUDIO, rate=sound.rate, bit_depth=sound.bit_depth, floating=sound.floating)
    chosen = fitted.settings(work, tune=tune)
    return Coded(encode(signal, chosen).data, device=fitted.device(chosen))


def _decode_i2c(data: bytes, threads: int | None) -> Sound:
    from ..codec import I2File
    from ..media.sound.write import to_codes

    file = I2File.from_bytes(data, threads=threads)
    form = file.layout
    blocks = [to_codes(block, form.bit_depth, form.floating) for block in file.blocks()]
    return Sound(values=np.concatenate(blocks).astype(np.float64), rate=form.rate, bit_depth=form.bit_depth, floating=form.floating)


def _prepare_i2c() -> None:
    from .. import codec, fit  # noqa: F401  # torch takes seconds to import

    keep_freed_memory()  # as i2c encode does


def _encode_av(sound: Sound, work: Work, *, codec: str, container: str, rates: tuple[int, ...]) -> Coded:
    import av

    samples, rate = sound.values, sound.rate
    layout = "mono" if samples.shape[1] == 1 else "stereo"
    used = rate if not rates or rate in rates else min((r for r in rates if r >= rate), default=max(rates))
    file = io.BytesIO()
    with av.open(file, "w", format=container, options={"metadata_header_padding": "0"}) as out:  # FLAC gets 8 kB of it otherwise
        stream: Any = out.add_stream(codec, rate=used)
        stream.layout = layout
        if codec != "flac":
            stream.bit_rate = round(1000 * work.quality)
        form = stream.codec_context.format.name if stream.codec_context.format else "s16"
        stream.codec_context.open()
        size = stream.codec_context.frame_size
        resampler = av.AudioResampler(format=form, layout=layout, rate=used, frame_size=size or None)
        kind, values = (
            ("s16", np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)) if codec == "flac" else ("flt", samples.astype("f4"))
        )
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(values.reshape(1, -1)), format=kind, layout=layout)
        frame.sample_rate = rate
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            for packet in stream.encode(piece):
                out.mux(packet)
        for packet in stream.encode(None):
            out.mux(packet)
    return Coded(file.getvalue())


def _decode_av(data: bytes, threads: int | None) -> Sound:
    import av

    with av.open(io.BytesIO(data)) as file:
        stream = file.streams.audio[0]
        rate = stream.rate
        resampler = av.AudioResampler(format="flt", layout=stream.layout.name, rate=rate)
        pieces = []
        for frame in file.decode(stream):  # type: ignore[union-attr]  # opened for reading
            frame.pts = None
            pieces += [piece.to_ndarray() for piece in resampler.resample(frame)]
        pieces += [piece.to_ndarray() for piece in resampler.resample(None)]
        values = np.concatenate(pieces, 1).reshape(-1, stream.channels).astype(np.float64)
    return Sound(values=values, rate=rate, bit_depth=32, floating=True)


def onto(source: Sound, decoded: Sound) -> Sound:
    """The decoded sound at the source's rate, without the decoder's delay and of the source's length."""
    if decoded.values.shape[1] != source.values.shape[1]:
        raise I2Error(f"{decoded.values.shape[1]} channels came back; expected {source.values.shape[1]}: leave the codec out")
    values = _resampled(decoded.values, decoded.rate, source.rate)
    return Sound(values=aligned(source.values, values), rate=source.rate, bit_depth=source.bit_depth, floating=source.floating)


def _resampled(samples: FloatArray, rate: int, wanted: int) -> FloatArray:
    """`samples` `[n, C]` at another rate, by ffmpeg's resampler; C is 1 or 2."""
    if rate == wanted:
        return samples
    import av

    layout = "mono" if samples.shape[1] == 1 else "stereo"
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.astype("f4").reshape(1, -1)), format="flt", layout=layout)
    frame.sample_rate = rate
    resampler = av.AudioResampler(format="flt", layout=layout, rate=wanted)
    pieces = [piece.to_ndarray() for piece in [*resampler.resample(frame), *resampler.resample(None)]]
    return np.concatenate(pieces, 1).reshape(-1, samples.shape[1]).astype(np.float64)


def _import_av() -> None:
    import av  # noqa: F401


def _missing(encoder: str) -> str | None:
    if find_spec("av") is None:
        return "av is not installed; pip install av"
    import av.codec

    return None if encoder in av.codecs_available else f"this PyAV is built without {encoder}; install PyAV's own wheel"


def _versions() -> dict[str, str]:
    import av

    return {"av": version("av"), "libavcodec": ".".join(map(str, av.library_versions["libavcodec"]))}


def _i2c(name: str, note: str, tune: str) -> Codec:
    return Codec(
        name=name,
        note=note,
        extension="i2",
        qualities=(15.0, 35.0, 55.0, 75.0),
        encode=partial(_encode_i2c, tune=tune),
        decode=_decode_i2c,
        missing=fitted.nothing_missing,
        versions=partial(fitted.versions, fitted.SOUND_SHAPING),
        prepare=_prepare_i2c,
        fitted=True,
    )


def _av(name: str, note: str, kbps: tuple[float, ...], *, codec: str, container: str, rates: tuple[int, ...] = (), lowest: int = 1) -> Codec:
    return Codec(
        name=name,
        note=note,
        extension=container,
        qualities=kbps,
        encode=partial(_encode_av, codec=codec, container=container, rates=rates),
        decode=_decode_av,
        missing=partial(_missing, codec),
        versions=_versions,
        prepare=_import_av,
        lowest=lowest,
        highest=512,
    )


_OPUS_RATES = (8000, 12000, 16000, 24000, 48000)
_MP3_RATES = (16000, 22050, 24000, 32000, 44100, 48000)

_ENTRIES = (
    _i2c("i2c-snr", "i2c --tune snr", "snr"),
    _i2c("i2c", "i2c, tuned for hearing", "hearing"),
    _av("opus", "libopus in Ogg, VBR", (8, 12, 16, 24, 32, 48, 64, 96, 128, 192), codec="libopus", container="ogg", rates=_OPUS_RATES),
    _av("mp3", "LAME in MP3, CBR", (24, 32, 48, 64, 96, 128, 192), codec="libmp3lame", container="mp3", rates=_MP3_RATES),
    _av("aac", "ffmpeg's own AAC in ADTS", (16, 24, 32, 48, 64, 96, 128, 192), codec="aac", container="adts"),
    _av("flac", "FLAC of 16 bits", (0,), codec="flac", container="flac", lowest=0),
)

CODECS = {codec.name: codec for codec in _ENTRIES}
