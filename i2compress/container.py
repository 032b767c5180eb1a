"""The bytes of an .i2 file: a signature, then chunks {type, length, payload, CRC-32}. docs/format.md is the specification.

    signature       f1 69 32, format version (1 byte)
    'H' header      what the file holds; see Header
    'o'             what it was made from and how, two hashes: optional; see origin.py
    'c' 'e' 'x' 't' ICC profile, Exif, XMP, tags: optional, each at most once, zlib
    'g'             grain of a picture, likewise; see media.image.grain
    'O' occupancy   which blocks are active, of a sparse pyramid only
    'W' weights     the field's weights, entropy coded
    'Y' latents     Header.streams of them, coarse to fine; the last one ends the file

Sound and video begin with another chunk and hold any number of planes, one a segment:

    signature
    'A' or 'V'      what the file holds; see media.sound.format and media.video.format
    't' ...         metadata, as above
    for each segment: 'S' segment, and where it is not silent 'H', 'W', 'Y' as above

The sound of a video is a whole file of sound in a chunk before the first group:

    'T' track       when it begins, and the bytes of that .i2 file; see tracks.py

A shape has a chunk before its plane:

    signature, 'G' shape (where the grid lies), metadata, 'H', 'O', 'W', 'Y' as above, and where it has colours three times 'H', 'W', 'Y'

Every limit is checked before anything is allocated, and every byte is under a check: a strict prefix of a file is a
TruncatedError, a changed byte some FormatError.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

from .errors import BadMagicError, ChecksumError, LimitError, MalformedError, SignalError, TruncatedError, UnsupportedVersionError
from .header import MAX_VALUE, SPARSE, Cursor, decode_header, encode_header, encode_varint
from .header import Header as Header
from .header import lambda_code as lambda_code

MAGIC = b"\xf1i2"  # the first byte is not ASCII, so that no text file and no transfer in text mode passes for an .i2 file
VERSION = 1

SIGNATURE = MAGIC + bytes([VERSION])

MAX_METADATA = 2**24  # bytes of one metadata block, unpacked
START = 4096  # bytes that are read at once where only the start of a file is wanted

CHUNKS = {
    "H": "header",
    "M": "mesh",
    "c": "icc",
    "e": "exif",
    "x": "xmp",
    "t": "tags",
    "s": "waveform",
    "g": "grain",
    "W": "weights",
    "Y": "latents",
    "A": "sound",
    "V": "video",
    "S": "segment",
    "o": "origin",
    "G": "shape",
    "O": "occupancy",
    "T": "track",
}
HEADER = "H"
TRACK = "T"
ORIGIN, ORIGIN_SIZE = "o", 16
METADATA = {"icc": "c", "exif": "e", "xmp": "x", "tags": "t", "waveform": "s", "grain": "g"}
STRIPPED = ("icc", "exif", "xmp", "tags")  # of it, what --strip leaves out: it is about the source, and no decoded sample depends on it


class ChunkSize(NamedTuple):
    """Bytes of one part of a file: its type letter ("" for the signature), its name, its size with all framing."""

    type: str
    name: str
    size: int


@dataclass(frozen=True, kw_only=True)
class Container:
    """A file, taken apart.

    Args:
        header: what it holds.
        weights: payload of the 'W' chunk.
        latents: payloads of the 'Y' chunks, coarse to fine; fewer than `header.streams` where the file was cut short.
        occupancy: payload of the 'O' chunk of a sparse pyramid; empty for other fields.
        metadata: blobs by name, "icc", "exif", "xmp", "tags", "waveform" or "grain", each at most 16 MiB.

    Raises:
        MalformedError: more latents than the header says, or metadata of another name.
    """

    header: Header
    weights: bytes
    latents: tuple[bytes, ...]
    metadata: dict[str, bytes] = field(default_factory=dict)
    occupancy: bytes = b""

    def __post_init__(self) -> None:
        if len(self.latents) > self.header.streams:
            raise MalformedError(f"found {len(self.latents)} latent streams; the header says {self.header.streams}")
        unknown = sorted(self.metadata.keys() - METADATA.keys())
        if unknown:
            raise MalformedError(f"metadata is named {unknown[0]!r}; expected {', '.join(METADATA)}")

    @property
    def complete(self) -> bool:
        """True where no latents are missing."""
        return len(self.latents) == self.header.streams


def write(container: Container) -> bytes:
    """The file's bytes.

    Raises:
        MalformedError: latents are missing.
        SignalError: a metadata block is larger than the format allows.
    """
    if not container.complete:
        raise MalformedError(f"found {len(container.latents)} latent streams; the header says {container.header.streams}")
    parts = [SIGNATURE, write_chunk(HEADER, encode_header(container.header)), write_metadata(container.metadata)]
    return b"".join([*parts, write_plane(container)])


def write_metadata(metadata: Mapping[str, bytes]) -> bytes:
    """The chunks of metadata blobs. Raises SignalError where one is too large."""
    return b"".join(write_chunk(letter, _pack(metadata[name], name)) for name, letter in METADATA.items() if name in metadata)


def write_plane(container: Container, *, own_blocks: bool = True) -> bytes:
    """The chunks of occupancy where the field has one (`own_blocks`: and is not on the blocks of another plane), of weights and latents."""
    occupancy = write_chunk("O", container.occupancy) if container.header.field in SPARSE and own_blocks else b""
    return occupancy + write_chunk("W", container.weights) + b"".join(write_chunk("Y", latents) for latents in container.latents)


def read(data: bytes, *, allow_partial: bool = False) -> Container:
    """Take a file apart, checking all of it.

    Args:
        data: the whole file.
        allow_partial: take a file that is cut short or damaged after its weights for the latents before that place.

    Raises:
        FormatError: `data` is not a file of this format, damaged, truncated or too new.
    """
    reader = ChunkReader(data, allow_partial=allow_partial)
    header = decode_header(reader.expect(HEADER))
    metadata, chunk = reader.metadata()
    content = reader.plane(header, chunk, metadata=metadata, allow_partial=allow_partial)
    if content.complete:
        reader.finish()
    return content


def read_start(file: BinaryIO) -> tuple[Header, dict[str, bytes]]:
    """Header and metadata of a file that begins with them, of which not much more is read.

    Raises:
        FormatError: no such file, or one that is damaged so far.
    """
    data = b""
    while True:
        more = file.read(max(START, len(data)))
        data += more
        try:
            reader = ChunkReader(data)
            header, blobs = decode_header(reader.expect(HEADER)), reader.blobs()
        except TruncatedError:
            if not more:
                raise
            continue
        if reader.position < len(data) or not more:
            return header, blobs


def chunk_sizes(data: bytes) -> list[ChunkSize]:
    """Bytes of each part of a file, in order; they add up to its size. Raises FormatError where a chunk is damaged."""
    reader = ChunkReader(data)
    sizes = [ChunkSize("", "signature", reader.position)]
    while reader.position < len(data):
        start = reader.position
        letter, _ = reader.chunk()
        sizes.append(ChunkSize(letter, CHUNKS.get(letter, "unknown"), reader.position - start))
    return sizes


def has_stripped(data: bytes) -> bool:
    """Whether a file has any of what --strip leaves out. Raises FormatError."""
    return any(chunk.name in STRIPPED for chunk in chunk_sizes(data))


def sample_bytes(data: bytes) -> int:
    """Bytes of a file without what no decoded sample depends on: metadata about its source, and what it was made from. Raises FormatError."""
    return sum(chunk.size for chunk in chunk_sizes(data) if chunk.name not in STRIPPED and chunk.type != ORIGIN)


_PART = "fetch the file again, or decode what is there with --allow-partial"
_WHOLE = "fetch the file again; its header and weights must be whole"


class ChunkReader:
    """Goes through a file chunk by chunk. `allow_partial`: what is missing was allowed to be, so errors do not advise it."""

    def __init__(self, data: bytes, *, allow_partial: bool = False) -> None:
        start = data[: len(MAGIC)]
        if not MAGIC.startswith(start):
            raise BadMagicError(f"file starts with {start.hex(' ')}; expected {MAGIC.hex(' ')}: this is not an .i2 file")
        if len(data) <= len(MAGIC):
            raise TruncatedError(f"file has {len(data)} bytes, less than its signature; fetch it again")
        if data[len(MAGIC)] != VERSION:
            raise UnsupportedVersionError(f"format version is {data[len(MAGIC)]}; this version reads {VERSION}: update i2compress")
        self.data = memoryview(data)
        self.position = len(MAGIC) + 1
        self.where = ""
        self.advice = _WHOLE if allow_partial else _PART

    def chunk(self) -> tuple[str, memoryview]:
        """Type letter and payload of the next chunk."""
        self.where = f"the chunk at byte {self.position}"
        cursor = Cursor(self.data, self.position, self.where, TruncatedError, self.advice)
        letter = chr(cursor.byte())
        payload = cursor.take(cursor.varint("chunk length", MAX_VALUE))
        found = zlib.crc32(self.data[self.position : cursor.position])
        stored = int.from_bytes(cursor.take(4), "little")
        if found != stored:
            raise ChecksumError(f"{self.where} has CRC-32 {found:08x}; expected {stored:08x}: the file is damaged, fetch it again")
        if not (letter.isascii() and letter.isalpha()):
            raise MalformedError(f"{self.where} has type {letter!r}; expected a letter")
        self.position = cursor.position
        return letter, payload

    def accept(self, chunk: tuple[str, memoryview], letter: str) -> memoryview:
        """Payload of `chunk`, which must have type `letter`."""
        if chunk[0].isupper() and chunk[0] not in CHUNKS:
            raise UnsupportedVersionError(
                f"{self.where} has the unknown type {chunk[0]!r}; this version knows {', '.join(CHUNKS)}: update i2compress"
            )
        if chunk[0] != letter:
            raise MalformedError(f"{self.where} has type {chunk[0]!r}; expected {letter!r} here")
        return chunk[1]

    def expect(self, letter: str) -> memoryview:
        """Payload of the next chunk, which must have type `letter`."""
        return self.accept(self.chunk(), letter)

    def metadata(self) -> tuple[dict[str, bytes], tuple[str, memoryview]]:
        """The optional chunks that are known, by name, and the chunk after them."""
        return self.blobs(), self.chunk()

    def blobs(self) -> dict[str, bytes]:
        """Those of the next chunks that are optional and known, by name."""
        found: dict[str, bytes] = {}
        seen: set[str] = set()
        while self._next().islower():
            letter, payload = self.chunk()
            name = CHUNKS.get(letter)
            if letter in seen and name is not None:
                raise MalformedError(f"{self.where} is a second {name} chunk; expected at most one")
            seen.add(letter)
            if letter == ORIGIN:
                _check_origin(payload)
            elif name is not None:
                found[name] = _unpack(payload, name)
        return found

    def tracks(self, *, allow_partial: bool = False) -> list[memoryview]:
        """Payloads of those of the next chunks that are tracks; `allow_partial`: one that is damaged as well, whose own chunks say where."""
        found = []
        while self._next() == TRACK:
            cursor = Cursor(self.data, self.position + 1, self.where, TruncatedError, self.advice)
            try:
                found.append(self.chunk()[1])
            except ChecksumError:
                if not allow_partial:
                    raise
                found.append(cursor.take(cursor.varint("chunk length", MAX_VALUE)))
                cursor.take(4)
                self.position = cursor.position
        return found

    def _next(self) -> str:
        """Type letter of the next chunk; "" at the end."""
        return "".join(map(chr, self.data[self.position : self.position + 1]))

    def plane(
        self, header: Header, chunk: tuple[str, memoryview], *, metadata: dict[str, bytes], allow_partial: bool, own_blocks: bool = True
    ) -> Container:
        """Occupancy or weights, whose chunk has been read, and what follows; `own_blocks` as in write_plane."""
        occupancy = b""
        if header.field in SPARSE and own_blocks:
            occupancy, chunk = bytes(self.accept(chunk, "O")), self.chunk()
        weights = bytes(self.accept(chunk, "W"))
        latents: list[bytes] = []
        while len(latents) < header.streams:
            try:
                latents.append(bytes(self.expect("Y")))
            except (TruncatedError, ChecksumError):
                if not allow_partial:
                    raise
                break
        return Container(header=header, weights=weights, latents=tuple(latents), metadata=metadata, occupancy=occupancy)

    def finish(self) -> None:
        """Check that nothing follows."""
        extra = len(self.data) - self.position
        if extra:
            raise MalformedError(f"{extra} bytes follow the last chunk at byte {self.position}; expected the end of the file")


def insert_origin(data: bytes, origin: bytes) -> bytes:
    """A file that says what it was made from, of one that does not; see origin.py."""
    reader = ChunkReader(data)
    reader.chunk()
    return data[: reader.position] + write_chunk(ORIGIN, origin) + data[reader.position :]


def read_origin(data: bytes) -> bytes | None:
    """What a file says that it was made from; None where it does not. Its first two chunks suffice. Raises FormatError."""
    reader = ChunkReader(data)
    reader.chunk()
    letter, payload = reader.chunk()  # where insert_origin puts it
    if letter != ORIGIN:
        return None
    _check_origin(payload)
    return bytes(payload)


def _check_origin(payload: memoryview) -> None:
    if len(payload) != ORIGIN_SIZE:
        raise MalformedError(f"the origin chunk has {len(payload)} bytes; expected {ORIGIN_SIZE}: the file was written wrongly")


def write_chunk(letter: str, payload: bytes) -> bytes:
    """One chunk with its framing."""
    body = letter.encode("ascii") + encode_varint(len(payload)) + payload
    return body + zlib.crc32(body).to_bytes(4, "little")


def _pack(blob: bytes, name: str) -> bytes:
    if len(blob) > MAX_METADATA:
        raise SignalError(f"{name} metadata has {len(blob)} bytes; expected at most {MAX_METADATA}: leave it out with --strip")
    return zlib.compress(blob, 9)


def _unpack(payload: memoryview, name: str) -> bytes:
    # One byte beyond the limit is asked for, so that a bomb shows itself without being unpacked.
    unpacker = zlib.decompressobj()
    try:
        blob = unpacker.decompress(payload, MAX_METADATA + 1)
    except zlib.error as error:
        raise MalformedError(f"{name} metadata is not a zlib stream ({error}); the file was written wrongly") from error
    if len(blob) > MAX_METADATA:
        raise LimitError(f"{name} metadata unpacks to more than {MAX_METADATA} bytes; expected at most that")
    if not unpacker.eof or unpacker.unused_data:
        raise MalformedError(f"{name} metadata is not one whole zlib stream; the file was written wrongly")
    return blob
