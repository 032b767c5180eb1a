"""The chunks that only video has: 'V', what the file holds, and the payload of 'S', one group of pictures. See media.segments.

'V'     frames, height, width, rate, divisor of the rate (varints); channels - 1 (bits 0-1), 16 bits (bit 2), source (bits 3-7); five bytes of
        colour (see colour.Colour); lambda code (255: not said); runs of durations (a count, 0 where frames are evenly spaced; then length
        and ticks of each); runs of groups (a count, then length and frames of each), all varints
'S'     bit 0: the weights are differences from those of the group before, with bit 7 of the first group; bits 1-6: up to which difference it
        fades over from the one before; then where its frames move over their plane, nothing where they do not (see motion.path_bytes)
'M'     after 'S', where parts of the frames of a group move: how (see mesh.mesh_bytes)
"""

import math
from dataclasses import dataclass, field
from itertools import accumulate, groupby, pairwise

from ...container import SIGNATURE, ChunkReader, Container, write_chunk, write_metadata
from ...errors import LimitError, MalformedError, SignalError
from ...header import MAX_AXIS, Cursor, decode_header, encode_varint, lambda_code
from ...kinds import MAX_RATE, Kind
from ...signal import TICKS, Layout
from .. import segments
from .colour import Colour
from .mesh import mesh_bytes, read_mesh
from .motion import STILL, Motion, path_bytes, plane_grid, read_path

SOURCES = ("mp4", "mkv", "gif", "y4m")
MAX_TICKS = TICKS * 86400  # of one frame
_LAMBDA_STEPS, _UNKNOWN = 16, 255
ALONE, BEFORE, FIRST = range(3)  # what weights are differences from
_DIFFERENCES, _OF_FIRST, _MOST_LIMIT = 1, 128, 63


@dataclass(frozen=True, kw_only=True)
class VideoHeader:
    """What a file of video holds.

    Args:
        layout: of its samples.
        colour: how they were made of colours.
        source: the file format it came from, an index of SOURCES.
        lengths: frames of each group.
        lam_code: of the encoder, to show; None where it did not say.

    Raises:
        MalformedError: groups that do not add up, a source that does not exist, or colours that the channels cannot have.
    """

    layout: Layout
    colour: Colour
    source: int
    lengths: tuple[int, ...]
    lam_code: int | None = None

    def __post_init__(self) -> None:
        if sum(self.lengths) != self.layout.grid[0] or min(self.lengths, default=0) < 1:
            raise MalformedError(f"video has {self.layout.grid[0]} frames in groups of {sum(self.lengths)}; expected as many")
        if self.source >= len(SOURCES) or (self.colour.yuv and self.layout.channels != 3):
            raise MalformedError(f"video has source {self.source} and {self.layout.channels} channels; expected those of the format")

    @property
    def lam(self) -> float | None:
        """The encoder's lambda to within 3 %; None where it did not say."""
        return None if self.lam_code is None else 2 ** (-self.lam_code / _LAMBDA_STEPS)

    @property
    def starts(self) -> list[int]:
        """The first frame of each group, and one past the last of all."""
        return list(accumulate(self.lengths, initial=0))


@dataclass(frozen=True, kw_only=True)
class Group:
    """One group of pictures.

    Args:
        content: its plane.
        follows: what its weights are differences from: ALONE, those of the group BEFORE or those of the FIRST one.
        limit: how it fades over from the one before, 0..63; see joints.faded.
        motion: how its frames move.
    """

    content: Container
    follows: int = ALONE
    limit: int = 0
    motion: Motion = STILL


@dataclass(frozen=True, kw_only=True)
class VideoFile:
    """A file of video, taken apart; fewer groups than the header says where it was cut short."""

    header: VideoHeader
    groups: tuple[Group, ...]
    metadata: dict[str, bytes] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """True where no group is missing."""
        return len(self.groups) == len(self.header.lengths)


def code_of(lam: float) -> int:
    """VideoHeader.lam_code of a rate weight."""
    return lambda_code(lam)


def write_start(header: VideoHeader, metadata: dict[str, bytes]) -> bytes:
    """The file up to its first group. Raises SignalError where metadata is too large."""
    layout = header.layout
    shape = (layout.channels - 1) | (layout.bit_depth == 16) << 2 | header.source << 3
    numbers = b"".join(map(encode_varint, (*layout.grid, layout.rate, layout.rate_divisor)))
    lam = _UNKNOWN if header.lam_code is None else header.lam_code
    durations = [after - before for before, after in pairwise(layout.times)]
    if max(durations, default=0) > MAX_TICKS:
        raise SignalError(f"a frame lasts {max(durations) / TICKS:.0f} s; expected at most a day")
    payload = numbers + bytes([shape]) + header.colour.to_bytes() + bytes([lam]) + _runs(durations) + _runs(header.lengths)
    return SIGNATURE + write_chunk("V", payload) + write_metadata(metadata)


def _runs(values: list[int] | tuple[int, ...]) -> bytes:
    runs = [(len(list(equal)), value) for value, equal in groupby(values)]
    return encode_varint(len(runs)) + b"".join(encode_varint(count) + encode_varint(value) for count, value in runs)


def _read_runs(cursor: Cursor, what: str, most: int, limit: int) -> tuple[int, ...]:
    values: list[int] = []
    for _ in range(cursor.varint(f"number of runs of {what}", most)):
        count = cursor.varint(f"length of a run of {what}", most - len(values))
        values += [cursor.varint(what, limit)] * count
    return tuple(values)


def write_group(group: Group) -> bytes:
    """The chunks of one group."""
    mesh = None if group.motion.mesh is None else mesh_bytes(group.motion.mesh)
    return segments.write_segment(bytes([joint_byte(group)]) + path_bytes(group.motion.path), group.content, mesh)


def joint_byte(group: Group) -> int:
    """What a group has to do with others."""
    return (_DIFFERENCES if group.follows else 0) | group.limit << 1 | (_OF_FIRST if group.follows == FIRST else 0)


def read_video(data: bytes, *, allow_partial: bool = False) -> VideoFile:
    """Take a file apart, checking all of it but the entropy-coded streams of planes.

    Args:
        data: the whole file.
        allow_partial: take the whole groups of a file that is cut short or damaged after its metadata.

    Raises:
        FormatError: not a file of video, damaged, truncated or too new.
    """
    reader = ChunkReader(data)
    header = video_header(reader.expect("V"))
    metadata = reader.blobs()
    reader.tracks(allow_partial=allow_partial)  # whose decoding is not the pictures' business, see tracks.py
    chunk = reader.chunk()
    groups = segments.read_segments(
        reader, chunk, len(header.lengths), lambda chunk, number: _group(reader, chunk, header, number), allow_partial=allow_partial
    )
    return VideoFile(header=header, groups=groups, metadata=metadata)


def video_header(payload: memoryview) -> VideoHeader:
    """The header from the payload of its chunk. Raises FormatError."""
    cursor = Cursor(payload, 0, "the video chunk", MalformedError, "the file was written wrongly")
    grid = tuple(cursor.varint("size of the video", MAX_AXIS) for _ in range(3))
    rate, divisor, shape = cursor.varint("frame rate", MAX_RATE), cursor.varint("divisor of the frame rate", MAX_RATE), cursor.byte()
    colour, lam = Colour.from_bytes(bytes(cursor.take(5))), cursor.byte()
    durations = _read_runs(cursor, "ticks", grid[0], MAX_TICKS)
    lengths = _read_runs(cursor, "frames", grid[0], MAX_AXIS)
    if min(grid) < 1 or rate < 1 or divisor < 1:
        raise LimitError(f"video has {grid[0]} frames of {grid[2]}x{grid[1]} at {rate}/{divisor} a second; expected at least 1 of each")
    if cursor.position != len(payload) or (durations and (len(durations) != grid[0] or min(durations) < 1)):
        raise MalformedError("the video chunk has bytes that mean nothing, or not a duration for each frame; the file was written wrongly")
    layout = Layout(
        kind=Kind.VIDEO,
        grid=grid,
        channels=(shape & 3) + 1,
        bit_depth=16 if shape & 4 else 8,
        rate=rate,
        rate_divisor=divisor,
        times=tuple(accumulate(durations, initial=0)) if durations else (),
    )
    return VideoHeader(layout=layout, colour=colour, source=shape >> 3, lengths=lengths, lam_code=None if lam == _UNKNOWN else lam)


def _group(reader: ChunkReader, chunk: tuple[str, memoryview], video: VideoHeader, number: int) -> Group:
    cursor = Cursor(reader.accept(chunk, "S"), 0, reader.where, MalformedError, "the file was written wrongly")
    joint, path = cursor.byte(), read_path(cursor, video.lengths[number])
    if joint and number == 0:
        raise MalformedError(f"{reader.where} begins with {joint}; expected 0 in the first group: the file was written wrongly")
    if joint & _OF_FIRST and not joint & _DIFFERENCES:
        raise MalformedError(f"{reader.where} begins with {joint}; expected bit 7 beside bit 0 only: the file was written wrongly")
    frames, mesh, chunk = (video.lengths[number], *video.layout.grid[1:]), None, reader.chunk()
    if chunk[0] == "M":
        mesh = read_mesh(Cursor(chunk[1], 0, reader.where, MalformedError, "the file was written wrongly"), frames)
        chunk = reader.chunk()
    header = decode_header(reader.accept(chunk, "H"))
    grid = plane_grid(frames, path)
    if (header.grid, header.channels, header.kind) != (grid, video.layout.channels, Kind.VIDEO):
        raise MalformedError(f"{reader.where} has a plane of {header.grid}; expected {grid}: the file was written wrongly")
    content = reader.plane(header, reader.chunk(), metadata={}, allow_partial=False)
    follows = (FIRST if joint & _OF_FIRST else BEFORE) if joint & _DIFFERENCES else ALONE
    return Group(content=content, follows=follows, limit=joint >> 1 & _MOST_LIMIT, motion=Motion(path=path, mesh=mesh))


def pixels(layout: Layout) -> int:
    """Of one frame."""
    return math.prod(layout.grid[1:])
