"""i2c itself as a benchmarked codec, and its readers of files: the one place of the benchmark that calls the codec and its media."""

from functools import cache, partial
from importlib.metadata import version
from pathlib import Path

import numpy as np

from .. import media
from ..config import TEXTURE, EncodeSettings, View
from ..errors import SignalError
from ..memory import keep_freed_memory
from ..signal import Kind, Metadata, Signal, to_codes
from .code_digest import code_digest
from .codec import Clip, Codec, Coded, Pixels, Sound, Work

_PACKAGES = ("i2compress", "torch", "constriction")  # a release of any of them may change the bytes
_WITHOUT = ("bench", "cli", "reproduce")  # nothing in them shapes a file
_READERS = ("media.foreign", "media.image.files", "media.image.source", "media.sound.files", "media.video.files")  # nor in those of other formats
_WITHOUT_PICTURE = (*_WITHOUT, *_READERS, "media.sound", "media.video", "media.course", "media.parts", "media.segments", "media.workers")
_WITHOUT_SOUND = (*_WITHOUT, *_READERS, "media.image", "media.video", "media.workers")
_WITHOUT_VIDEO = (*_WITHOUT, *_READERS, "media.image", "media.sound")


def readable(path: Path) -> bool:
    """True for a name that looks like a file of pictures or sound."""
    return media.find_format(path.suffix) is not None


def read_picture(path: str) -> Pixels:
    """uint8 `[H, W, 3]`: the one kind of picture that every codec in the table holds; gray becomes RGB.

    Raises:
        SignalError: not readable, 16-bit, or with alpha, which peers would code in ways that cannot be compared.
    """
    signal = media.read(path)
    if signal.bit_depth != 8 or signal.channels not in (1, 3):
        found = f"{signal.bit_depth}-bit with {signal.channels} channel{'s' if signal.channels > 1 else ''}"
        raise SignalError(f"{path} is {found}; the benchmark expects 8-bit gray or RGB: convert it, or leave it out")
    codes = to_codes(signal.values, 8)
    return np.ascontiguousarray(np.broadcast_to(codes, (*codes.shape[:2], 3)), np.uint8)


def read_sound(path: str) -> Sound:
    """A file's samples. Raises SignalError where it is no sound."""
    signal = media.read(path)
    if signal.kind is not Kind.AUDIO:
        raise SignalError(f"{path} is no sound ({signal.kind.name.lower()}); expected a sound file")
    return Sound(values=signal.values.astype(np.float64), rate=signal.rate, bit_depth=signal.bit_depth, floating=signal.floating)


def read_video(path: str) -> Clip:
    """A video's planes in 4:2:0 of 8 bits, into which others are converted, as all peers code them.

    A path may end in what is to be taken of the file, in the way of media fragments: #xywh=X,Y,W,H&frames=A:B, and for bare planes
    raw=WxH@FPS:i420; X, Y, W and H even.

    Raises:
        SignalError: no video, or a part that is not in it.
    """
    from ..media.video.colour import RGB, YUV420, Colour, known_matrix, to_planes

    name, _, fragment = path.partition("#")
    asked = dict(part.partition("=")[::2] for part in fragment.split("&") if part)
    with media.open_source(name, raw=asked.get("raw")) as opened:
        source, layout = opened.source, opened.source.layout
        if layout.kind is not Kind.VIDEO or layout.channels != 3:
            raise SignalError(f"{name} is no video in colours; expected one")
        first, last = (int(edge) for edge in asked.get("frames", f"0:{layout.grid[0]}").split(":"))
        x, y, width, height = (int(number) for number in asked.get("xywh", f"0,0,{layout.grid[2]},{layout.grid[1]}").split(","))
        values = np.asarray(source.read(first, last - first), np.float32)[:, y : y + height, x : x + width]
        found = Colour.from_bytes(source.metadata.colour)
    if values.shape[:3] != (last - first, height, width) or found.chroma not in (RGB, YUV420):
        raise SignalError(f"{path} asks for a part that is not there, or is neither 4:2:0 nor RGB; expected a part of {layout.grid}")
    colour = found if found.yuv else Colour(matrix=known_matrix(found.matrix, height), full=False, chroma=YUV420)
    planes = tuple(plane.astype(np.uint8) for plane in to_planes(values, 8, colour))
    return Clip(planes=planes, rate=layout.rate, rate_divisor=layout.rate_divisor, colour=colour.to_bytes())


def settings(work: Work, *, tune: str | None = None) -> EncodeSettings:
    """How to encode for a Work, without the source's metadata."""
    given = {name: value for name, value in (*vars(work).items(), ("tune", tune)) if value is not None}
    return EncodeSettings(**given, strip=True)


def _encode_picture(picture: Pixels, work: Work, *, tune: str) -> Coded:
    from ..codec import encode

    chosen = settings(work, tune=tune)
    result = encode(Signal.from_codes(picture), chosen)
    extra = {"loss": result.loss or 0.0, "steps": result.coded.steps, "seconds": result.seconds, "lambda": chosen.rate_weight}
    return Coded(result.data, extra, _device(chosen))


def decode_picture(data: bytes, threads: int | None, *, scale: float | None = None) -> Pixels:
    """The file evaluated at `scale` samples for each of its own; None is its own size."""
    from ..codec import I2File

    view = View() if scale is None else View(scale=scale)
    codes = to_codes(I2File.from_bytes(data, threads=threads).render(view).values, 8)
    return codes.astype("uint8", copy=False)


def _encode_sound(sound: Sound, work: Work, *, tune: str) -> Coded:
    from ..codec import encode

    signal = Signal(values=sound.values.astype(np.float32), kind=Kind.AUDIO, rate=sound.rate, bit_depth=sound.bit_depth, floating=sound.floating)
    chosen = settings(work, tune=tune)
    return Coded(encode(signal, chosen).data, device=_device(chosen))


def _decode_sound(data: bytes, threads: int | None) -> Sound:
    from ..codec import I2File
    from ..media.sound.write import to_codes

    file = I2File.from_bytes(data, threads=threads)
    form = file.layout
    blocks = [to_codes(block, form.bit_depth, form.floating) for block in file.blocks()]
    return Sound(values=np.concatenate(blocks).astype(np.float64), rate=form.rate, bit_depth=form.bit_depth, floating=form.floating)


def _encode_video(clip: Clip, work: Work) -> Coded:
    from ..codec import encode
    from ..media.video.colour import Colour, of_planes

    colour = Colour.from_bytes(clip.colour)
    signal = Signal(
        values=of_planes(list(clip.planes), 8, colour),
        kind=Kind.VIDEO,
        metadata=Metadata(colour=clip.colour),
        rate=clip.rate,
        rate_divisor=clip.rate_divisor,
    )
    chosen = settings(work)
    result = encode(signal, chosen)
    return Coded(result.data, {"loss": result.loss or 0.0, "steps": result.coded.steps, "lambda": chosen.rate_weight}, _device(chosen))


def _decode_video(data: bytes, threads: int | None) -> Clip:
    from ..codec import I2File
    from ..media.video.colour import Colour, to_planes

    file = I2File.from_bytes(data, threads=threads)
    colour = Colour.from_bytes(file.metadata.colour)
    bands = [to_planes(block, 8, colour) for block in file.blocks()]
    planes = tuple(np.concatenate(parts).astype(np.uint8) for parts in zip(*bands, strict=True))
    return Clip(planes=planes, rate=file.layout.rate, rate_divisor=file.layout.rate_divisor, colour=colour.to_bytes())


def _device(chosen: EncodeSettings) -> str:
    """What the fit runs on, in words."""
    import torch

    from ..fit import pick_device

    found = pick_device(chosen.device)
    return f"{found.type}, {torch.cuda.get_device_name(found)}" if found.type == "cuda" else found.type


def _prepare() -> None:
    from .. import codec, fit  # noqa: F401  # torch takes seconds to import

    keep_freed_memory()  # as i2c encode does


def _versions(digest: str) -> dict[str, str]:
    """The packages, and a digest of the code: between two releases the same version writes different files."""
    return {**{package: version(package) for package in _PACKAGES}, "sources": digest}


@cache
def _picture_versions() -> dict[str, str]:
    return _versions(code_digest(settings, _encode_picture, decode_picture, without=_WITHOUT_PICTURE))


@cache
def _sound_versions() -> dict[str, str]:
    return _versions(code_digest(settings, _encode_sound, _decode_sound, without=_WITHOUT_SOUND))


@cache
def _video_versions() -> dict[str, str]:
    return _versions(code_digest(settings, _encode_video, _decode_video, without=_WITHOUT_VIDEO))


def _nothing_missing() -> str | None:
    """i2c needs nothing that is not installed with it."""
    return None


def _picture(name: str, note: str, tune: str) -> Codec:
    return Codec(
        name=name,
        note=note,
        extension="i2",
        qualities=(25.0, 40.0, 55.0, 70.0, 85.0),
        encode=partial(_encode_picture, tune=tune),
        decode=decode_picture,
        missing=_nothing_missing,
        versions=_picture_versions,
        prepare=_prepare,
        fitted=True,
    )


PICTURE = _picture("i2c", "i2compress, tuned for what is seen (visual)", "visual")
PICTURES = (
    PICTURE,
    _picture("i2c-ssim", "i2c --tune ssim", "ssim"),
    _picture("i2c-psnr", "i2c --tune psnr", "psnr"),
    _picture("i2c-texture", "i2c --tune texture", TEXTURE),
)


def _sound(name: str, note: str, tune: str) -> Codec:
    return Codec(
        name=name,
        note=note,
        extension="i2",
        qualities=(15.0, 35.0, 55.0, 75.0),
        encode=partial(_encode_sound, tune=tune),
        decode=_decode_sound,
        missing=_nothing_missing,
        versions=_sound_versions,
        prepare=_prepare,
        fitted=True,
    )


SOUNDS = (_sound("i2c-snr", "i2c --tune snr", "snr"), _sound("i2c", "i2c, tuned for hearing", "hearing"))
VIDEO = Codec(
    name="i2c",
    note="i2compress",
    extension="i2",
    qualities=(0.0, 25.0, 50.0, 75.0),
    encode=_encode_video,
    decode=_decode_video,
    missing=_nothing_missing,
    versions=_video_versions,
    prepare=_prepare,
    fitted=True,
)
