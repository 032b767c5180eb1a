"""What a reader found, made ready: the picture upright, with metadata that fit what its values have become."""

from dataclasses import replace

from ...signal import Codes, Metadata
from .decoded import Decoded
from .density import with_axes_exchanged
from .exif import EXIF_IFD, INTEROP_IFD, as_upright, clean_exif, directory, orientation, text
from .icc import is_srgb
from .metadata import icc_for, icc_space, turned, xmp_as_upright, xmp_orientation

_INTEROP_INDEX = 1


def upright(found: Decoded) -> Decoded:
    """The picture as it is to be seen, its orientation (of Exif, or else of XMP) applied and set to 1."""
    exif, xmp, notes = clean_exif(found.metadata.exif), found.metadata.xmp or None, list(found.notes)
    if exif is None and found.metadata.exif:
        notes.append("The picture's Exif block is damaged, so that it was left out.")
    how = orientation(exif) or xmp_orientation(xmp) or 1
    codes = turned(found.codes, how)
    if exif is not None:
        exif = as_upright(exif)
    if how != 1:
        xmp = xmp_as_upright(xmp)
    if how >= 5:
        exif = with_axes_exchanged(exif)
    icc, more = _profile(found.metadata.icc, codes)
    return replace(found, codes=codes, metadata=Metadata(icc=icc, exif=exif, xmp=xmp), notes=(*notes, *more))


def _profile(icc: bytes | None, codes: Codes) -> tuple[bytes | None, list[str]]:
    """The profile, where it describes the picture's channels, and a note where it does not and would have changed them."""
    kept = icc_for(icc, codes.shape[2])
    if not icc or kept is not None:
        return kept, []
    space = icc_space(icc)
    if space is None:
        return None, ["The picture's ICC profile is damaged, so that it was left out."]
    kind = "gray" if codes.shape[2] < 3 else "RGB"
    if kind == "gray" and is_srgb(icc):
        return None, []  # gray without a profile is shown with sRGB's curve: nothing is lost
    return None, [f"The picture is {kind} and its ICC profile is for {space}, so that the profile was left out; its tones may look different."]


def is_adobe_rgb(exif: bytes | None) -> bool:
    """True where Exif says that the values are in DCF's optional colour space, Adobe RGB: interoperability index R03 (DCF 2.0)."""
    block = clean_exif(exif)
    if block is None:
        return False
    return text(block, directory(block, EXIF_IFD, INTEROP_IFD).get(_INTEROP_INDEX)) == b"R03"
