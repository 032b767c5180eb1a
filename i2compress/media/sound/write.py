"""Sound files written in blocks through libsndfile."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np

from ...arrays import Float32Array
from ...errors import UsageError
from ...signal import Codes, Layout, Metadata, Values
from ..protocol import Format
from . import ogg
from .libsndfile import DEPTHS, library
from .tags import WRITTEN, parse_tags

_LOSSY = {"ogg": ("OGG", "VORBIS"), "opus": ("OGG", "OPUS"), "mp3": ("MP3", "MPEG_LAYER_III")}
AT_ONCE = 65536  # samples: libsndfile puts what it encodes as Vorbis on the stack, and crashes where that is two minutes
_SUBTYPES = {(8, False): ("PCM_U8", "PCM_S8"), (32, True): ("FLOAT", "PCM_24"), (64, True): ("DOUBLE", "FLOAT", "PCM_24")}


def to_codes(values: Values, bit_depth: int, floating: bool) -> Values:
    """The values that a file of that depth holds, as float64 or float32: clipped and rounded to codes; floating point is kept."""
    if floating:
        return values
    top = 2.0 ** (bit_depth - 1)
    return np.asarray(np.clip(np.floor(values.astype(np.float64) * top + 0.5), -top, top - 1) / top)


class SoundWriter:
    """Takes blocks of one sound from start to end; see media.protocol.Sink.

    Args:
        file: soundfile's, open for writing.
        layout: what it holds.
        order: for every channel of the file its number in WAV's order.
    """

    def __init__(self, file: Any, layout: Layout, order: list[int]) -> None:
        self._file, self.layout, self._order = file, layout, order
        self.clipped = 0

    def write(self, values: Float32Array | Codes) -> None:
        """See Sink: samples `[n, C]`, full scale [-1, 1); clipped and rounded where the file holds integers."""
        values = np.asarray(values, np.float32)
        for start in range(0, len(values), AT_ONCE):
            self._write(values[start : start + AT_ONCE, self._order])

    def _write(self, values: Float32Array) -> None:
        if self.layout.floating:
            self._file.write(np.ascontiguousarray(values))
            return
        self.clipped += int(np.count_nonzero(np.abs(values) > 1))
        codes = to_codes(values, self.layout.bit_depth, False) * 2.0**31
        self._file.write(codes.astype(np.int64).astype(np.int32))

    @property
    def notes(self) -> tuple[str, ...]:
        """See Sink."""
        if not self.clipped:
            return ()
        what = f"{self.clipped} sample{'s' if self.clipped > 1 else ''} beyond full scale"
        return (f"{what} had to be clipped to {self.layout.bit_depth}-bit integers: write floating-point WAV to keep them",)


@contextmanager
def create(file: BinaryIO, form: Format, layout: Layout, metadata: Metadata) -> Iterator[SoundWriter]:
    """See Medium: one sound.

    Raises:
        UsageError: the format cannot hold this sound.
    """
    soundfile = library()
    major, subtype, chosen = _chosen(soundfile, form, layout)
    order = ogg.from_wav_order(layout.channels) if major == "OGG" else list(range(layout.channels))
    with _seekable(file) as place:
        try:
            out = soundfile.SoundFile(place, "w", samplerate=layout.rate, channels=layout.channels, format=major, subtype=subtype)
        except soundfile.LibsndfileError as error:
            raise UsageError(_cannot(form, layout, error.error_string)) from error
        except (ValueError, TypeError) as error:
            raise UsageError(_cannot(form, layout, str(error))) from error
        with out:
            for name, value in parse_tags(metadata.tags).items():
                if "tags" in form.carries and name in WRITTEN:
                    setattr(out, name, value)
            yield SoundWriter(out, chosen, order)


def _cannot(form: Format, layout: Layout, why: str) -> str:
    return f"{form.name} cannot hold {layout.channels} channels at {layout.rate} Hz ({why.rstrip('.')}); choose wav"


def _chosen(soundfile: ModuleType, form: Format, layout: Layout) -> tuple[str, str, Layout]:
    """libsndfile's names of the file format and of its samples, and what the samples become."""
    if layout.channels not in form.channels:
        raise UsageError(f"{form.name} cannot hold {layout.channels} channels; choose wav or flac")
    if form.name in _LOSSY:
        return *_LOSSY[form.name], replace(layout, bit_depth=32, floating=True)
    major = form.name.upper()
    wanted = _SUBTYPES.get((layout.bit_depth, layout.floating), (f"PCM_{layout.bit_depth}", "PCM_24"))
    subtype = next((name for name in wanted if soundfile.check_format(major, name)), "PCM_16")
    floating = subtype in ("FLOAT", "DOUBLE")
    return major, subtype, replace(layout, bit_depth=DEPTHS.get(subtype, 16), floating=floating)


@contextmanager
def _seekable(file: BinaryIO) -> Iterator[BinaryIO]:
    """`file`, or where it cannot seek a temporary one that is copied to it at the end."""
    if file.seekable():
        yield file
        return
    with tempfile.TemporaryFile() as place:
        yield place
        place.seek(0)
        shutil.copyfileobj(place, file)
