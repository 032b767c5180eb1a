"""GIF, APNG and animated WebP, through Pillow, which puts their frames together."""

import warnings
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, BinaryIO

import numpy as np

from ...arrays import Float32Array
from ...errors import SignalError
from ...signal import from_codes
from .colour import Colour
from .stream import timed_layout

_FORMATS = ("GIF", "PNG", "WEBP")
_QUICKEST, _USUAL = 0.011, Fraction(1, 10)  # browsers show frames of 10 ms and less for 100 ms


def is_animation(head: bytes) -> bool:
    """Whether a file that begins like that is for Pillow."""
    return head[:4] == b"GIF8" or head[:8] == b"\x89PNG\r\n\x1a\n" or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def moves(file: BinaryIO) -> bool:
    """Whether there are several frames; False for what cannot be read."""
    try:
        with _opened(file) as picture:
            return int(getattr(picture, "n_frames", 1)) > 1
    except Exception:  # what cannot be read is said by whoever reads it
        return False


def _opened(file: BinaryIO) -> Any:
    from PIL import Image

    file.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Image.open(file, formats=_FORMATS)


class Animation:
    """An animation; see stream.Stream. Raises SignalError where it cannot be read."""

    colour = Colour()
    sounds, begins = 0, Fraction(0)

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.notes: list[str] = []
        shown, end, self._alpha, size = [], Fraction(0), False, (0, 0)
        try:
            with _opened(file) as picture:
                self.source = "gif"
                size = picture.size
                for number in range(int(getattr(picture, "n_frames", 1))):
                    picture.seek(number)
                    frame = np.asarray(picture.convert("RGBA"))
                    self._alpha |= bool((frame[..., 3] < 255).any())
                    shown.append(end)
                    length = Fraction(str(picture.info.get("duration", 0))) / 1000
                    end += length if length > _QUICKEST else _USUAL
        except (OSError, SyntaxError, ValueError, EOFError) as error:
            if not shown:
                raise SignalError(f"the animation cannot be read ({error}); it is damaged, copy or download it again") from error
            self.notes.append(f"the animation is damaged after {len(shown)} frames ({error}): those are read")
        self._count = len(shown)
        shape = (size[1], size[0], 4 if self._alpha else 3)
        self.layout = timed_layout(shown, end, (), Fraction(0), shape, 8)

    def frames(self) -> Iterator[Float32Array]:
        """See Stream."""
        with _opened(self._file) as picture:
            for number in range(self._count):
                picture.seek(number)
                yield from_codes(np.asarray(picture.convert("RGBA"))[None, ..., : self.layout.channels])
