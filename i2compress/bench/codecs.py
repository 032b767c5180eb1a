"""The table of picture codecs, each behind a package that is kept up; a new one is one entry.

Every codec gets the bare pixels: no profile, no Exif. Settings are what a careful user would choose, at a speed that ends.
"""

import io
from collections.abc import Callable
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import numpy as np
from PIL import Image, features

from .fitted import I2C
from .parts import Codec, Coded, Pixels, Work

Option = str | int | float | bool | list[float] | dict[str, str]

JPEG2000_LOWEST_DB = 20.0  # OpenJPEG is asked for a PSNR; qualities 0..100 ask for 20..50 dB
JPEG2000_DB_STEP = 0.3


def _encode(picture: Pixels, work: Work, *, form: str, options: Callable[[Work], dict[str, Option]]) -> Coded:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, form, **options(work))
    return Coded(file.getvalue())


def _decode(data: bytes, threads: int | None) -> Pixels:
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB"))


def _decode_avif(data: bytes, threads: int | None) -> Pixels:
    from PIL import AvifImagePlugin

    AvifImagePlugin.DEFAULT_MAX_THREADS = threads or 0  # Pillow has no other way to say it; 0 is all
    return _decode(data, threads)


def _jpeg(work: Work, *, subsampling: str) -> dict[str, Option]:
    return {"quality": round(work.quality), "optimize": True, "progressive": True, "subsampling": subsampling}


def _webp(work: Work) -> dict[str, Option]:
    return {"quality": work.quality, "method": 6}


def _avif(work: Work, *, tune: str | None) -> dict[str, Option]:
    chosen: dict[str, Option] = {} if tune is None else {"advanced": {"tune": tune}}
    return {"quality": round(work.quality), "speed": 4, "subsampling": "4:4:4", "max_threads": work.threads or 0, **chosen}


def _jxl(work: Work) -> dict[str, Option]:
    return {"quality": work.quality, "effort": 7, "num_threads": work.threads or -1}


def _jpeg2000(work: Work) -> dict[str, Option]:
    wanted = JPEG2000_LOWEST_DB + JPEG2000_DB_STEP * work.quality
    # Without mct Pillow codes red, green and blue apart, which costs more than 3 dB.
    return {"quality_mode": "dB", "quality_layers": [wanted], "irreversible": True, "mct": 1, "no_jp2": True}


def _import_pillow() -> None:
    Image.init()


def _import_jxl() -> None:
    import pillow_jxl  # noqa: F401  # registers itself with Pillow


def _lacks(feature: str) -> str | None:
    return None if features.check(feature) else f"this Pillow is built without {feature}; install Pillow's own wheel"


def _lacks_jxl() -> str | None:
    return None if find_spec("pillow_jxl") else "pillow-jxl-plugin is not installed; pip install 'i2compress[bench]'"


@cache
def _lacks_tune() -> str | None:
    """AVIF is there, and its encoder takes advanced options: a build without aom refuses them."""
    lacking = _lacks("avif")
    if lacking is None:
        try:
            _encode(np.zeros((16, 16, 3), np.uint8), Work(quality=50), form="AVIF", options=partial(_avif, tune="psnr"))
        except (ValueError, OSError) as error:
            return f"its encoder does not take tune=psnr ({error}); install Pillow's own wheel"
    return lacking


def _versions(feature: str) -> dict[str, str]:
    return {"pillow": version("pillow"), feature: str(features.version(feature))}


def _jxl_versions() -> dict[str, str]:
    try:
        return {"pillow": version("pillow"), "pillow-jxl-plugin": version("pillow-jxl-plugin")}
    except PackageNotFoundError:
        return {}


def _pillow(
    name: str, form: str, extension: str, note: str, qualities: tuple[float, ...], *, feature: str, options: Callable[[Work], dict[str, Option]]
) -> Codec:
    return Codec(
        name=name,
        note=note,
        extension=extension,
        qualities=qualities,
        encode=partial(_encode, form=form, options=options),
        decode=_decode_avif if form == "AVIF" else _decode,
        missing=_lacks_tune if name == "avif-psnr" else partial(_lacks, feature),
        versions=partial(_versions, feature),
        prepare=_import_pillow,
        lowest=1,
    )


_JPEG_POINTS = (10.0, 30.0, 50.0, 75.0, 90.0)
_AVIF_POINTS = (15.0, 30.0, 45.0, 60.0, 75.0)

_ENTRIES = (
    I2C,
    _pillow(
        "jpeg",
        "JPEG",
        "jpg",
        "libjpeg-turbo, optimised progressive, 4:2:0",
        _JPEG_POINTS,
        feature="libjpeg_turbo",
        options=partial(_jpeg, subsampling="4:2:0"),
    ),
    _pillow(
        "jpeg-444",
        "JPEG",
        "jpg",
        "libjpeg-turbo, optimised progressive, 4:4:4",
        _JPEG_POINTS,
        feature="libjpeg_turbo",
        options=partial(_jpeg, subsampling="4:4:4"),
    ),
    _pillow("webp", "WEBP", "webp", "libwebp, method 6, 4:2:0", (5.0, 25.0, 50.0, 75.0, 90.0), feature="webp", options=_webp),
    _pillow("avif", "AVIF", "avif", "libavif, speed 4, 4:4:4", _AVIF_POINTS, feature="avif", options=partial(_avif, tune=None)),
    _pillow("avif-psnr", "AVIF", "avif", "libavif, speed 4, 4:4:4, tune=psnr", _AVIF_POINTS, feature="avif", options=partial(_avif, tune="psnr")),
    Codec(
        name="jxl",
        note="libjxl, effort 7",
        extension="jxl",
        qualities=(20.0, 50.0, 70.0, 80.0, 90.0),
        encode=partial(_encode, form="JXL", options=_jxl),
        decode=_decode,
        missing=_lacks_jxl,
        versions=_jxl_versions,
        prepare=_import_jxl,
        highest=99,  # 100 is lossless
    ),
    _pillow(
        "jpeg2000",
        "JPEG2000",
        "j2k",
        f"OpenJPEG, 9/7 wavelet, colour transform, bare codestream, asked for {JPEG2000_LOWEST_DB:g} + {JPEG2000_DB_STEP:g} q dB",
        (30.0, 40.0, 50.0, 60.0, 70.0),
        feature="jpg_2000",
        options=_jpeg2000,
    ),
)

CODECS = {codec.name: codec for codec in _ENTRIES}
