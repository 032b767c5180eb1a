"""Sound files as Source and Sink."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import BinaryIO

import numpy as np

from ...kinds import Kind
from ...signal import Codes, FloatArray, Layout, Metadata, Values
from ..protocol import Format
from . import files


class SoundSource:
    """A sound file being read; see media.protocol.Source."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._reader = files.SoundReader(file, name)
        form = self._reader.layout
        self.layout = Layout(
            kind=Kind.AUDIO,
            grid=(self._reader.samples,),
            channels=form.channels,
            bit_depth=form.bit_depth,
            floating=form.floating,
            rate=form.rate,
        )
        self.metadata, self.format = form.metadata, self._reader.source

    @property
    def notes(self) -> Sequence[str]:
        """See Source."""
        return ()

    def read(self, start: int, count: int) -> Values:
        """See Source: float64 `[n, C]`, full scale is [-1, 1)."""
        return self._reader.read(start, count).T


open = SoundSource


class SoundSink:
    """Takes blocks of a sound; see media.protocol.Sink."""

    notes: Sequence[str] = ()

    def __init__(self, writer: files.SoundWriter, layout: Layout) -> None:
        form = writer.layout
        self.layout = replace(layout, bit_depth=form.bit_depth, floating=form.floating)
        self._writer = writer

    def write(self, values: FloatArray | Codes) -> None:
        """See Sink."""
        self._writer.write(np.asarray(values, np.float32))


@contextmanager
def create(file: BinaryIO, form: Format, layout: Layout, metadata: Metadata) -> Iterator[SoundSink]:
    """See Medium."""
    given = files.SoundLayout(rate=layout.rate, channels=layout.channels, bit_depth=layout.bit_depth, floating=layout.floating, metadata=metadata)
    with files.open_sound_writer(file, form, given) as writer:
        yield SoundSink(writer, layout)
