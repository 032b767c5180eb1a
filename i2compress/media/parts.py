"""Reading what can only be decoded from its start, and files made of parts of other files."""

import io
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, Generic, TypeVar, cast

import numpy as np
import numpy.typing as npt

Samples = TypeVar("Samples", bound=npt.NDArray[Any])


class Forward(Generic[Samples]):
    """Reads at any place what can only be decoded from start to end; going back further than `held` samples starts again.

    Args:
        blocks: starts decoding: samples `[n, ...]`, from the first to the last.
        empty: none of them, `[0, ...]`.
        held: samples before the last read that are kept.
    """

    def __init__(self, blocks: Callable[[], Iterator[Samples]], empty: Samples, held: int) -> None:
        self._restart, self._empty, self._kept = blocks, empty, held
        self._blocks, self._held, self._first, self._end = blocks(), deque[Samples](), 0, 0

    def read(self, start: int, count: int) -> Samples:
        """Samples start .. start + count, fewer only where there are no more; memory grows with `count` only."""
        if start < self._first:
            self._blocks = self._restart()
            self._held.clear()
            self._first = self._end = 0
        while self._end < start + count and (block := next(self._blocks, None)) is not None:
            self._held.append(block)
            self._end += len(block)
            while self._first + len(self._held[0]) <= min(start - self._kept, self._end - 1):
                self._first += len(self._held.popleft())
        return self._cut(start, start + count)

    def _cut(self, start: int, stop: int) -> Samples:
        parts, at = [self._empty], self._first
        for block in self._held:
            if at < stop and at + len(block) > start:
                parts.append(cast(Samples, block[max(0, start - at) : stop - at]))
            at += len(block)
        return cast(Samples, np.concatenate(parts))


class Joined(io.RawIOBase):
    """One file of several parts, each bytes or a stretch of another file.

    Args:
        parts: bytes, or `(file, first byte, byte after the last)`.
    """

    def __init__(self, parts: Sequence[bytes | tuple[BinaryIO, int, int]]) -> None:
        super().__init__()
        self._parts: list[tuple[int, int, BinaryIO, int]] = []  # first, last + 1, file, place in it
        self._length = self._position = 0
        for part in parts:
            file, start, stop = (io.BytesIO(part), 0, len(part)) if isinstance(part, bytes) else part
            self._parts.append((self._length, self._length + stop - start, file, start))
            self._length += stop - start

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Bytes before the next one read."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Goes to a place, the first byte where it would lie before that; returns it.

        libsndfile seeks anywhere in a damaged file, and what is raised inside its callbacks is printed.
        """
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}[whence]
        self._position = max(0, origin + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fills `buffer` as far as the parts reach; returns the number of bytes."""
        view, done = memoryview(buffer).cast("B"), 0
        for first, last, file, start in self._parts:
            if first <= self._position < last and done < len(view):
                file.seek(start + self._position - first)
                piece = file.read(min(len(view) - done, last - self._position))
                view[done : done + len(piece)] = piece
                done += len(piece)
                self._position += len(piece)
        return done


def size_of(file: BinaryIO) -> int:
    """Bytes in a file that can seek."""
    return file.seek(0, io.SEEK_END)


def read_at(file: BinaryIO, place: int, count: int) -> bytes:
    """Bytes from a place on, fewer at the end of the file; none beyond it, however far a damaged header points."""
    if place > size_of(file):
        return b""
    file.seek(place)
    return file.read(count)
