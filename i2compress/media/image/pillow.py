"""JPEG, WebP, BMP and GIF read by Pillow, 8 bit; what Pillow does not say of them is read beside it (stated.py, jpeg.py)."""

import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import BmpImagePlugin, GifImagePlugin, Image, ImageCms, ImageFile, JpegImagePlugin, WebPImagePlugin

from ...errors import SignalError
from ...signal import Metadata
from .colour import adobe_rgb
from .decoded import Decoded
from .density import INCH, Density, density, density_of, with_density
from .exif import clean_exif
from .jpeg import has_icc, is_arithmetic, of_jpeg
from .limits import check_pixels
from .metadata import icc_space
from .stated import Stated, of_bmp, of_gif
from .upright import is_adobe_rgb

# The classes themselves and not Image.open: the type is known, and Image.open warns of large pictures through global state.
_READERS: dict[str, type[ImageFile.ImageFile]] = {
    "jpeg": JpegImagePlugin.JpegImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
    "bmp": BmpImagePlugin.BmpImageFile,
    "gif": GifImagePlugin.GifImageFile,
}
_STATED: dict[str, Callable[[bytes], Stated]] = {"jpeg": of_jpeg, "webp": lambda _: Stated(), "bmp": of_bmp, "gif": of_gif}
_MODES = ("L", "LA", "RGB", "RGBA")
_RESOLUTION_INFO = 0x03ED  # number of the resolution among Photoshop's resources


def read_with_pillow(data: bytes, name: str) -> Decoded:
    """Code values uint8 `[H, W, C]` of the picture in `data`, a file of format `name`."""
    stated = _STATED[name](data)
    notes = list(stated.notes)
    with _opened(data, name) as picture:
        check_pixels(*picture.size)
        refuse_animation(picture)
        exif, xmp, photoshop = (picture.info.get(key) for key in ("exif", "xmp", "photoshop"))
        inks = picture.mode == "CMYK"
        codes, icc = _loaded(picture, data, name)
    if name == "jpeg" and icc is None and not inks and has_icc(data):
        notes.append("The picture's ICC profile is damaged, so that it was left out.")
    block = clean_exif(exif)
    if icc is None and not inks and codes.shape[2] >= 3:
        icc = stated.icc or (adobe_rgb() if is_adobe_rgb(block) else None)
    more: tuple[str, ...] = ()
    if block is not None or not exif:  # a damaged block stays as it is, to be warned of
        exif, more = with_density(block, stated.density or _photoshop_density(photoshop, block), stated.place)
    return Decoded(codes=codes, metadata=Metadata(icc=icc, exif=exif, xmp=xmp if isinstance(xmp, bytes) else None), notes=(*notes, *more))


def _opened(data: bytes, name: str) -> ImageFile.ImageFile:
    """Raises SignalError where Pillow's message for a variant that it does not know can be said better."""
    try:
        return _READERS[name](io.BytesIO(data))
    except OSError as error:
        if name == "bmp" and "Unsupported" in str(error):
            raise SignalError(f"the BMP is of a variant that is not supported ({error}); save it with 8, 24 or 32 bits, or as PNG") from error
        raise


def _loaded(picture: ImageFile.ImageFile, data: bytes, name: str) -> tuple[npt.NDArray[np.uint8], bytes | None]:
    try:
        return still_codes(picture)
    except OSError as error:
        if name == "jpeg" and is_arithmetic(data):
            raise SignalError(
                "the file is an arithmetic-coded JPEG, which is not supported here or damaged; convert it first, for example with jpegtran"
            ) from error
        raise


def refuse_animation(picture: ImageFile.ImageFile) -> None:
    """Raises SignalError where there is more than one frame."""
    if getattr(picture, "is_animated", False):
        frames = getattr(picture, "n_frames", 2)
        raise SignalError(f"the picture is an animation of {frames} frames; expected a still picture, extract one frame first")


def _photoshop_density(resources: object, exif: bytes | None) -> Density | None:
    """What Photoshop says, always an inch, where nothing else says it."""
    found = resources.get(_RESOLUTION_INFO) if isinstance(resources, dict) else None
    if not isinstance(found, dict) or density_of(exif) is not None:
        return None
    return density(found["XResolution"], found["YResolution"], INCH)


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
    if picture.mode not in _MODES:
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
