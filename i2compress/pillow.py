"""Pillow opens and saves .i2 files of pictures once this module is imported.

    import i2compress.pillow
    from PIL import Image

    with Image.open("photo.i2") as picture:  # size, mode and metadata from the start of the file
        picture.thumbnail((256, 256))        # decoded at about the size that is needed
    Image.open("photo.png").save("photo.i2", quality=75, effort=3)

Pillow finds only the plugins that it brings along (PIL._plugins); it has no entry point by which others are found. So every plugin of
another package has to be imported, and this one is no exception.
"""

import io
import math
from collections.abc import Mapping
from dataclasses import fields
from threading import Lock
from typing import IO, Any

from PIL import Image, ImageFile, UnidentifiedImageError

from . import codec
from .config import EncodeSettings, View
from .container import MAGIC, read
from .errors import FormatError, I2Error, MalformedError, UsageError
from .media.image import content
from .media.image.decoded import Decoded
from .media.image.pillow import still_codes
from .media.image.upright import upright
from .signal import Metadata, Signal, to_codes

FORMAT = "I2"
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}  # of pictures with so many channels
DEEP_GRAY = "I;16"  # Pillow has no mode for 16 bits of any other: those are reduced to 8
INFO = {"icc": "icc_profile", "exif": "exif", "xmp": "xmp"}  # what Pillow calls metadata


class I2ImageFile(ImageFile.ImageFile):
    """A picture in an .i2 file; it is decoded when its pixels are asked for, and the file is closed then."""

    format = FORMAT
    format_description = "i2compress neural picture"

    def _open(self) -> None:
        assert self.fp is not None
        try:
            layout, metadata = content.start(self.fp)  # type: ignore[arg-type]  # a binary file, as Pillow types it
        except MalformedError as error:  # sound, or another kind: not for Pillow
            raise SyntaxError(str(error)) from error
        except FormatError as error:
            raise UnidentifiedImageError(str(error)) from error
        height, width = layout.grid
        deep = layout.bit_depth == 16 and layout.channels == 1
        self._mode = DEEP_GRAY if deep else MODES[layout.channels]
        self._depth = 16 if deep else 8
        self.info.update({name: blob for key, name in INFO.items() if (blob := getattr(metadata, key)) is not None})
        self._lock = Lock()
        self._resize(width, height)

    def _resize(self, width: int, height: int) -> None:
        self._size = (width, height)
        self.tile = [ImageFile._Tile("raw", (0, 0, width, height), 0, self.mode)]

    def draft(self, mode: str | None, size: tuple[int, int] | None) -> tuple[str, tuple[int, int, float, float]] | None:
        """Have the picture decoded at the least size that is at least `size` either way; never enlarged, and `mode` stays.

        Returns:
            Mode and the box of the picture in the decoded samples; None where nothing changes.
        """
        if size is None or not self.tile:
            return None
        width, height = self.size
        scale = max(size[0] / width, size[1] / height)
        smaller = (max(1, math.ceil(width * scale)), max(1, math.ceil(height * scale)))
        if scale >= 1 or smaller == self.size:
            return None
        self._resize(*smaller)
        return self.mode, (0, 0, *smaller)

    def load(self) -> Any:
        """Decode the picture, once, whichever threads ask for it. Raises OSError where the file is damaged."""
        if not self.tile:
            return super().load()
        with self._lock:
            if self.tile:
                self._decode()
            return super().load()

    def _decode(self) -> None:
        """Puts the samples in the file's place, for Pillow's raw decoder."""
        if self.fp is None:
            raise ValueError("Operation on closed image")
        self.fp.seek(0)
        try:
            file = codec.I2File.from_bytes(self.fp.read(), allow_partial=ImageFile.LOAD_TRUNCATED_IMAGES)
            values = file.render(View(size=self.size)).values
        except I2Error as error:
            raise OSError(str(error)) from error
        if self._exclusive_fp:
            self.fp.close()
        codes = to_codes(values, self._depth)
        self.fp = io.BytesIO(codes.astype("<u2").tobytes() if self._depth == 16 else codes.tobytes())

    def load_seek(self, position: int) -> None:
        """The samples begin where they are; that this is here keeps Pillow from mapping the file itself."""

    def verify(self) -> None:
        """Check all checksums without decoding. Raises OSError."""
        if self.fp is not None:
            self.fp.seek(0)
            try:
                read(self.fp.read())
            except FormatError as error:
                raise OSError(str(error)) from error
        super().verify()


def settings_of(options: Mapping[str, Any]) -> EncodeSettings:
    """The settings among the options of a `save`. Raises UsageError for a value out of range."""
    return EncodeSettings(**{field.name: options[field.name] for field in fields(EncodeSettings) if field.name in options})


def save(picture: Image.Image, file: IO[bytes], filename: str | bytes) -> None:
    """What Image.save calls; options are the fields of EncodeSettings, and icc_profile, exif and xmp instead of the picture's own.

    Raises:
        ValueError: an option out of range.
        OSError: a mode that has no sure way to gray or RGB, or no memory.
    """
    options = getattr(picture, "encoderinfo", {})
    found = {key: _bytes(options.get(name, picture.info.get(name))) for key, name in INFO.items()}
    try:
        settings = settings_of(options)
        deep = picture.mode.startswith(DEEP_GRAY)
        codes, icc = (_deep(picture), found["icc"]) if deep else still_codes(picture)
        kept = found["icc"] if "icc_profile" in options else icc
        made = upright(Decoded(codes=codes, metadata=Metadata(icc=kept or None, exif=found["exif"] or None, xmp=found["xmp"] or None)))
        file.write(codec.encode(Signal.from_codes(made.codes, made.metadata), settings).data)
    except UsageError as error:
        raise ValueError(str(error)) from error
    except I2Error as error:
        raise OSError(str(error)) from error


def _deep(picture: Image.Image) -> Any:
    import numpy as np

    return np.asarray(picture).astype(np.uint16)[..., None]


def _bytes(blob: Any) -> bytes | None:
    """A block as bytes, however Pillow holds it."""
    if isinstance(blob, Image.Exif):
        return blob.tobytes()
    return blob.encode() if isinstance(blob, str) else blob


def register() -> None:
    """Tell Pillow of .i2 files; importing this module does so, and doing it again changes nothing."""
    Image.register_open(FORMAT, I2ImageFile, lambda prefix: prefix.startswith(MAGIC))
    Image.register_save(FORMAT, save)
    Image.register_extension(FORMAT, ".i2")
    Image.register_mime(FORMAT, "image/x-i2")


register()
