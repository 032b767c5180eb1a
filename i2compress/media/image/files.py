"""Still pictures: files to code values and back, with orientation, colour profile, Exif and XMP looked after.

The codecs are imported when they are needed, so that `i2c --help` does not wait for them.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from ...errors import I2Error, ResourceError, SignalError, UsageError
from ...signal import Codes, Kind, Metadata, Signal
from ..protocol import Format
from .metadata import as_upright, clean_exif, icc_for, orientation, turned, xmp_as_upright
from .sniff import sniff
from .target import RowSink, RowWriter, Target

_ALL = ("icc", "exif", "xmp")

FORMATS = (
    Format(name="png", kind=Kind.IMAGE, extensions=(".png",), streamed=True, carries=_ALL),
    Format(name="jpeg", kind=Kind.IMAGE, extensions=(".jpg", ".jpeg", ".jpe", ".jfif"), channels=(1, 3), depths=(8,), carries=_ALL),
    Format(name="webp", kind=Kind.IMAGE, extensions=(".webp",), depths=(8,), carries=_ALL),
    Format(name="tiff", kind=Kind.IMAGE, extensions=(".tif", ".tiff"), streamed=True, carries=_ALL),
    Format(name="pnm", kind=Kind.IMAGE, extensions=(".pnm",), channels=(1, 3), streamed=True),
    Format(name="pgm", kind=Kind.IMAGE, extensions=(".pgm",), channels=(1,), streamed=True),
    Format(name="ppm", kind=Kind.IMAGE, extensions=(".ppm",), channels=(3,), streamed=True),
    Format(name="pam", kind=Kind.IMAGE, extensions=(".pam",), streamed=True),
    Format(name="bmp", kind=Kind.IMAGE, extensions=(".bmp", ".dib"), channels=(1, 3), depths=(8,)),
    Format(name="pbm", kind=Kind.IMAGE, extensions=(".pbm",), write=False),
    Format(name="gif", kind=Kind.IMAGE, extensions=(".gif",), write=False),
)
_CHANNEL_NAMES = {1: "gray", 2: "gray with alpha", 3: "RGB", 4: "RGB with alpha"}


def read(data: bytes, name: str) -> Signal:
    """The picture in the file `data`, upright, with C = 1 to 4 as in the file and 8 or 16 bits.

    Args:
        data: a PNG, JPEG, WebP, TIFF, PNM, BMP or GIF file.
        name: what to call it in messages.

    Raises:
        SignalError: damaged, not a picture, or one that is not supported (animation, HDR, more than a gigapixel...).
        ResourceError: not enough memory.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters is checked here, and a library's doubts are not the user's
            codes, found = _decoded(data)
            return _as_signal(codes, found)
    except I2Error as error:
        raise type(error)(f"{name}: {error}") from error
    except MemoryError as error:
        raise ResourceError(f"{name}: not enough memory for the picture; free some or cut it into tiles") from error
    except Exception as error:  # parsers of other people's files raise anything; none of it is a bug of ours to trace
        raise SignalError(f"{name}: the picture is damaged or truncated ({error or type(error).__name__}); copy or download it again") from error


def _decoded(data: bytes) -> tuple[Codes, Metadata]:
    kind = sniff(data, "PNG, JPEG, WebP, TIFF, PNM, BMP, GIF")
    if kind == "png":
        from .png_read import read_png

        return read_png(data)
    if kind == "tiff":
        from .tiff_read import read_tiff

        return read_tiff(data)
    if kind == "pnm":
        from .pnm import read_pnm

        return read_pnm(data)
    from .pillow import read_with_pillow

    return read_with_pillow(data, kind)


def _as_signal(codes: Codes, found: Metadata) -> Signal:
    """Upright, with metadata that fits what the values have become."""
    exif, xmp = clean_exif(found.exif), found.xmp or None
    how = orientation(exif)
    if how != 1:
        codes, xmp = turned(codes, how), xmp_as_upright(xmp)
    kept = Metadata(icc=icc_for(found.icc, codes.shape[2]), exif=as_upright(exif), xmp=xmp)
    return Signal.from_codes(codes, kept)


@contextmanager
def open_writer(file: BinaryIO, form: Format, layout: Target) -> Iterator[RowWriter]:
    """Writes one picture to `file`, its rows from top to bottom.

    Args:
        file: binary, need not be seekable; where a row or the format is refused, what it holds is incomplete.
        form: one of FORMATS that can be written.
        layout: size, depth and metadata.

    Raises:
        UsageError: the format cannot hold the picture, or the rows do not add up to it.
    """
    channels = layout.shape[2]
    if channels not in form.channels:
        kind = _CHANNEL_NAMES.get(channels, f"{channels} channels")
        suggestion = "png or webp" if channels in (2, 4) else "png"
        raise UsageError(f"{form.name} cannot hold {kind}; choose {suggestion}")
    writer = _Checked(_sink(file, form, layout), layout)
    yield writer
    writer.finish()


def _sink(file: BinaryIO, form: Format, layout: Target) -> RowSink:
    if form.name == "png":
        from .png_write import PngSink

        return PngSink(file, layout)
    if form.name == "tiff":
        from .tiff_write import TiffSink

        return TiffSink(file, layout)
    if form.name in ("pnm", "pgm", "ppm", "pam"):
        from .pnm import PnmSink

        return PnmSink(file, layout, pam=form.name == "pam")
    from .pillow import PillowSink

    return PillowSink(file, layout, name=form.name)


class _Checked:
    """Lets through exactly the rows that were announced."""

    def __init__(self, sink: RowSink, layout: Target) -> None:
        self._sink, self._layout = sink, layout
        self._rows = 0

    def write(self, rows: Codes) -> None:
        """Appends rows `[h, W, C]`, h at least 0."""
        height, width, channels = self._layout.shape
        if rows.ndim != 3 or rows.shape[1:] != (width, channels) or rows.dtype != self._layout.dtype:
            raise UsageError(f"rows are {rows.dtype} {rows.shape}; expected {self._layout.dtype.__name__} [rows, {width}, {channels}]")
        self._rows += len(rows)
        if self._rows > height:
            raise UsageError(f"{self._rows} rows were written; expected {height}")
        if len(rows):
            self._sink.write(rows)

    def finish(self) -> None:
        """Ends the picture; all its rows must be there."""
        if self._rows != self._layout.shape[0]:
            raise UsageError(f"{self._rows} rows were written; expected {self._layout.shape[0]}")
        self._sink.finish()
