"""The frames of a video as pictures whose names count: frame-%04d.png becomes frame-0000.png, frame-0001.png and so on."""

import os
import re
from collections.abc import Callable
from contextlib import AbstractContextManager

from ..arrays import Float32Array
from ..kinds import SAMPLES, Kind
from ..signal import Codes, Layout
from .protocol import Sink

_PLACE = re.compile(r"%0?\d*d")


def is_numbered(target: str | os.PathLike[str], layout: Layout) -> bool:
    """Whether a path is to become a picture for each sample along the first axis."""
    samples = SAMPLES[layout.kind]
    return samples.timed and samples.axes == SAMPLES[Kind.IMAGE].axes + 1 and len(_PLACE.findall(os.path.basename(target))) == 1


class NumberedSink:
    """Writes each frame as a picture; see protocol.Sink.

    Args:
        target: the path, with one place for the number, from 0 on.
        layout: of all frames.
        opener: open_writer, for a path and the layout of one picture.
    """

    def __init__(self, target: str | os.PathLike[str], layout: Layout, opener: Callable[[str, Layout], AbstractContextManager[Sink]]) -> None:
        self.layout, self.notes = layout, ()
        self._target, self._opener, self._done = os.fspath(target), opener, 0
        self._picture = Layout(kind=Kind.IMAGE, grid=layout.grid[1:], channels=layout.channels, bit_depth=layout.bit_depth)

    def write(self, values: Float32Array | Codes) -> None:
        """See Sink."""
        folder, name = os.path.split(self._target)
        for frame in values:
            path = os.path.join(folder, _PLACE.sub(lambda place: place[0] % self._done, name))
            with self._opener(path, self._picture) as sink:
                sink.write(frame)
            self._done += 1
