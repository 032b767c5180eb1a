"""What an MPEG audio file (MP3) says about itself: ID3 tags in front, the first frame, and the Xing, Info, VBRI and LAME headers in it."""

import struct
from dataclasses import dataclass
from typing import BinaryIO

from ..foreign import is_mpeg
from ..parts import Joined, read_at, size_of

_SEARCHED = 2**16  # bytes of junk in front of the first frame
_FRAME = 1500  # bytes, a little more than the longest frame of layer III
_TAGS = 8  # ID3 tags one after the other
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_BITRATES = {
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 1): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


@dataclass(frozen=True)
class Promise:
    """What the first frame of an MP3 says of those after it.

    Args:
        frames: how many there are.
        samples: of each channel, without the encoder's delay and padding; None where those are not said.
    """

    frames: int
    samples: int | None


def after_id3(file: BinaryIO) -> int:
    """The first byte after the ID3v2 tags in front of a file; 0 where there are none."""
    place = 0
    for _ in range(_TAGS):
        head = read_at(file, place, 10)
        if len(head) < 10 or head[:3] != b"ID3" or max(head[6:10]) > 127:
            break
        footer = 10 if head[5] & 0x10 else 0
        place += 10 + footer + sum(byte << 7 * (3 - n) for n, byte in enumerate(head[6:10]))
    return place


def without_junk(file: BinaryIO) -> tuple[BinaryIO, int]:
    """The file without what lies between its ID3 tags and its first frame, and where that frame is in it.

    Players skip such bytes, and so does FFmpeg, but it then looks for no Xing header.
    """
    start = after_id3(file)
    data = read_at(file, start, _SEARCHED + 2 * _FRAME)
    for place in range(min(len(data), _SEARCHED)):
        if data[place] == 0xFF and (length := _frame_length(data[place : place + 4])) and is_mpeg(data[place + length :]):
            if not place:
                break
            return Joined([(file, 0, start), (file, start + place, size_of(file))]), start  # type: ignore[return-value]
    return file, start


def promise(file: BinaryIO, first: int) -> Promise | None:
    """What the frame at byte `first` says; None where it says nothing."""
    frame = read_at(file, first, _FRAME)
    if len(frame) < 200 or not is_mpeg(frame) or frame[1] >> 1 & 3 != 1:  # shorter ones have no room for such a header
        return None
    newest, mono = frame[1] >> 3 & 3 == 3, frame[3] >> 6 == 3
    per_frame = 1152 if newest else 576
    at = 4 + ((17 if mono else 32) if newest else (9 if mono else 17))
    if frame[at : at + 4] in (b"Xing", b"Info") and frame[at + 7] & 1:
        frames = struct.unpack(">I", frame[at + 8 : at + 12])[0]
        flags = frame[at + 7]
        lame = at + 8 + 4 * (flags & 1) + 4 * (flags >> 1 & 1) + 100 * (flags >> 2 & 1) + 4 * (flags >> 3 & 1)
        return Promise(frames, _samples(frame[lame : lame + 24], frames * per_frame))
    if frame[36:40] == b"VBRI":
        return Promise(struct.unpack(">I", frame[50:54])[0], None)
    return None


def _samples(lame: bytes, coded: int) -> int | None:
    if lame[:4] not in (b"LAME", b"Lavf", b"Lavc", b"L3.9") or len(lame) < 24:
        return None
    delay, padding = lame[21] << 4 | lame[22] >> 4, (lame[22] & 15) << 8 | lame[23]
    return coded - delay - padding if 0 < delay + padding < coded else None


def _frame_length(head: bytes) -> int:
    """Bytes of a frame, by its four first; 0 where they are none, or do not say."""
    if not is_mpeg(head) or head[1] & 0xF6 == 0xF0 or not head[2] >> 4:
        return 0
    version, layer, padding = head[1] >> 3 & 3, head[1] >> 1 & 3, head[2] >> 1 & 1
    rate = _RATES[version][head[2] >> 2 & 3]
    bitrate = 1000 * _BITRATES[version == 3, layer][(head[2] >> 4) - 1]
    return (72 if layer == 1 and version != 3 else 144) * bitrate // rate + padding
