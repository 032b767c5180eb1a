"""JPEG, WebP, BMP and GIF through Pillow, 8 bit and whole in memory."""

import io
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import BmpImagePlugin, GifImagePlugin, Image, ImageCms, ImageFile, JpegImagePlugin, WebPImagePlugin

from ...errors import SignalError, UsageError
from ...signal import Codes, Metadata
from .limits import check_pixels
from .metadata import icc_for, icc_space
from .target import Target

# The classes themselves and not Image.open: the type is known, and Image.open warns of large pictures through global state.
_READERS: dict[str, type[ImageFile.ImageFile]] = {
    "jpeg": JpegImagePlugin.JpegImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
    "bmp": BmpImagePlugin.BmpImageFile,
    "gif": GifImagePlugin.GifImageFile,
}
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_MAX_SIDE = {"jpeg": 65535, "webp": 16383, "bmp": 2**31 - 1}
_JPEG_QUALITY = 95
_JPEG_SEGMENT = {"exif": 65533 - 6, "xmp": 65533 - 29}


def read_with_pillow(data: bytes, name: str) -> tuple[Codes, Metadata]:
    """Code values uint8 `[H, W, C]` of the picture in `data`, a file of format `name`."""
    with _READERS[name](io.BytesIO(data)) as picture:
        check_pixels(*picture.size)
        if getattr(picture, "is_animated", False):
            frames = getattr(picture, "n_frames", 2)
            raise SignalError(f"the picture is an animation of {frames} frames; expected a still picture, extract one frame first")
        info = picture.info
        exif, xmp = info.get("exif"), info.get("xmp")
        codes, icc = still_codes(picture)
    return codes, Metadata(icc=icc, exif=exif, xmp=xmp if isinstance(xmp, bytes) else None)


def still_codes(picture: Image.Image) -> tuple[npt.NDArray[np.uint8], bytes | None]:
    """Code values `[H, W, C]` of any 8-bit Pillow picture, and the profile they are in.

    Raises:
        SignalError: a colour model that has no sure way to gray or RGB.
    """
    picture.load()
    icc = picture.info.get("icc_profile")
    if picture.mode == "1":
        picture = picture.convert("L")
    elif picture.mode in ("P", "PA"):
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    elif picture.mode in ("La", "RGBa"):
        picture = picture.convert(picture.mode.upper())
    elif picture.mode == "CMYK":
        picture, icc = _from_cmyk(picture, icc), None
    if picture.mode not in _MODES.values():
        raise SignalError(f"the picture holds {picture.mode} samples; expected 8 or 16-bit gray or RGB, convert it first")
    codes = np.asarray(picture)
    return (codes[..., None] if codes.ndim == 2 else codes), icc


def _from_cmyk(picture: Image.Image, icc: bytes | None) -> Image.Image:
    """In sRGB, by way of the profile; without one, the colours of the inks are anyone's guess."""
    if icc is None or icc_space(icc) != "CMYK":
        raise SignalError("the picture holds CMYK inks without a CMYK profile, so its colours are not defined; convert it to RGB first")
    try:
        source, target = ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(picture, source, target, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError) as error:
        raise SignalError(f"the picture's CMYK profile cannot be used ({error}); convert it to RGB first") from error
    if converted is None:
        raise SignalError("the picture's CMYK profile cannot be used; convert it to RGB first")
    return converted


class PillowSink:
    """Collects the picture as 8 bit and writes it at the end: JPEG at quality 95 with full chroma, WebP lossless, BMP."""

    def __init__(self, file: BinaryIO, layout: Target, *, name: str) -> None:
        height, width, channels = layout.shape
        if max(height, width) > _MAX_SIDE[name]:
            raise UsageError(f"the picture is {width}x{height}; {name} holds at most {_MAX_SIDE[name]} a side, choose png")
        if name == "jpeg":
            _check_segments(layout.metadata)
        self._file, self._layout, self._name = file, layout, name
        self._codes: npt.NDArray[np.uint8] = np.empty((height, width, channels), np.uint8)
        self._filled = 0

    def write(self, rows: Codes) -> None:
        """Appends rows `[h, W, C]`; 16 bits are rounded to 8."""
        self._codes[self._filled : self._filled + len(rows)] = reduced(rows)
        self._filled += len(rows)

    def finish(self) -> None:
        """Compresses and writes."""
        codes, metadata = self._codes, self._layout.metadata
        icc = icc_for(metadata.icc, 3 if self._name == "webp" else codes.shape[2])  # WebP knows no gray
        picture = Image.fromarray(codes[..., 0] if codes.shape[2] == 1 else codes)
        exif, xmp = metadata.exif or b"", metadata.xmp or b""
        # Into memory first: Pillow seeks in what it writes, and standard output cannot.
        buffer = io.BytesIO()
        if self._name == "jpeg":
            prefixed = b"Exif\0\0" + exif if exif else b""
            picture.save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0, icc_profile=icc, exif=prefixed, xmp=xmp)
        elif self._name == "webp":
            picture.save(buffer, "WEBP", lossless=True, exact=True, icc_profile=icc or b"", exif=exif, xmp=xmp)
        else:
            picture.save(buffer, "BMP")
        self._file.write(buffer.getbuffer())


def _check_segments(metadata: Metadata) -> None:
    for name, most in _JPEG_SEGMENT.items():
        size = len(getattr(metadata, name) or b"")
        if size > most:
            raise SignalError(f"the {name.capitalize()} data are {size} bytes; JPEG carries at most {most}, choose png or drop them with --strip")


def reduced(rows: Codes) -> npt.NDArray[np.uint8]:
    """Code values as 8 bit, rounded to nearest."""
    if rows.dtype == np.uint8:
        return rows.astype(np.uint8, copy=False)
    return ((rows.astype(np.uint32) + 128) // 257).astype(np.uint8)
