"""Exif as bytes: what has to be understood and changed of it, every other byte as it was (Exif 3.0 section 4.6, TIFF 6.0 section 2)."""

import struct
from dataclasses import dataclass

EXIF_IFD, INTEROP_IFD = 0x8769, 0xA005
_PREFIX = b"Exif\0\0"
_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_BIG_ORDERS = {b"II+\0": "<", b"MM\0+": ">"}
_ORIENTATION = 0x0112
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_FRACTIONS = {5: "II", 10: "ii"}
_MAX_ENTRIES = 4096

Number = tuple[int, int]  # numerator and denominator


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One entry of a directory.

    Args:
        kind: TIFF's number of its type.
        count: of values.
        place: offset of the first value.
    """

    kind: int
    count: int
    place: int


def clean_exif(exif: bytes | None) -> bytes | None:
    """The TIFF-structured block without its ``Exif\\0\\0`` prefix; None where it is none."""
    exif = (exif or b"").removeprefix(_PREFIX)
    return exif if exif[:4] in _ORDERS else None


def directory(block: bytes | None, *tags: int) -> dict[int, Entry]:
    """The first directory of a TIFF, a BigTIFF or an Exif block, or the one that its entries `tags`, one after the other, point to.

    What is not there of a directory that ends early is left out: it can say nothing.
    """
    return {tag: entry for tag, entry in _entries(block, *tags) if entry is not None}


def beyond_the_end(block: bytes) -> tuple[int, ...]:
    """The tags of the first directory whose values are not there."""
    return tuple(tag for tag, entry in _entries(block) if entry is None)


def _entries(block: bytes | None, *tags: int) -> list[tuple[int, Entry | None]]:
    """Tags and entries, the first of each tag; None in place of an entry whose values lie beyond the end."""
    if block is None or not (order := _order(block)):
        return []
    big = block[:4] in _BIG_ORDERS
    start = _unsigned(block, order, 8, "Q") if big else _unsigned(block, order, 4, "I")
    if tags:
        values = integers(block, directory(block, *tags[:-1]).get(tags[-1]))
        start = values[0] if values else None
    if start is None:
        return []
    count = _unsigned(block, order, start, "Q" if big else "H") or 0
    first, step = (start + 8, 20) if big else (start + 2, 12)
    found: dict[int, Entry | None] = {}
    for at in range(first, first + step * min(count, _MAX_ENTRIES), step):
        if at + step > len(block):
            break
        number, kind, length = struct.unpack_from(order + ("HHQ" if big else "HHI"), block, at)
        inline, room = at + step - (8 if big else 4), 8 if big else 4
        size = SIZES.get(kind, 0) * length
        if not size:
            continue  # it has no value, or a type that is not known
        place = inline if size <= room else _unsigned(block, order, inline, "Q" if big else "I")
        there = place is not None and place + size <= len(block)
        found.setdefault(number, Entry(kind=kind, count=length, place=place) if there and place is not None else None)
    return list(found.items())


def _order(block: bytes) -> str:
    return _ORDERS.get(block[:4]) or _BIG_ORDERS.get(block[:4], "")


def _unsigned(block: bytes, order: str, place: int, letter: str) -> int | None:
    return int(struct.unpack_from(order + letter, block, place)[0]) if place + struct.calcsize(order + letter) <= len(block) else None


def integers(block: bytes, entry: Entry | None) -> tuple[int, ...]:
    """The values of an entry of unsigned integers; none where it is another."""
    if entry is None or entry.kind not in _INTEGERS:
        return ()
    return struct.unpack_from(f"{_order(block)}{entry.count}{_INTEGERS[entry.kind]}", block, entry.place)


def fractions(block: bytes, entry: Entry | None) -> tuple[Number, ...]:
    """The values of an entry of fractions, each a numerator and a denominator; none where it is another."""
    if entry is None or entry.kind not in _FRACTIONS:
        return ()
    numbers = struct.unpack_from(_order(block) + _FRACTIONS[entry.kind] * entry.count, block, entry.place)
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def text(block: bytes, entry: Entry | None) -> bytes:
    """The bytes of an entry of text up to its first zero; none where it is another."""
    return b"" if entry is None or entry.kind not in (2, 7) else block[entry.place : entry.place + entry.count].split(b"\0")[0]


def orientation(exif: bytes | None) -> int | None:
    """The orientation 1 to 8; None where there is none or it makes no sense."""
    values = integers(exif or b"", directory(exif).get(_ORIENTATION))
    return values[0] if len(values) == 1 and 1 <= values[0] <= 8 else None


def as_upright(exif: bytes) -> bytes:
    """The same block (or TIFF file) with orientation 1; every other byte stays, so that offsets inside (maker notes) stay valid."""
    entry = directory(exif).get(_ORIENTATION)
    if entry is None or entry.kind not in _INTEGERS or entry.count != 1:
        return exif
    patched = bytearray(exif)
    struct.pack_into(_order(exif) + _INTEGERS[entry.kind], patched, entry.place, 1)
    return bytes(patched)


def with_fields(exif: bytes | None, *, shorts: dict[int, int], numbers: dict[int, Number]) -> bytes:
    """The block with these entries in its first directory.

    The directory is written anew behind everything else, and so no other byte moves.

    Args:
        exif: None: a block is made.
        shorts: entries of one 16-bit number.
        numbers: entries of one unsigned fraction.
    """
    block = exif if exif is not None and exif[:4] in _ORDERS else b"II*\0" + bytes(4)
    order = _ORDERS[block[:4]]
    start = int(struct.unpack_from(order + "I", block, 4)[0])
    entries, following = _raw_entries(block, order, start)
    block += bytes(len(block) % 2)
    entries |= {tag: struct.pack(order + "HHIHH", tag, 3, 1, value, 0) for tag, value in shorts.items()}
    at, values = len(block) + 2 + 12 * len(entries | dict.fromkeys(numbers, b"")) + 4, b""
    for tag, number in numbers.items():
        entries[tag] = struct.pack(order + "HHII", tag, 5, 1, at + len(values))
        values += struct.pack(order + "II", *number)
    table = struct.pack(order + "H", len(entries)) + b"".join(entries[tag] for tag in sorted(entries))
    return block[:4] + struct.pack(order + "I", len(block)) + block[8:] + table + following + values


def _raw_entries(block: bytes, order: str, start: int) -> tuple[dict[int, bytes], bytes]:
    """The first directory's entries as they are, and the four bytes that say where the next directory is."""
    if not start or start + 2 > len(block):
        return {}, bytes(4)
    count = int(struct.unpack_from(order + "H", block, start)[0])
    whole = [block[at : at + 12] for at in range(start + 2, start + 2 + 12 * count, 12) if at + 12 <= len(block)]
    following = block[start + 2 + 12 * count :][:4]
    return {int(struct.unpack_from(order + "H", entry)[0]): entry for entry in whole}, following if len(following) == 4 else bytes(4)
