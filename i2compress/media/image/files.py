"""Still pictures: files to code values and back, with orientation, colours, density, Exif and XMP looked after.

The codecs are imported when they are needed, so that `i2c --help` does not wait for them.
"""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from ...errors import I2Error, ResourceError, SignalError, UsageError
from ...kinds import Kind
from ...signal import Codes
from ..protocol import Format
from .decoded import Decoded
from .sniff import sniff
from .target import RowSink, RowWriter, Target
from .upright import upright

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
    Format(name="tga", kind=Kind.IMAGE, extensions=(".tga", ".icb", ".vda", ".vst"), write=False),
    Format(name="jp2", kind=Kind.IMAGE, extensions=(".jp2", ".j2k", ".jpx", ".jpf", ".j2c", ".jpc"), write=False),
    Format(name="avif", kind=Kind.IMAGE, extensions=(".avif",), write=False),
    Format(name="jxl", kind=Kind.IMAGE, extensions=(".jxl",), write=False),
    Format(name="qoi", kind=Kind.IMAGE, extensions=(".qoi",), write=False),
)
_CHANNEL_NAMES = {1: "gray", 2: "gray with alpha", 3: "RGB", 4: "RGB with alpha"}


def decode_picture(data: bytes, name: str) -> Decoded:
    """The picture in the file `data`, upright, at its own depth.

    Args:
        data: a file of any of FORMATS; what it is, is seen from its content.
        name: what to call it in messages.

    Returns:
        Code values `[H, W, C]`, C = 1 to 4 as in the file, metadata, and what the user is to be warned of.

    Raises:
        SignalError: damaged, not a picture, or one that is not supported (animation, HDR, more than a gigapixel...).
        ResourceError: not enough memory.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters is checked here, and a library's doubts are not the user's
            return upright(_decoded(data))
    except I2Error as error:
        raise type(error)(f"{name}: {error}") from error
    except MemoryError as error:
        raise ResourceError(f"{name}: not enough memory for the picture; free some or cut it into tiles") from error
    except Exception as error:  # parsers of other people's files raise anything; none of it is a bug of ours to trace
        raise SignalError(f"{name}: {_cause(error)}") from error


def _cause(error: Exception) -> str:
    """What a library's error means: only one that says that something is missing is sure to be damage."""
    words = " ".join(str(error).split()) or type(error).__name__
    if re.search("truncat|unexpected end|not enough (image )?data|buffer is not large enough|end of (file|data)", words, re.IGNORECASE):
        return f"the picture is damaged or truncated ({words}); copy or download it again"
    return (
        f"the picture cannot be read ({words}); it is damaged or of a variant that is not supported, "
        "open it in another program and save it as PNG, or download it again"
    )


def _decoded(data: bytes) -> Decoded:
    kind = sniff(data)
    if kind == "png":
        from .png_read import read_png

        return read_png(data)
    if kind == "tiff":
        from .tiff_read import read_tiff

        return read_tiff(data)
    if kind == "pnm":
        from .pnm import read_pnm

        return read_pnm(data)
    if kind in ("jp2", "avif", "jxl", "qoi", "tga"):
        from .others import read_with_imageio

        return read_with_imageio(data, kind)
    from .pillow import read_with_pillow

    return read_with_pillow(data, kind)


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
    from .pillow_write import PillowSink

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
