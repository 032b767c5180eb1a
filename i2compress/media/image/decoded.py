"""What reading a picture gives."""

from dataclasses import dataclass, field

from ...signal import Codes, Metadata


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A picture as its file holds it.

    Args:
        codes: code values `[H, W, C]`, uint8 or uint16 over their whole range; C = 1 gray, 2 gray and straight alpha, 3 RGB, 4 RGB and alpha.
        metadata: ICC profile, Exif and XMP.
        notes: whole sentences that the user is to be warned with: what the file says that could neither be applied nor carried.
    """

    codes: Codes
    metadata: Metadata = field(default_factory=Metadata)
    notes: tuple[str, ...] = ()
