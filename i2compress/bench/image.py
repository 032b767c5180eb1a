"""Pictures: the codecs people would pick instead of i2c, each behind a package that is kept up, and the measures that all are scored by.

Every codec gets the bare pixels: no profile, no Exif. Settings are what a careful user would choose, at a speed that ends. A new peer is one
entry of the table, and a new measure is another.
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, lru_cache, partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, features

from ..arrays import Float32Array
from ..metrics import mean_squared_error, psnr
from .benchmark import Benchmark, Metric, Rate
from .codec import Codec, Coded, Pixels, Work
from .i2c import PICTURES, read_picture
from .judges import butteraugli, cvvdp, lacks_butteraugli

if TYPE_CHECKING:
    import torch

Option = str | int | float | bool | list[float] | dict[str, str]

AVIF_SPEED = 4  # 0 is the slowest, 10 the fastest
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


def _avif(work: Work, *, tune: str | None, speed: int = AVIF_SPEED) -> dict[str, Option]:
    chosen: dict[str, Option] = {} if tune is None else {"advanced": {"tune": tune}}
    return {"quality": round(work.quality), "speed": speed, "subsampling": "4:4:4", "max_threads": work.threads or 0, **chosen}


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
def _lacks_tune(tune: str) -> str | None:
    """AVIF is there, and its encoder takes that tune: a build without aom refuses all, an old one some."""
    lacking = _lacks("avif")
    if lacking is None:
        try:
            _encode(np.zeros((16, 16, 3), np.uint8), Work(quality=50), form="AVIF", options=partial(_avif, tune=tune))
        except (ValueError, OSError) as error:
            return f"its encoder does not take tune={tune} ({error}); install Pillow's own wheel"
    return lacking


def _versions(feature: str) -> dict[str, str]:
    return {"pillow": version("pillow"), feature: str(features.version(feature))}


def _jxl_versions() -> dict[str, str]:
    try:
        return {"pillow": version("pillow"), "pillow-jxl-plugin": version("pillow-jxl-plugin")}
    except PackageNotFoundError:
        return {}


def _pillow(
    name: str,
    form: str,
    extension: str,
    note: str,
    qualities: tuple[float, ...],
    *,
    feature: str,
    options: Callable[[Work], dict[str, Option]],
    tune: str | None = None,
) -> Codec:
    return Codec(
        name=name,
        note=note,
        extension=extension,
        qualities=qualities,
        encode=partial(_encode, form=form, options=options),
        decode=_decode_avif if form == "AVIF" else _decode,
        missing=partial(_lacks, feature) if tune is None else partial(_lacks_tune, tune),
        versions=partial(_versions, feature),
        prepare=_import_pillow,
        lowest=1,
    )


_JPEG_POINTS = (10.0, 30.0, 50.0, 75.0, 90.0)
_AVIF_POINTS = (15.0, 30.0, 45.0, 60.0, 75.0)

_ENTRIES = (
    *PICTURES,
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
    *(
        _pillow(
            f"avif-{tune}",
            "AVIF",
            "avif",
            f"libavif, speed 4, 4:4:4, tune={tune}",
            _AVIF_POINTS,
            feature="avif",
            options=partial(_avif, tune=tune),
            tune=tune,
        )
        for tune in ("psnr", "ssim", "iq")
    ),
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

MS_SSIM_SMALLEST = 161  # samples a side: five scales of an 11-sample window
SSIM_WINDOW = 11
_SMALLEST_SCALE = 8  # samples a side of a scale of SSIMULACRA 2


def psnr_rgb(source: Pixels, decoded: Pixels) -> float:
    """PSNR in dB over all samples of all channels, peak 255; inf where equal."""
    return psnr(mean_squared_error(source, decoded), 255.0)


def ssim_rgb(source: Pixels, decoded: Pixels) -> float | None:
    """SSIM, 11x11 Gaussian window, mean of the channels, in [-1, 1]; None for a side under 11 samples."""
    if min(source.shape[:2]) < SSIM_WINDOW:
        return None
    from pytorch_msssim import ssim

    return float(ssim(*_tensors(source, decoded), data_range=255))


def ms_ssim_rgb(source: Pixels, decoded: Pixels) -> float | None:
    """MS-SSIM of five scales, mean of the channels, in [0, 1]; None for a side under 161 samples, where it is not defined."""
    if min(source.shape[:2]) < MS_SSIM_SMALLEST:
        return None
    from pytorch_msssim import ms_ssim

    return float(ms_ssim(*_tensors(source, decoded), data_range=255))


def ssimulacra2(source: Pixels, decoded: Pixels) -> float:
    """SSIMULACRA 2: 100 equal, 90 visually lossless, 70 high, 50 medium, 30 low quality; it may be negative.

    Equal to ssimulacra2.compute_ssimulacra2 of files with these samples, which a test holds it to, but the source's steps are done once for
    all the files that are compared with it.
    """
    from ssimulacra2 import ssimulacra2 as steps

    found = steps.Msssim()
    for first, second in zip(_kept_scales(source.shape, source.tobytes()), _scales(decoded), strict=True):
        scale = steps.MsssimScale()
        product = steps.blur_image(first.xyb * second.xyb)
        scale.avg_ssim = steps.ssim_map(first.mean, second.mean, first.square, second.square, product)
        scale.avg_edgediff = steps.edge_diff_map(first.xyb, first.mean, second.xyb, second.mean)
        found.scales.append(scale)
    return float(found.score())


def _tensors(source: Pixels, decoded: Pixels) -> "tuple[torch.Tensor, torch.Tensor]":
    import torch

    first, second = (torch.from_numpy(np.moveaxis(samples, -1, 0)[None].astype(np.float32)) for samples in (source, decoded))
    return first, second


class _Scale(NamedTuple):
    """A picture at one scale: positive XYB `[H, W, 3]`, its blurred values and those of its squares."""

    xyb: Float32Array
    mean: Float32Array
    square: Float32Array


@lru_cache(maxsize=1)
def _kept_scales(shape: tuple[int, ...], data: bytes) -> list[_Scale]:
    return list(_scales(np.frombuffer(data, np.uint8).reshape(shape)))


def _scales(samples: Pixels) -> Iterator[_Scale]:
    from ssimulacra2 import ssimulacra2 as steps

    linear = steps.srgb_to_linear(samples.astype(np.float64))
    for index in range(steps.kNumScales):
        if index:
            linear = steps.downsample(linear, 2, 2)
        # The package goes over to XYB with the axes exchanged: its (W, H, 3) is kept, as blurs at the edges depend on it.
        xyb = steps.make_positive_xyb(steps.linear_rgb_to_xyb(linear))
        if min(xyb.shape[:2]) < _SMALLEST_SCALE:
            return
        yield _Scale(xyb, steps.blur_image(xyb), steps.blur_image(xyb * xyb))


def _needs(package: str) -> str | None:
    return None if find_spec(package) else f"{package} is not installed; pip install 'i2compress[{'judges' if package == 'pycvvdp' else 'bench'}]'"


METRICS = {
    metric.name: metric
    for metric in (
        Metric(name="psnr-rgb", title="PSNR RGB [dB]", digits=2, measure=psnr_rgb),
        Metric(name="ms-ssim-rgb", title="MS-SSIM RGB", digits=4, measure=ms_ssim_rgb, missing=lambda: _needs("pytorch_msssim")),
        Metric(name="ssim-rgb", title="SSIM RGB", digits=4, measure=ssim_rgb, missing=lambda: _needs("pytorch_msssim")),
        Metric(name="ssimulacra2", title="SSIMULACRA 2", digits=1, measure=ssimulacra2, missing=lambda: _needs("ssimulacra2")),
        Metric(name="cvvdp", title="ColorVideoVDP [JOD]", digits=2, measure=cvvdp, missing=lambda: _needs("pycvvdp")),
        Metric(name="butteraugli", title="Butteraugli, 3-norm", digits=2, measure=butteraugli, falling=True, missing=lacks_butteraugli),
    )
}


def _pixels(picture: Pixels) -> int:
    return int(picture.shape[0] * picture.shape[1])


IMAGE = Benchmark(
    name="image",
    read=read_picture,
    codecs={codec.name: codec for codec in _ENTRIES},
    metrics=METRICS,
    count=_pixels,
    rate=Rate(name="bpp", title="bpp", axis="bits per pixel", digits=3),
    anchors=("avif-psnr", "avif", "jxl", "webp", "jpeg"),  # the strongest in PSNR first: flattering anchors help nobody
    slider=True,
)


def avif_at(speed: int, tune: str) -> Codec:
    """AVIF with that tune at another speed, 0 (slowest) to 10; see tests.benchmarks.efforts."""
    return replace(
        IMAGE.codecs[f"avif-{tune}"],
        name=f"avif-{tune} speed {speed}",
        note=f"libavif, speed {speed}, 4:4:4, tune={tune}",
        encode=partial(_encode, form="AVIF", options=partial(_avif, tune=tune, speed=speed)),
    )
