"""Files of any length as a row of segments, each a plane of its own, so that encoding and decoding take bounded memory.

Sound and video share it: a first chunk that says what the file holds, metadata, and for each segment a chunk 'S', whose payload
the kind of media defines, and where there is a plane 'H', 'W' and 'Y' (docs/format.md, section 13).
"""

from collections.abc import Callable
from typing import TypeVar

from ..container import ChunkReader, Container, write_chunk, write_plane
from ..errors import ChecksumError, TruncatedError
from ..header import encode_header

Segment = TypeVar("Segment")


def write_segment(payload: bytes, content: Container | None, mesh: bytes | None = None) -> bytes:
    """The chunks of one segment; a content of None for one without a plane, and the payload of 'M' where it has one."""
    plane = b"" if content is None else write_chunk("H", encode_header(content.header)) + write_plane(content)
    return write_chunk("S", payload) + (b"" if mesh is None else write_chunk("M", mesh)) + plane


def read_segments(
    reader: ChunkReader, chunk: tuple[str, memoryview], count: int, parse: Callable[[tuple[str, memoryview], int], Segment], *, allow_partial: bool
) -> tuple[Segment, ...]:
    """All segments of a file, whose end is checked.

    Args:
        reader: of the file, after the first chunk that may be a segment's.
        chunk: that chunk.
        count: how many segments there are.
        parse: makes a segment of its 'S' chunk and its number, and reads the chunks of its plane.
        allow_partial: take the segments before a place where the file is cut short or damaged.

    Raises:
        FormatError: damaged, truncated, or written wrongly.
    """
    segments: list[Segment] = []
    try:
        while True:
            segments.append(parse(chunk, len(segments)))
            if len(segments) == count:
                break
            chunk = reader.chunk()
        reader.finish()
    except (TruncatedError, ChecksumError):
        if not allow_partial:
            raise
    return tuple(segments)
