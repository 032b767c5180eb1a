"""ICC profiles of three primaries or one gray, and a tone curve: for files that state their colours in other words.

Target, tags and number formats are those of ICC.1:2022 (profile version 4.4), sections 7 to 10; a profile takes 400 to 600 bytes.
"""

import hashlib
import io
import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .metadata import icc_space

_D50 = (0.9642, 1.0, 0.8249)  # white of the profile connection space (ICC.1 7.2.16)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])  # ICC.1 annex E
_MAX_TABLE = 4096

Pair = tuple[float, float]
Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Primaries:
    """CIE 1931 chromaticities (x, y) of red, green, blue and white."""

    red: Pair
    green: Pair
    blue: Pair
    white: Pair

    def near(self, other: "Primaries", tolerance: float = 0.001) -> bool:
        """True where no coordinate differs by more than `tolerance`: files round them."""
        mine, its = (np.array([p.red, p.green, p.blue, p.white]) for p in (self, other))
        return bool(np.abs(mine - its).max() <= tolerance)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """From code value in [0, 1] to light in [0, 1].

    Args:
        power: g; light = value ** g where nothing else is given.
        segment: (a, b, c, d) of light = (a * value + b) ** g from d on and c * value below (ICC.1 10.18, function type 3).
        table: light at equal distances of the value, in place of a formula.
    """

    power: float = 1.0
    segment: tuple[float, float, float, float] | None = None
    table: tuple[float, ...] = ()


SRGB_PRIMARIES = Primaries(red=(0.64, 0.33), green=(0.30, 0.60), blue=(0.15, 0.06), white=(0.3127, 0.3290))
SRGB_CURVE = Curve(power=2.4, segment=(1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))  # IEC 61966-2-1


def build_profile(name: str, curves: tuple[Curve, ...], primaries: Primaries | None = None) -> bytes | None:
    """An ICC profile of a display.

    Args:
        name: its description, ASCII.
        curves: one for all channels, or one for each of red, green and blue.
        primaries: None: a gray profile.

    Returns:
        The profile; None where the primaries span no space, or a curve is no curve.
    """
    if any(not curve.table and not 0.05 <= curve.power <= 20 for curve in curves):
        return None
    tags = {b"desc": _text(name), b"cprt": _text("No copyright, use freely"), b"wtpt": _xyz(_D50)}
    if primaries is None:
        tags[b"kTRC"] = _curve(curves[0])
    else:
        matrix = _adapted(primaries)
        if matrix is None:
            return None
        colours, adaptation = matrix
        tags[b"chad"] = b"sf32\0\0\0\0" + b"".join(_fixed(value) for value in adaptation.ravel())
        for letter, column, curve in zip((b"r", b"g", b"b"), colours.T, curves * (3 // len(curves)), strict=True):
            tags[letter + b"XYZ"] = _xyz((column[0], column[1], column[2]))
            tags[letter + b"TRC"] = _curve(curve)
    return _assembled(tags, b"GRAY" if primaries is None else b"RGB ")


def is_srgb(icc: bytes) -> bool:
    """True where an RGB profile says of some colours what sRGB says, to a 128th: only then is nothing lost without it."""
    from PIL import Image, ImageCms  # takes a while to load, and few pictures need it

    if icc_space(icc) != "RGB":
        return False
    corners = np.array([[[r, g, b] for r in (30, 128, 230) for g in (30, 128, 230) for b in (30, 128, 230)]], np.uint8)
    try:
        source, target = ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile("sRGB")
        shown = ImageCms.profileToProfile(Image.fromarray(corners), source, target, ImageCms.Intent.RELATIVE_COLORIMETRIC)
    except (ImageCms.PyCMSError, OSError, TypeError):
        return False
    return shown is not None and int(np.abs(np.asarray(shown).astype(int) - corners).max()) <= 2


def _adapted(primaries: Primaries) -> tuple[Array, Array] | None:
    """Columns XYZ of the primaries as seen in the white of the connection space, and the adaptation that was used (ICC.1 annex E)."""
    points = (primaries.red, primaries.green, primaries.blue)
    if min(y for _, y in (*points, primaries.white)) <= 1e-4:
        return None
    matrix = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in points]).T
    x, y = primaries.white
    white = np.array([x / y, 1.0, (1 - x - y) / y])
    if abs(np.linalg.det(matrix)) < 1e-4:
        return None
    colours = matrix * np.linalg.solve(matrix, white)
    source, target = _BRADFORD @ white, _BRADFORD @ np.array(_D50)
    if np.abs(source).min() < 1e-6:
        return None
    adaptation = np.linalg.solve(_BRADFORD, np.diag(target / source) @ _BRADFORD)
    adapted = adaptation @ colours
    return (adapted, adaptation) if np.abs(adapted).max() < 100 else None


def _fixed(value: float) -> bytes:
    """A number as s15Fixed16."""
    return struct.pack(">i", round(float(value) * 65536))


def _xyz(values: tuple[float, float, float]) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(_fixed(value) for value in values)


def _text(text: str) -> bytes:
    data = text.encode("utf-16-be")
    return b"mluc\0\0\0\0" + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(data), 28) + data


def _curve(curve: Curve) -> bytes:
    if curve.table:
        values = np.array(curve.table)
        if len(values) > _MAX_TABLE:
            values = np.interp(np.linspace(0, 1, _MAX_TABLE), np.linspace(0, 1, len(values)), values)
        codes = [round(value * 65535) for value in np.clip(values, 0, 1).tolist()]
        return b"curv\0\0\0\0" + struct.pack(f">I{len(codes)}H", len(codes), *codes)
    if curve.segment is None:
        return b"para\0\0\0\0\0\0\0\0" + _fixed(curve.power)
    return b"para\0\0\0\0\0\3\0\0" + b"".join(_fixed(value) for value in (curve.power, *curve.segment))


def _assembled(tags: dict[bytes, bytes], space: bytes) -> bytes:
    """Header, table and data; equal data are stored once, as ICC.1 7.3 allows."""
    table, body, places = struct.pack(">I", len(tags)), b"", dict[bytes, int]()
    first = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        if data not in places:
            places[data] = first + len(body)
            body += data + bytes(-len(data) % 4)
        table += name + struct.pack(">II", places[data], len(data))
    header = struct.pack(">I4x4s4s4s4s", first + len(body), b"\x04\x40\0\0", b"mntr", space, b"XYZ ")
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + b"".join(_fixed(value) for value in _D50)
    profile = header.ljust(128, b"\0") + table + body
    identity = hashlib.md5(profile, usedforsecurity=False).digest()  # flags, intent and this field count as zero (ICC.1 7.2.18)
    return profile[:84] + identity + profile[100:]
