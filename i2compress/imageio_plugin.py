"""imageio (v3) reads and writes .i2 files of pictures once this module is imported.

    import i2compress.imageio_plugin
    import imageio.v3 as iio

    values = iio.imread("photo.i2", scale=2, crop=(100, 50, 64, 48))
    shape = iio.improps("photo.i2").shape  # from the start of the file
    iio.imwrite("copy.i2", values, quality=75, effort=3)

imageio finds plugins in a table of its own (imageio.config.known_plugins) and has no entry point, so an import has to add this one.
"""

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from imageio.config import known_extensions, known_plugins
from imageio.config.extensions import FileExtension
from imageio.config.plugins import PluginConfig
from imageio.core.request import URI_BYTES, InitializationError, IOMode, Request
from imageio.core.v3_plugin_api import ImageProperties, PluginV3

from . import api
from .codec import I2File
from .config import EncodeSettings, View
from .container import MAGIC, SIGNATURE
from .errors import FormatError, I2Error
from .media.image import content
from .signal import Layout, to_codes

NAME = "i2"


class I2Plugin(PluginV3):
    """One .i2 file. Views take the fields of View: scale, size, max_size, crop, bit_depth."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        if request.mode.io_mode == IOMode.read:
            file = request.get_file()
            try:
                if file.read(len(SIGNATURE))[: len(MAGIC)] != MAGIC:
                    raise InitializationError("this is not an .i2 file")
                file.seek(0)
                self._layout, self._metadata = content.start(file)
            except FormatError as error:
                raise InitializationError(str(error)) from error
        elif (request.extension or request.format_hint) not in (None, ".i2"):
            raise InitializationError(f"i2compress writes .i2 files, not {request.extension}")

    def read(self, *, index: Any = None, **view: Any) -> npt.NDArray[Any]:
        """Code values `[H, W]` or `[H, W, C]`, uint8 or uint16 as in the source; with index=... a batch of one.

        Raises:
            ValueError: an index other than 0, or a view that there is not.
            OSError: a damaged file.
        """
        _check(index)
        asked, file = _view(view), self.request.get_file()
        file.seek(0)
        try:
            opened = I2File.from_bytes(file.read())
            layout = opened.output(asked)
            codes = to_codes(opened.render(asked).values, layout.bit_depth).reshape(_shape(layout))
        except FormatError as error:
            raise OSError(str(error)) from error
        except I2Error as error:
            raise ValueError(str(error)) from error
        return codes[None] if index is ... else codes

    def iter(self, **view: Any) -> Iterator[npt.NDArray[Any]]:
        """The one picture that there is."""
        yield self.read(**view)

    def properties(self, index: Any = None, **view: Any) -> ImageProperties:
        """Shape and type of what `read` gives for the same view, without decoding."""
        _check(index)
        try:
            layout = content.output(self._layout, _view(view))
        except I2Error as error:
            raise ValueError(str(error)) from error
        batch = index is ...
        shape = (1, *_shape(layout)) if batch else _shape(layout)
        return ImageProperties(shape=shape, dtype=np.dtype(f"uint{layout.bit_depth}"), n_images=1 if batch else None, is_batch=batch)

    def metadata(self, index: Any = None, exclude_applied: bool = True) -> dict[str, Any]:
        """icc, exif and xmp as bytes, as far as there are any; orientation has been applied and is 1 in them."""
        _check(index)
        return {name: blob for name, blob in vars(self._metadata).items() if blob is not None}

    def write(self, ndimage: Any, *, is_batch: bool = False, **settings: Any) -> bytes | None:
        """Encodes `[H, W]` or `[H, W, C]`, uint8, uint16 or floating point in 0..1, or a batch or list of one. Settings: fields of EncodeSettings.

        Raises:
            ValueError: more than one picture, or a setting out of range.
        """
        if isinstance(ndimage, list) or is_batch:
            if len(ndimage) != 1:
                raise ValueError(f"an .i2 file holds one picture; found {len(ndimage)}")
            ndimage = ndimage[0]
        unknown = settings.keys() - {field.name for field in fields(EncodeSettings)}
        if unknown:
            raise TypeError(f"{min(unknown)} is no setting of an .i2 file; expected fields of i2compress.EncodeSettings")
        try:
            data = api.encode(np.asarray(ndimage), replace(EncodeSettings(), **settings))
        except I2Error as error:
            raise ValueError(str(error)) from error
        self.request.get_file().write(data)
        return data if self.request._uri_type == URI_BYTES else None


def _view(options: dict[str, Any]) -> View:
    try:
        return View(**options)
    except I2Error as error:
        raise ValueError(str(error)) from error


def _check(index: Any) -> None:
    if index not in (None, 0, ...):
        raise ValueError(f"index is {index}; an .i2 file holds one picture, number 0")


def _shape(layout: Layout) -> tuple[int, ...]:
    return layout.grid if layout.channels == 1 else layout.shape


def register() -> None:
    """Tell imageio of .i2 files; importing this module does so, and doing it again changes nothing."""
    known_plugins[NAME] = PluginConfig(name=NAME, class_name=I2Plugin.__name__, module_name=__name__)
    known_extensions[".i2"] = [FileExtension(extension=".i2", priority=[NAME], name="i2compress neural picture")]


register()
