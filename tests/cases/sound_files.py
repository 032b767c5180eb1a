"""Sound files made here, whole, patched and cut, so that no test needs a file."""

import io
import struct
from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt
import soundfile

from i2compress.media.sound.files import SoundReader

Values = npt.NDArray[np.float64]
N = 4000
ONE_CODE = 1.01 * 2.0**-15


def tones(samples: int = N, channels: int = 2, rate: int = 8000, pitch: float = 110) -> Values:
    """`[N, C]`: a sine in each channel, each of another strength and pitch."""
    t = np.arange(samples)[:, None] / rate
    return np.sin(2 * np.pi * pitch * t * np.arange(2, channels + 2)) * (0.1 * np.arange(1, channels + 1))


def written(form: str, subtype: str, values: Values | None = None, rate: int = 8000) -> bytes:
    """A file by libsndfile."""
    file = io.BytesIO()
    soundfile.write(file, tones() if values is None else values, rate, format=form, subtype=subtype)
    return file.getvalue()


def muxed(form: str, codec: str, values: Values, rate: int, sample_format: str | None = None, video: bool = False, **options: str) -> bytes:
    """A file by FFmpeg, with a title, and a track of video where asked for."""
    file = io.BytesIO()
    layout = {1: "mono", 2: "stereo"}[values.shape[1]]
    with av.open(file, "w", format=form, container_options=options) as container:
        sound = container.add_stream(codec, rate=rate, layout=layout)
        if codec == "wmav2":
            sound.bit_rate = 128000
        if sample_format:
            sound.format = sample_format
        picture = container.add_stream("mpeg4", rate=25) if video else None
        if picture is not None:
            picture.width = picture.height = 32
            picture.pix_fmt = "yuv420p"
        container.metadata["title"] = "A title"
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(values.T, np.float32), format="fltp", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        resampler = av.AudioResampler(format=sample_format or sound.codec_context.format.name, layout=layout, rate=rate)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(sound.encode(piece))
        container.mux(sound.encode(None))
        if picture is not None:
            image = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            image.pts, image.time_base = 0, Fraction(1, 25)
            container.mux([*picture.encode(image), *picture.encode(None)])
    return file.getvalue()


def opened(data: bytes, name: str = "x.snd") -> tuple[SoundReader, Values]:
    """The reader of a file and all its samples `[N, C]`."""
    reader = SoundReader(io.BytesIO(data), name)
    return reader, reader.read(0, reader.layout.samples)


def patched(data: bytes, place: int, form: str, value: int) -> bytes:
    """The file with another number at a place."""
    changed = bytearray(data)
    struct.pack_into(form, changed, place, value)
    return bytes(changed)


def size_field(form: str, data: bytes) -> tuple[int, str]:
    """Place and type of the number of bytes of sound in a file's header."""
    places = {
        "WAV": lambda: (data.index(b"data") + 4, "<I"),
        "RF64": lambda: (data.index(b"ds64") + 16, "<Q"),
        "W64": lambda: (data.index(b"data") + 16, "<Q"),
        "AIFF": lambda: (data.index(b"SSND") + 4, ">I"),
        "AU": lambda: (8, ">I"),
        "CAF": lambda: (data.index(b"data\0") + 4, ">Q"),
    }
    return places[form]()


FORMS = ("WAV", "RF64", "W64", "AIFF", "AU", "CAF")
ID3 = b"ID3\x04\0\0\0\0\0\x0a" + bytes(10)


def mp3(rate: int = 44100, samples: int = 44123, **options: str) -> bytes:
    """By LAME, mono, with a title unless `options` say otherwise."""
    return muxed("mp3", "libmp3lame", tones(samples, 1, rate), rate, **options)
