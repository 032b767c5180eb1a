"""How the samples of a video were made of colours, and both directions of that: planes of codes, and values of red, green and blue.

Chroma of half the resolution is repeated, and on the way back averaged over the same samples, so that planes that were read are
written as they were. Values are not clipped in between: YCbCr holds colours a little beyond red, green and blue of 0 to 1.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...arrays import Float32Array
from ...errors import MalformedError
from ...signal import Codes, from_codes, to_codes

UNSPECIFIED = 2
RGB, YUV420, YUV422, YUV444 = 0, 1, 2, 3
SUBSAMPLED = {YUV420: (2, 2), YUV422: (1, 2), YUV444: (1, 1)}  # rows and columns of luma for one of chroma
HD_ROWS = 720  # from so many on a file that does not say its matrix is taken for BT.709, below for BT.601
# Weights of red and blue in luma, by the code of the matrix in ITU-T H.273, table 4.
_WEIGHTS = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 5: (0.299, 0.114), 6: (0.299, 0.114), 7: (0.212, 0.087), 9: (0.2627, 0.0593)}
BT709, BT601 = 1, 6


@dataclass(frozen=True, kw_only=True)
class Colour:
    """The code points of ITU-T H.273, and the chroma's resolution.

    Args:
        primaries, transfer: carried as they are.
        matrix: of luma and chroma; a key of the table above where `chroma` is not RGB.
        full: whether codes use their whole range, or 16 to 235 (chroma to 240) of 8 bits.
        chroma: RGB (also for gray), YUV420, YUV422 or YUV444.

    Raises:
        MalformedError: a matrix or a chroma that does not exist.
    """

    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    matrix: int = UNSPECIFIED
    full: bool = True
    chroma: int = RGB

    def __post_init__(self) -> None:
        if self.chroma > YUV444 or (self.chroma != RGB and self.matrix not in _WEIGHTS):
            raise MalformedError(f"video has chroma {self.chroma} and matrix {self.matrix}; expected others: the file was written wrongly")

    @property
    def yuv(self) -> bool:
        """Whether samples are luma and chroma."""
        return self.chroma != RGB

    def to_bytes(self) -> bytes:
        """Five bytes; `from_bytes` undoes it."""
        return bytes([self.primaries, self.transfer, self.matrix, self.full, self.chroma])

    @staticmethod
    def from_bytes(data: bytes | None) -> "Colour":
        """The colours in five bytes; red, green and blue for None. Raises MalformedError."""
        if data is None:
            return Colour()
        if len(data) != 5 or data[3] > 1:
            raise MalformedError(f"video has colours {data.hex()}; expected five bytes, the fourth 0 or 1: the file was written wrongly")
        return Colour(primaries=data[0], transfer=data[1], matrix=data[2], full=bool(data[3]), chroma=data[4])


def known_matrix(code: int, rows: int) -> int:
    """The matrix of a file, or where it says none that is known the one that players take."""
    if code in _WEIGHTS:
        return code
    return 9 if code == 10 else BT709 if rows >= HD_ROWS else BT601


def chroma_shape(height: int, width: int, colour: Colour) -> tuple[int, int]:
    """Rows and columns of a plane of chroma."""
    down, across = SUBSAMPLED[colour.chroma]
    return -(-height // down), -(-width // across)


def to_luma(values: Float32Array, colour: Colour) -> Float32Array:
    """Luma in [0, 1] and both chroma in [0, 1], gray being 1/2, of red, green and blue `[..., 3]`."""
    red, blue = _WEIGHTS[colour.matrix]
    y = red * values[..., 0] + (1 - red - blue) * values[..., 1] + blue * values[..., 2]
    cb, cr = (values[..., 2] - y) / (2 * (1 - blue)) + 0.5, (values[..., 0] - y) / (2 * (1 - red)) + 0.5
    return np.stack([y, cb, cr], -1).astype(np.float32)


def from_luma(values: Float32Array, colour: Colour) -> Float32Array:
    """Undoes `to_luma`."""
    red, blue = _WEIGHTS[colour.matrix]
    y, cb, cr = values[..., 0], values[..., 1] - 0.5, values[..., 2] - 0.5
    r, b = y + 2 * (1 - red) * cr, y + 2 * (1 - blue) * cb
    return np.stack([r, (y - red * r - blue * b) / (1 - red - blue), b], -1).astype(np.float32)


def unit(depth: int, colour: Colour) -> tuple[float, float]:
    """Codes, as shares of the largest one, that luma and chroma of 0 to 1 span: 1, or 219/255 and 224/255 of 8 bits."""
    top = 2**depth - 1
    return (1.0, 1.0) if colour.full else (219 * 2 ** (depth - 8) / top, 224 * 2 ** (depth - 8) / top)


def of_planes(planes: list[Codes], depth: int, colour: Colour) -> Float32Array:
    """Red, green and blue `[n, H, W, 3]` of luma and chroma `[n, h, w]`, code values of that depth."""
    (height, width), (luma, chroma) = planes[0].shape[1:], unit(depth, colour)
    down, across = SUBSAMPLED[colour.chroma]
    black, middle = _origins(depth, colour)
    y = (from_codes(planes[0]) - np.float32(black)) / np.float32(luma)
    parts = [(from_codes(plane) - np.float32(middle)) / np.float32(chroma) + np.float32(0.5) for plane in planes[1:]]
    wide = [part.repeat(down, 1).repeat(across, 2)[:, :height, :width] for part in parts]
    return from_luma(np.stack([y, *wide], -1), colour)


def to_planes(values: Float32Array, depth: int, colour: Colour) -> list[Codes]:
    """Undoes `of_planes`; values beyond what codes hold are clipped."""
    ycc, (luma, chroma) = to_luma(values, colour), unit(depth, colour)
    black, middle = _origins(depth, colour)
    parts = [_reduced(ycc[..., c], *SUBSAMPLED[colour.chroma]) for c in (1, 2)]
    return [to_codes(ycc[..., 0] * luma + black, depth), *(to_codes((part - 0.5) * chroma + middle, depth) for part in parts)]


def _origins(depth: int, colour: Colour) -> tuple[float, float]:
    """Codes of black and of no chroma, as shares of the largest code."""
    top = 2**depth - 1
    return 0.0 if colour.full else 16 * 2 ** (depth - 8) / top, 2 ** (depth - 1) / top


def _reduced(plane: npt.NDArray[np.float32], down: int, across: int) -> npt.NDArray[np.float32]:
    """Means of blocks, those at the edge of what there is of them."""
    if (down, across) == (1, 1):
        return plane
    height, width = plane.shape[1:]
    padded = np.pad(plane, [(0, 0), (0, -height % down), (0, -width % across)], mode="edge")
    blocks = padded.reshape(len(plane), padded.shape[1] // down, down, padded.shape[2] // across, across)
    return np.asarray(blocks.mean((2, 4)), np.float32)
