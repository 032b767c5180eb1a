"""How many samples there are to an inch: kept in the Exif block, and written where each format has its own place for it.

Exif has three entries of its first directory for it: XResolution, YResolution and ResolutionUnit (Exif 3.0 4.6.5.1; 1: only the ratio of the
two is known, 2: inch, 3: centimetre).
"""

from dataclasses import dataclass
from fractions import Fraction

from .exif import directory, fractions, integers, with_fields

X, Y, UNIT = 0x011A, 0x011B, 0x0128
RATIO, INCH, CENTIMETRE = 1, 2, 3
_AGREE = 0.51  # samples an inch: JFIF holds whole numbers, and others round to them
_LARGEST = 2**32 - 1


@dataclass(frozen=True, kw_only=True)
class Density:
    """Samples to a unit of length.

    Args:
        x: across, as the picture is stored.
        y: down.
        unit: RATIO, INCH or CENTIMETRE.
    """

    x: Fraction
    y: Fraction
    unit: int

    @property
    def per_inch(self) -> tuple[float, float] | None:
        """Across and down; None where only the ratio is known."""
        factor = {INCH: 1.0, CENTIMETRE: 2.54}.get(self.unit)
        return None if factor is None else (float(self.x) * factor, float(self.y) * factor)

    @property
    def per_metre(self) -> tuple[int, int] | None:
        """Across and down, to nearest; None where only the ratio is known."""
        factor = {INCH: Fraction(10000, 254), CENTIMETRE: Fraction(100)}.get(self.unit)
        return None if factor is None else (round(self.x * factor), round(self.y * factor))

    def __str__(self) -> str:
        unit = {INCH: " an inch", CENTIMETRE: " a centimetre"}.get(self.unit, " to each other")
        return f"{float(self.x):g} by {float(self.y):g}{unit}"


def density(x: Fraction | float, y: Fraction | float, unit: int) -> Density | None:
    """The density; None where the numbers say nothing: zero, negative, too large, or a ratio of one."""
    first, second = Fraction(x).limit_denominator(10**6), Fraction(y).limit_denominator(10**6)
    largest = max(first.numerator, second.numerator)
    if min(first, second) <= 0 or largest > _LARGEST or unit not in (RATIO, INCH, CENTIMETRE) or (unit == RATIO and first == second):
        return None
    return Density(x=first, y=second, unit=unit)


def density_per_metre(x: int, y: int) -> Density | None:
    """The density of whole numbers of samples a metre: as whole numbers an inch where those give the same, or else a centimetre exactly."""
    inches = round(x * 0.0254), round(y * 0.0254)
    same = density(*inches, INCH)
    if same is not None and same.per_metre == (x, y):
        return same
    return density(Fraction(x, 100), Fraction(y, 100), CENTIMETRE)


def density_of(exif: bytes | None) -> Density | None:
    """What an Exif block states; None where it states nothing that makes sense."""
    if exif is None:
        return None
    entries = directory(exif)
    across, down = fractions(exif, entries.get(X)), fractions(exif, entries.get(Y))
    unit = integers(exif, entries.get(UNIT)) or (INCH,)
    if len(across) != 1 or len(down) != 1 or not across[0][1] or not down[0][1]:
        return None
    return density(Fraction(*across[0]), Fraction(*down[0]), unit[0])


def with_density(exif: bytes | None, stated: Density | None, place: str) -> tuple[bytes | None, tuple[str, ...]]:
    """The Exif block with the density that the format states in its own place, which programs change first and ask first.

    Args:
        exif: a block without its prefix, or None.
        stated: None: the format says nothing.
        place: what stated it, for the note.

    Returns:
        The block, and a note where the two disagree.
    """
    if stated is None:
        return exif, ()
    own = density_of(exif)
    if own is not None and _agree(own, stated):
        return exif, ()
    notes = () if own is None else (f"The picture states two densities, {stated} ({place}) and {own} (Exif); the first was kept.",)
    return set_density(exif, stated), notes


def set_density(exif: bytes | None, value: Density) -> bytes:
    """The block with this density."""
    numbers = {X: value.x.as_integer_ratio(), Y: value.y.as_integer_ratio()}
    return with_fields(exif, shorts={UNIT: value.unit}, numbers=numbers)


def with_axes_exchanged(exif: bytes | None) -> bytes | None:
    """The block of the picture turned by 90 degrees."""
    own = density_of(exif)
    if own is None or own.x == own.y:
        return exif
    return set_density(exif, Density(x=own.y, y=own.x, unit=own.unit))


def _agree(one: Density, other: Density) -> bool:
    first, second = one.per_inch, other.per_inch
    if first is None or second is None:
        return first is second and abs(one.x / one.y - other.x / other.y) < Fraction(1, 1000)
    return all(abs(a - b) <= _AGREE for a, b in zip(first, second, strict=True))
