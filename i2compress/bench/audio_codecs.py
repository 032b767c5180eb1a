"""Codecs of sound for the benchmark: i2c, and peers through PyAV (ffmpeg's libraries), each as a whole file in memory."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ..config import EncodeSettings
from ..signal import Kind, Signal

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class AudioCodec:
    """One codec.

    Args:
        name, note: in tables.
        extension: of its files, without a dot.
        points: of a curve: kbps for peers, quality for i2c; one that means nothing for FLAC.
        encode: samples `[n, C]`, rate and point to the bytes of a file.
        decode: bytes and rate to samples at that rate.
    """

    name: str
    note: str
    extension: str
    points: tuple[float, ...]
    encode: Callable[[FloatArray, int, float], bytes]
    decode: Callable[[bytes, int], FloatArray]


def _encode_i2c(samples: FloatArray, rate: int, quality: float, *, tune: str, effort: int, depth: tuple[int, bool]) -> bytes:
    from ..sound.encode import encode_sound

    signal = Signal(values=samples.astype(np.float32), kind=Kind.AUDIO, rate=rate, bit_depth=depth[0], floating=depth[1])
    return encode_sound(signal, EncodeSettings(quality=quality, tune=tune, effort=effort, threads=1)).data


def _decode_i2c(data: bytes, rate: int) -> FloatArray:
    from ..media.audio import to_codes
    from ..sound.decode import I2Sound

    file = I2Sound.from_bytes(data, threads=1)
    blocks = [to_codes(block, *file.depth()) for block in file.blocks()]
    return np.concatenate(blocks).astype(np.float64)


def _encode_av(samples: FloatArray, rate: int, kbps: float, *, codec: str, container: str, rates: tuple[int, ...]) -> bytes:
    import av

    layout = "mono" if samples.shape[1] == 1 else "stereo"
    used = rate if not rates or rate in rates else min((r for r in rates if r >= rate), default=max(rates))
    file = io.BytesIO()
    with av.open(file, "w", format=container, options={"metadata_header_padding": "0"}) as out:  # FLAC gets 8 kB of it otherwise
        stream: Any = out.add_stream(codec, rate=used)
        stream.layout = layout
        if codec != "flac":
            stream.bit_rate = round(1000 * kbps)
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
    return file.getvalue()


def _decode_av(data: bytes, rate: int) -> FloatArray:
    import av

    with av.open(io.BytesIO(data)) as file:
        stream = file.streams.audio[0]
        resampler = av.AudioResampler(format="flt", layout=stream.layout.name, rate=rate)
        pieces = []
        for frame in file.decode(stream):  # type: ignore[union-attr]  # opened for reading
            frame.pts = None
            pieces += [piece.to_ndarray() for piece in resampler.resample(frame)]
        pieces += [piece.to_ndarray() for piece in resampler.resample(None)]
        return np.concatenate(pieces, 1).reshape(-1, stream.channels).astype(np.float64)


def codecs(*, effort: int, depth: tuple[int, bool]) -> dict[str, AudioCodec]:
    """The table; the anchor is "opus"."""
    opus = partial(_encode_av, codec="libopus", container="ogg", rates=(8000, 12000, 16000, 24000, 48000))
    mp3 = partial(_encode_av, codec="libmp3lame", container="mp3", rates=(16000, 22050, 24000, 32000, 44100, 48000))
    aac = partial(_encode_av, codec="aac", container="adts", rates=())
    flac = partial(_encode_av, codec="flac", container="flac", rates=())
    fit = partial(_encode_i2c, effort=effort, depth=depth)
    table = (
        AudioCodec(
            name="i2c-snr", note="i2c --tune snr", extension="i2", points=(15, 35, 55, 75), encode=partial(fit, tune="snr"), decode=_decode_i2c
        ),
        AudioCodec(
            name="i2c",
            note="i2c, tuned for hearing",
            extension="i2",
            points=(15, 35, 55, 75),
            encode=partial(fit, tune="hearing"),
            decode=_decode_i2c,
        ),
        AudioCodec(
            name="opus", note="libopus in Ogg, VBR", extension="ogg", points=(8, 12, 16, 24, 32, 48, 64, 96, 128, 192), encode=opus, decode=_decode_av
        ),
        AudioCodec(name="mp3", note="LAME in MP3, CBR", extension="mp3", points=(24, 32, 48, 64, 96, 128, 192), encode=mp3, decode=_decode_av),
        AudioCodec(
            name="aac", note="ffmpeg's own AAC in ADTS", extension="aac", points=(16, 24, 32, 48, 64, 96, 128, 192), encode=aac, decode=_decode_av
        ),
        AudioCodec(name="flac", note="FLAC of 16 bits", extension="flac", points=(0,), encode=flac, decode=_decode_av),
    )
    return {codec.name: codec for codec in table}
