"""A picture strip: the same part of the source and of what each codec made of it, side by side."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..errors import UsageError
from .parts import Pixels

SIDE = 224  # samples of the part that is shown, where none is asked for
WIDTH = 300  # of a panel at least, so that its text fits
_TEXT = 16
_LINE = 21
_GAP = 8
_COLUMNS = 4
_PAPER, _INK, _FAINT = (255, 255, 255), (17, 17, 17), (90, 90, 90)

Crop = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A picture `[H, W, 3]` uint8 with two lines of text below it."""

    title: str
    detail: str
    samples: Pixels


def busiest(samples: Pixels) -> Crop:
    """x, y, width and height of the square with the most detail, where codecs have most to lose."""
    height, width = samples.shape[:2]
    side_y, side_x = min(SIDE, height), min(SIDE, width)
    gray = samples.mean(-1)
    detail = np.zeros((height + 1, width + 1))
    steps = np.abs(np.diff(gray, axis=0, prepend=gray[:1])) + np.abs(np.diff(gray, axis=1, prepend=gray[:, :1]))
    detail[1:, 1:] = steps.cumsum(0).cumsum(1)
    sums = detail[side_y:, side_x:] - detail[:-side_y, side_x:] - detail[side_y:, :-side_x] + detail[:-side_y, :-side_x]
    y, x = np.unravel_index(int(sums.argmax()), sums.shape)
    return int(x), int(y), side_x, side_y


def strip(panels: Sequence[Panel], crop: Crop) -> bytes:
    """The PNG of the strip, up to four panels a row.

    Raises:
        UsageError: a crop that is not inside the pictures.
    """
    x, y, width, height = crop
    full_height, full_width = panels[0].samples.shape[:2]
    if x + width > full_width or y + height > full_height:
        raise UsageError(f"crop is {x},{y},{width},{height}; expected X,Y,W,H inside the picture, which is {full_width}x{full_height}")
    zoom = -(-WIDTH // width)  # whole, so that every sample is a square
    cell_x, cell_y = width * zoom + _GAP, height * zoom + 2 * _LINE + 2 * _GAP
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    sheet = Image.new("RGB", (columns * cell_x + _GAP, rows * cell_y + _GAP), _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_TEXT)
    for index, panel in enumerate(panels):
        left, top = _GAP + index % columns * cell_x, _GAP + index // columns * cell_y
        part = Image.fromarray(np.ascontiguousarray(panel.samples[y : y + height, x : x + width]))
        sheet.paste(part.resize((width * zoom, height * zoom), Image.Resampling.NEAREST), (left, top))
        draw.text((left, top + height * zoom + 3), panel.title, _INK, font)
        draw.text((left, top + height * zoom + 3 + _LINE), panel.detail, _FAINT, font)
    file = io.BytesIO()
    sheet.save(file, "PNG", optimize=True)
    return file.getvalue()
