"""The links of an Ogg file: streams one after the other, each a file of its own; found by walking over the pages."""

from dataclasses import dataclass, field
from typing import BinaryIO

from ..parts import read_at, size_of

_CODECS = {b"\x01vorbis": "vorbis", b"OpusHead": "opus", b"\x7fFLAC": "flac", b"Speex   ": "speex", b"\x80theora": "video", b"\x01video": "video"}
_PAGE = 27
# Places of the channels: WAV's order taken from that of Vorbis and Opus, by the number of channels.
_TO_WAV = {3: (0, 2, 1), 5: (0, 2, 1, 3, 4), 6: (0, 2, 1, 5, 3, 4), 7: (0, 2, 1, 6, 5, 3, 4), 8: (0, 2, 1, 7, 5, 6, 3, 4)}


@dataclass
class Link:
    """One of the streams, or those that run beside each other.

    Args:
        start: its first byte.
        stop: the one after its last.
        codecs: of the streams in it, "" one that is not known.
        ended: its last page says that it is the last.
    """

    start: int
    stop: int
    codecs: list[str] = field(default_factory=list)
    ended: bool = False


@dataclass
class Pages:
    """What walking over the pages has found.

    Args:
        links: in their order.
        skipped: bytes between pages that belong to none.
        cut: the file ends inside a page.
    """

    links: list[Link]
    skipped: int = 0
    cut: bool = False


def scan(file: BinaryIO) -> Pages:
    """The links of an Ogg file."""
    found, place, size, beginning = Pages([]), 0, size_of(file), False
    while place + _PAGE <= size:
        head = read_at(file, place, _PAGE + 255)
        if head[:4] != b"OggS":
            following = _next_page(file, place)
            found.skipped += following - place
            place = following
            continue
        lacing = head[_PAGE : _PAGE + head[26]]
        end = place + _PAGE + head[26] + sum(lacing)
        first = bool(head[5] & 2)
        if (first and not beginning) or not found.links:
            found.links.append(Link(place, place))
        link, beginning = found.links[-1], first
        if first:
            begin = read_at(file, place + _PAGE + head[26], 8)
            link.codecs.append(next((name for magic, name in _CODECS.items() if begin.startswith(magic)), ""))
        found.cut = end > size
        link.stop, link.ended = min(end, size), bool(head[5] & 4) and not found.cut
        place = end
    found.cut |= 0 < size - place < _PAGE
    return found


def _next_page(file: BinaryIO, place: int) -> int:
    """The next byte from a place on where a page begins, or the end of the file."""
    file.seek(place)
    before = b""
    while block := file.read(2**16):
        found = (before + block).find(b"OggS")
        if found >= 0:
            return place - len(before) + found
        place += len(block)
        before = (before + block)[-3:]
    return place


def to_wav_order(channels: int) -> list[int]:
    """For every channel in WAV's order its number in that of Vorbis and Opus."""
    return list(_TO_WAV.get(channels, range(channels)))


def from_wav_order(channels: int) -> list[int]:
    """For every channel in the order of Vorbis and Opus its number in WAV's."""
    order = to_wav_order(channels)
    return [order.index(channel) for channel in range(channels)]
