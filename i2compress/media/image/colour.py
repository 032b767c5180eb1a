"""What the numbers of a file's colours mean, as an ICC profile; a picture without a profile is taken as sRGB, and so sRGB needs none.

Code points are those of ITU-T H.273 (07/2024), tables 2 and 3. Of the camera curves (transfers 1, 6, 14, 15: BT.709, BT.601, BT.2020) the
inverse is the tone curve, as in Skia, libjxl and ColorSync; BT.1886 would make them darker.
"""

from dataclasses import dataclass

from ...errors import SignalError
from .icc import SRGB_CURVE, SRGB_PRIMARIES, Curve, Pair, Primaries, build_profile

_D65: Pair = (0.3127, 0.3290)
_C: Pair = (0.310, 0.316)
_BT601_525 = Primaries(red=(0.630, 0.340), green=(0.310, 0.595), blue=(0.155, 0.070), white=_D65)
_PRIMARIES = {
    1: SRGB_PRIMARIES,
    4: Primaries(red=(0.67, 0.33), green=(0.21, 0.71), blue=(0.14, 0.08), white=_C),
    5: Primaries(red=(0.64, 0.33), green=(0.29, 0.60), blue=(0.15, 0.06), white=_D65),
    6: _BT601_525,
    7: _BT601_525,
    8: Primaries(red=(0.681, 0.319), green=(0.243, 0.692), blue=(0.145, 0.049), white=_C),
    9: Primaries(red=(0.708, 0.292), green=(0.170, 0.797), blue=(0.131, 0.046), white=_D65),
    11: Primaries(red=(0.680, 0.320), green=(0.265, 0.690), blue=(0.150, 0.060), white=(0.314, 0.351)),
    12: Primaries(red=(0.680, 0.320), green=(0.265, 0.690), blue=(0.150, 0.060), white=_D65),
    22: Primaries(red=(0.630, 0.340), green=(0.295, 0.605), blue=(0.155, 0.077), white=_D65),
}
_PRIMARY_NAMES = {
    1: "BT.709",
    4: "NTSC 1953",
    5: "BT.601 625",
    6: "BT.601 525",
    7: "SMPTE 240M",
    8: "Film",
    9: "BT.2020",
    11: "DCI-P3",
    12: "Display P3",
}


def _camera(alpha: float, beta: float, slope: float) -> Curve:
    """The inverse of value = alpha * light ** 0.45 - (alpha - 1), slope * light below beta."""
    return Curve(power=1 / 0.45, segment=(1 / alpha, (alpha - 1) / alpha, 1 / slope, slope * beta))


_BT709 = _camera(1.09929682680944, 0.018053968510807, 4.5)
_CURVES = {
    1: _BT709,
    4: Curve(power=2.2),
    5: Curve(power=2.8),
    6: _BT709,
    7: _camera(1.1115, 0.0228, 4.0),
    8: Curve(),
    11: _BT709,
    13: SRGB_CURVE,
    14: _BT709,
    15: _BT709,
}
_HDR = {16: "PQ", 18: "HLG"}
_ADOBE_RGB = Primaries(red=(0.64, 0.33), green=(0.21, 0.71), blue=(0.15, 0.06), white=_D65)


@dataclass(frozen=True, kw_only=True)
class Colours:
    """What a file states, understood.

    Args:
        icc: profile of it; None: sRGB.
        notes: sentences about what could not be put into it.
    """

    icc: bytes | None = None
    notes: tuple[str, ...] = ()


def of_code_points(primaries: int, transfer: int, *, gray: bool, place: str) -> Colours | None:
    """The colours of H.273 code points; None where they leave it open or are not known.

    Args:
        primaries, transfer: ColourPrimaries and TransferCharacteristics.
        gray: the picture has no colours, so that its primaries do not matter.
        place: what states them, for the message.

    Raises:
        SignalError: HDR, whose values no profile maps to a screen.
    """
    if transfer in _HDR:
        raise SignalError(f"the picture is HDR ({_HDR[transfer]} transfer); this is not supported, convert it to SDR first")
    curve, points = _CURVES.get(transfer), _PRIMARIES.get(primaries)
    if curve is None or (points is None and not gray):
        return None
    name = f"{'Gray' if gray else _PRIMARY_NAMES.get(primaries, f'primaries {primaries}')}, transfer {transfer} ({place})"
    return of_primaries(None if gray else points, (curve,), name=name)


def of_gamma(exponent: float | None, primaries: Primaries | None, *, gray: bool, place: str) -> Colours | None:
    """The colours of a power and chromaticities.

    An exponent within 2 % of 2.2 with the primaries of sRGB (or none) means sRGB: PNG recommends gAMA 45455 beside sRGB for readers that
    know no sRGB, and browsers show such files as they show sRGB.

    Args:
        exponent: light = value ** exponent; None: as in sRGB.
        primaries: None: those of sRGB.
        gray: the picture has no colours.
        place: what states them, for the description.

    Returns:
        None where the numbers make no sense.
    """
    points = primaries or SRGB_PRIMARIES
    if exponent is None or (abs(exponent / 2.2 - 1) <= 0.02 and (gray or points.near(SRGB_PRIMARIES))):
        curve, shown = SRGB_CURVE, "sRGB curve"
    else:
        curve, shown = Curve(power=exponent), f"gamma {exponent:.4g}"
    return of_primaries(None if gray else points, (curve,), name=f"{'Gray' if gray else 'RGB'}, {shown} ({place})")


def of_primaries(points: Primaries | None, curves: tuple[Curve, ...], *, name: str) -> Colours | None:
    """The colours of chromaticities (None: gray) and one curve or three; None where they span no space."""
    if set(curves) == {SRGB_CURVE} and (points is None or points.near(SRGB_PRIMARIES)):
        return Colours()
    icc = build_profile(name, curves, points)
    return None if icc is None else Colours(icc=icc)


def adobe_rgb() -> bytes | None:
    """The profile of Adobe RGB (1998), whose exponent is 563/256."""
    return build_profile("Adobe RGB (1998), as Exif states", (Curve(power=563 / 256),), _ADOBE_RGB)
