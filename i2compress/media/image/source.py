"""Picture files as Source and Sink."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import BinaryIO

from ...arrays import Float32Array
from ...kinds import Kind
from ...signal import Codes, Layout, Metadata, Values, from_codes, to_codes
from ..protocol import Format
from . import files
from .sniff import sniff
from .target import RowWriter, Target


class PictureSource:
    """A picture file that was read; see media.protocol.Source, whose properties are plain attributes here."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        data = file.read()
        found = files.decode_picture(data, name)
        height, width, channels = found.codes.shape
        self.layout = Layout(kind=Kind.IMAGE, grid=(height, width), channels=channels, bit_depth=8 * found.codes.dtype.itemsize)
        self.metadata, self.format, self.notes = found.metadata, sniff(data), found.notes
        self._codes = found.codes

    def read(self, start: int, count: int) -> Values:
        """See Source: rows in [0, 1]."""
        return from_codes(self._codes[start : start + count])


open = PictureSource


class PictureSink:
    """Rounds rows to the code values that the picture's file holds; see media.protocol.Sink."""

    def __init__(self, rows: RowWriter, layout: Layout, form: Format, metadata: Metadata) -> None:
        # WebP has a place for a profile, and none for one of gray.
        lost = metadata.icc is not None and ("icc" not in form.carries or (form.name == "webp" and layout.channels < 3))
        what = f"{form.name} cannot carry the picture's ICC profile, so its colours may be shown differently; choose png to keep them"
        self.notes: Sequence[str] = (what,) if lost else ()
        self.layout = replace(layout, bit_depth=min(layout.bit_depth, max(form.depths)))
        self._rows, self._bit_depth = rows, layout.bit_depth

    def write(self, values: Float32Array | Codes) -> None:
        """See Sink."""
        self._rows.write(values if values.dtype.kind == "u" else to_codes(values, self._bit_depth))  # type: ignore[arg-type]  # codes, or made such


@contextmanager
def create(file: BinaryIO, form: Format, layout: Layout, metadata: Metadata) -> Iterator[PictureSink]:
    """See Medium."""
    height, width, channels = layout.shape
    target = Target(shape=(height, width, channels), bit_depth=layout.bit_depth, metadata=metadata)
    with files.open_writer(file, form, target) as rows:
        yield PictureSink(rows, layout, form, metadata)
