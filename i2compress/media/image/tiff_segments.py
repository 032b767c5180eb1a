"""16-bit samples of a TIFF, whose strips and tiles tifffile puts together; what it cannot decompress alone, libtiff does through Pillow."""

import io
import struct

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import TiffImagePlugin

from ...errors import SignalError

OWN_DECODERS = frozenset({1, 8, 32946, 34925})  # stored, deflate and LZMA need nothing but tifffile
LIBTIFF_DECODERS = frozenset({5, 32773, 50000})  # LZW, PackBits and Zstandard


def samples(page: tifffile.TiffPage, data: bytes) -> npt.NDArray[np.uint16]:
    """The samples `[H, W, C]` of a page in one of these compressions, in strips or tiles, interleaved or in planes."""
    height, width, channels = page.imagelength, page.imagewidth, page.samplesperpixel
    own = int(page.compression) in OWN_DECODERS
    stored = page.asarray().astype(np.uint16, copy=False) if own else _through_libtiff(page, data)
    separate = int(page.planarconfig) == 2 and channels > 1
    return np.moveaxis(stored.reshape(channels, height, width), 0, -1) if separate else stored.reshape(height, width, channels)


def _through_libtiff(page: tifffile.TiffPage, data: bytes) -> npt.NDArray[np.uint16]:
    """The same as page.asarray()."""
    compression, planes = int(page.compression), page.samplesperpixel if int(page.planarconfig) == 2 else 1
    page.compression = tifffile.COMPRESSION.NONE  # what is handed to it has been decompressed
    out = np.zeros((planes, 1, page.imagelength, page.imagewidth, page.samplesperpixel // planes), np.uint16)
    rows, columns = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)
    per_plane = len(page.dataoffsets) // planes
    for index, (offset, count) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
        here = rows if page.is_tiled else min(rows, page.imagelength - index % per_plane * rows)
        plain = _decompressed(data[offset : offset + count], compression, columns * out.shape[-1] * 2, here)
        decoded, place, shape = page.decode(plain, index)
        if decoded is None:
            continue
        plane, _, top, left, _ = place
        _, down, across, _ = shape
        out[plane, :, top : top + down, left : left + across] = decoded[:, :down, :across]
    return out


def _decompressed(segment: bytes, compression: int, row: int, rows: int) -> bytes:
    """The bytes of a strip or tile: it is shown to libtiff as an 8-bit gray picture of as many columns as a row has bytes."""
    entries = [(256, row), (257, rows), (258, 8), (259, compression), (262, 1), (273, 8), (277, 1), (278, rows), (279, len(segment))]
    table = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries) + bytes(4)
    place = 8 + len(segment) + len(segment) % 2
    file = b"II*\0" + struct.pack("<I", place) + segment + bytes(len(segment) % 2) + table
    with TiffImagePlugin.TiffImageFile(io.BytesIO(file)) as picture:
        picture.load()
        plain = picture.tobytes()
    if len(plain) != row * rows:
        raise SignalError(f"the TIFF is damaged: {len(plain)} of {row * rows} bytes of a strip are there; copy or download it again")
    return plain
