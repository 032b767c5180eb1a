"""Whether a file may be a video, from its first bytes."""

from ..foreign import HEAD

_MAGICS = (
    b"\x1aE\xdf\xa3", b"YUV4MPEG2 ", b"FLV\x01", b"\0\0\1\xba", b"\0\0\1\xb3", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b".RMF",
    b"\0\0\0\1\x67", b"\0\0\0\1\x40",
    b"DKIF", b"\x8aMNG",
)  # fmt: skip
_OTHER_BRANDS = (
    b"avif", b"heic", b"heix", b"hevc", b"heim", b"heis", b"hevx", b"mif1", b"msf1", b"crx ", b"jxl ", b"M4A ", b"M4B ", b"M4P ", b"F4A ",
)  # fmt: skip
_SYNC, _PACKET = 0x47, 188  # of an MPEG transport stream


def sniff(head: bytes) -> bool:
    """True where the first bytes are those of a container of video, or of an animation; of a GIF all bytes tell (see foreign.beginning)."""
    if head[4:8] == b"ftyp":
        return head[8:12] not in _OTHER_BRANDS
    if head[4:8] in (b"moov", b"mdat", b"wide", b"free"):
        return True
    if head[:4] == b"RIFF":
        return head[8:12] == b"AVI " or (head[8:16] == b"WEBPVP8X" and bool(head[20:21] and head[20] & 2))
    if head[:4] == b"OggS":
        return b"theora" in head
    if head[:4] == b"GIF8":
        return _frames_in_gif(head) > 1
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return b"acTL" in head[: head.find(b"IDAT") if b"IDAT" in head else HEAD]
    transport = len(head) > 2 * _PACKET and all(head[at] == _SYNC for at in range(0, 3 * _PACKET, _PACKET) if at < len(head))
    return head.startswith(_MAGICS) or transport


def _frames_in_gif(data: bytes) -> int:
    """Frames of a GIF, 2 for more: image descriptors among its blocks (GIF89a, appendix A and section 20)."""
    place, found = 13 + _table(data, 10), 0
    while place < len(data) and found < 2:
        if data[place] == 0x2C:  # an image: descriptor, its own colours, the width of its codes
            found += 1
            place = _past_blocks(data, place + 11 + _table(data, place + 9))
        elif data[place] == 0x21:  # an extension and its label
            place = _past_blocks(data, place + 2)
        else:
            break
    return found


def _table(data: bytes, flags: int) -> int:
    """Bytes of the table of colours that the flags at a place speak of."""
    return 3 << (data[flags] & 7) + 1 if flags < len(data) and data[flags] & 0x80 else 0


def _past_blocks(data: bytes, place: int) -> int:
    """The place after a row of blocks, each of which begins with its length, the last of 0."""
    while place < len(data) and data[place]:
        place += 1 + data[place]
    return place + 1
