"""What the headers of uncompressed files say about the length of their sound, and what is there.

Streaming writers leave 0 or the largest number where they did not know the length, files are cut short, and lengths
beyond 4 GiB wrap around. The sound is read to its true end: libsndfile is given the file with a header that says so.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from ..parts import Joined, read_at, size_of

_W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0O\x8e\xdb\x8a"
_ENOUGH = 10000  # chunks before the sound's
_PADDING = 2**16  # zero bytes after the sound that are not taken for silence
_TAILS = (b"TAG", b"ID3", b"APETAGEX", b"LYRICSBEGIN")
_NEARLY_4G = 0xFFFFFFFF - 2**16


@dataclass(frozen=True, kw_only=True)
class _Chunks:
    """How a container writes its chunks: bytes of a name, the size's struct format, what the size counts besides the content, alignment."""

    name: int
    size: str
    extra: int = 0
    align: int = 1

    @property
    def head(self) -> int:
        return self.name + struct.calcsize(self.size)


_RIFF, _RIFX = _Chunks(name=4, size="<I", align=2), _Chunks(name=4, size=">I", align=2)
_CAF, _W64 = _Chunks(name=4, size=">Q"), _Chunks(name=16, size="<Q", extra=24, align=8)


@dataclass(frozen=True, kw_only=True)
class Wave:
    """What a WAV header says besides.

    Args:
        tag: WAVE_FORMAT_..., the one in the extension where there is one.
        channels: how many.
        valid_bits: of each sample, 0 where that is not said.
        mask: places of the channels, 0 where that is not said.
        samples: by the fact chunk, 0 where that is not said.
    """

    tag: int = 1
    channels: int = 0
    valid_bits: int = 0
    mask: int = 0
    samples: int = 0


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the sound's bytes are by the header.

    Args:
        at: the first of them.
        said: how many.
        fields: place and struct format of the numbers that say so.
        extra: what those numbers count besides.
        chunks: how what follows is written; None where nothing may follow.
        wave: of WAV.
    """

    at: int
    said: int
    fields: tuple[tuple[int, str], ...]
    extra: int = 0
    chunks: _Chunks | None = None
    wave: Wave = field(default_factory=Wave)


def find_sound(file: BinaryIO) -> Place | None:
    """The sound of a WAV, RF64, W64, AIFF, CAF or AU file; None in any other file, and where the header is cut short."""
    head = read_at(file, 0, 16)
    try:
        if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64"):
            return _wave(file, _RIFX if head[:4] == b"RIFX" else _RIFF)
        if head[:4] == b"FORM":
            return _simple(file, _RIFX, 12, b"SSND", 8)
        if head[:4] == b"caff":
            return _simple(file, _CAF, 8, b"data", 4)
        if head[:4] == b"riff":
            return _simple(file, _W64, 40, _W64_DATA, 0)
        if head[:4] in (b".snd", b"dns."):
            order = ">" if head[:4] == b".snd" else "<"
            at, said = struct.unpack(order + "II", head[4:12])
            return Place(at=at, said=said, fields=((8, order + "I"),))
    except struct.error:
        pass
    return None


def mend(file: BinaryIO, place: Place) -> tuple[BinaryIO, tuple[str, ...]]:
    """The file with a header that says how much sound there is, and what the user must be warned of."""
    size = size_of(file)
    there = size - place.at
    said = place.said
    unknown = said == 0 or said + place.extra >= 2 ** (8 * struct.calcsize(place.fields[-1][1]) - 1) - 2**16
    if there <= 0 or (said <= there and _ends_at(file, place, place.at + said, size)):
        return file, ()
    notes: tuple[str, ...] = ()
    if not unknown and said > there:
        notes = (f"the header promises {said} bytes of sound and {there} are there: the file may be cut short, what is there is read",)
    elif not unknown:
        notes = (f"the header promises {said} bytes of sound and {there} are there: all of them are read",)
    return _patched(file, place, there, size), notes


def _patched(file: BinaryIO, place: Place, count: int, size: int) -> BinaryIO:
    """The file with `count` bytes of sound in its header, which of WAV becomes one of RF64 where the number needs it."""
    if count > _NEARLY_4G and read_at(file, 0, 4) == b"RIFF":
        long = b"ds64" + struct.pack("<IQQQI", 28, size + 28, count, 0, 0)
        head: list[bytes | tuple[BinaryIO, int, int]] = [b"RF64\xff\xff\xff\xffWAVE" + long, (file, 12, place.at - 4), b"\xff\xff\xff\xff"]
    else:
        head, at = [], 0
        for field_at, form in place.fields:
            width = struct.calcsize(form)
            head += [(file, at, field_at), struct.pack(form, min(count + place.extra, 2 ** (8 * width) - 1))]
            at = field_at + width
        head.append((file, at, place.at))
    return Joined([*head, (file, place.at, size)])  # type: ignore[return-value]  # RawIOBase has all that is used


def _ends_at(file: BinaryIO, place: Place, end: int, size: int) -> bool:
    """True where what begins at `end` is another chunk, a tag, padding or nothing."""
    rest = read_at(file, end, min(_PADDING, max(0, size - end)))
    if size - end < 8 or rest.startswith(_TAILS) or (size - end <= _PADDING and not any(rest)):
        return True
    if place.chunks is None:
        return False
    align = place.chunks.align
    start = end + -end % align
    first = next(_walk(file, place.chunks, start, size), None)
    return first is not None and all(32 <= byte < 127 for byte in first[0][:4]) and 0 <= first[2] <= size - first[1]


def _walk(file: BinaryIO, chunks: _Chunks, start: int, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, first byte and bytes of every chunk from a place on, as the headers say."""
    for _ in range(_ENOUGH):
        head = read_at(file, start, chunks.head)
        if len(head) < chunks.head:
            return
        count = struct.unpack(chunks.size, head[chunks.name :])[0] - chunks.extra
        yield head[: chunks.name], start + chunks.head, count
        if count < 0 or start > size:
            return
        start += chunks.head + count
        start += -start % chunks.align


def _simple(file: BinaryIO, chunks: _Chunks, start: int, name: bytes, before: int) -> Place | None:
    """The chunk called `name`, whose sound begins after some bytes."""
    for found, at, count in _walk(file, chunks, start, size_of(file)):
        if found == name:
            extra = before + chunks.extra
            return Place(
                at=at + before, said=max(0, count - before), fields=((at - chunks.head + chunks.name, chunks.size),), extra=extra, chunks=chunks
            )
    return None


def _wave(file: BinaryIO, chunks: _Chunks) -> Place | None:
    wave = Wave()
    long: int | None = None
    fields: tuple[tuple[int, str], ...] = ()
    for name, at, count in _walk(file, chunks, 12, size_of(file)):
        if name == b"ds64":
            long, fields = struct.unpack("<Q", read_at(file, at + 8, 8))[0], ((at + 8, "<Q"),)
        elif name == b"fmt ":
            wave = _format(read_at(file, at, min(count, 40)), chunks.size[0], wave)
        elif name == b"fact" and count >= 4:
            wave = replace(wave, samples=struct.unpack(chunks.size, read_at(file, at, 4))[0])
        elif name == b"data":
            wide = long is not None and count == 0xFFFFFFFF
            said = long if wide and long is not None else count
            return Place(at=at, said=said, fields=fields if wide else ((at - 4, chunks.size),), chunks=chunks, wave=wave)
    return None


def _format(content: bytes, order: str, wave: Wave) -> Wave:
    tag, channels = struct.unpack(order + "HH", content[:4])
    if tag != 0xFFFE or len(content) < 40:
        return replace(wave, tag=tag, channels=channels)
    bits, mask, tag = struct.unpack(order + "HIH", content[18:26])
    return replace(wave, tag=tag, channels=channels, valid_bits=bits, mask=mask)
