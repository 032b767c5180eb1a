"""The chunks that only sound has: 'A', what the file holds, and 'S', how one segment of it became a plane.

'A'     samples, rate (varints); channels - 1 (bits 0-2), floating (bit 3), depth / 8 - 1 (bits 4-6); log2(hop) - 6 (bits
        0-2), window (bit 3), source (bits 4-7); lambda code (255: not said); frames a segment (varint)
'S'     bins (varint, 0: silence and nothing follows); gain code (varint); flags (bit 0: band weights, bit 1: peaks, bit 2: noise);
        rotation (where there are two channels); scale index of the splits; the peaks where flagged (a count, then gap and
        zigzag height of each, varints); then one entropy-coded stream: band weights, noise levels, splits
"""

from dataclasses import dataclass, field

import numpy as np

from ...coding.laplace import MEAN_UNIT, SCALE_COUNT, LaplaceDecoder, LaplaceEncoder, code_length
from ...container import SIGNATURE, ChunkReader, Container, write_chunk, write_metadata
from ...errors import LimitError, MalformedError
from ...header import MAX_AXIS, Cursor, decode_header, encode_signed, encode_varint
from ...kinds import MAX_RATE, SAMPLES, Kind
from ...signal import Layout
from .. import segments
from .mdct import MAX_SPLIT, Framing

MAX_SAMPLES = 2**40
MIN_HOP_LOG2, MAX_HOP_LOG2 = 6, 13
MAX_SEGMENTS = 2**16
MAX_PLANE = 2**26  # coefficients of one segment
GAIN_ORIGIN, GAINS_PER_OCTAVE, MAX_GAIN_CODE = 2048, 64, 4095
ROTATIONS = 64  # steps that make half a turn
WEIGHTS_PER_OCTAVE = 4
MAX_BAND_WEIGHT = 127
PEAK_UNIT = 64.0  # what a peak's height is worth in the plane
MAX_HEIGHT = 2**24
NOISE_PER_OCTAVE, NO_NOISE = 2, 60
LAMBDA_STEPS = 4  # codes for each halving of lambda
SOURCES = ("wav", "flac", "aiff", "caf", "au", "w64", "rf64")  # a lossy source, and any other, decodes to wav
_BAND_SPREAD = 48  # scale 2

# Zwicker's critical bands: upper edges in Hz (Zwicker and Fastl, Psychoacoustics, table 6.1); the last band has none.
BARK_EDGES = (
    100, 200, 300, 400, 510, 630, 770, 920, 1080, 1270, 1480, 1720, 2000, 2320, 2700, 3150, 3700, 4400, 5300, 6400, 7700, 9500, 12000, 15500,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SoundHeader:
    """What a file of sound holds.

    Args:
        layout: of its samples, at most 2**40 of them.
        hop: samples a frame, 64..8192, a power of two.
        window: SINE or POWER.
        source: the file format it came from, an index of SOURCES.
        segment: frames of each segment but the last, 1..2**20.
        lam_code: 0..254, round(-4 log2(lambda)) of the encoder, to show; None where it did not say.

    Raises:
        LimitError: a number beyond its limit.
        MalformedError: a source that does not exist.
    """

    layout: Layout
    hop: int
    window: int
    source: int
    segment: int
    lam_code: int | None = None

    def __post_init__(self) -> None:
        for name, value, limit in (("samples", self.samples, MAX_SAMPLES), ("frames a segment", self.segment, MAX_AXIS)):
            if not 1 <= value <= limit:
                raise LimitError(f"sound has {value} for {name}; expected 1 to {limit}")
        if self.source >= len(SOURCES):
            raise MalformedError(f"sound has source {self.source}; expected one that exists")
        if self.segment * self.hop * self.channels > MAX_PLANE:
            raise LimitError(f"sound has segments of {self.segment * self.hop * self.channels} samples; expected at most {MAX_PLANE}")
        if self.segments > MAX_SEGMENTS:
            raise LimitError(f"sound has {self.segments} segments; expected at most {MAX_SEGMENTS}")

    @property
    def samples(self) -> int:
        """Samples of each channel."""
        return self.layout.samples

    @property
    def rate(self) -> int:
        """Samples a second."""
        return self.layout.rate

    @property
    def channels(self) -> int:
        """Channels of the sound."""
        return self.layout.channels

    @property
    def frames(self) -> int:
        """Frames of the whole sound."""
        return -(-self.samples // self.hop)

    @property
    def segments(self) -> int:
        """Segments of the whole sound."""
        return -(-self.frames // self.segment)

    @property
    def lam(self) -> float | None:
        """The encoder's lambda to within 9 %; None where it did not say."""
        return None if self.lam_code is None else 2 ** (-self.lam_code / LAMBDA_STEPS)

    def bounds(self, segment: int) -> tuple[int, int]:
        """First frame of a segment and of the one after it."""
        return segment * self.segment, min(self.frames, (segment + 1) * self.segment)


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One segment: how its coefficients became a plane, and the plane (None: silence).

    Args:
        splits: log2 of the blocks of each frame.
        bins: coefficients kept of each frame; the others are 0.
        gain_code: the plane holds coefficients times 2**((gain_code - 2048) / 64), plus 1/2.
        rotation: of two channels, in 1/64 of half a turn.
        weights: of each Bark band, in quarters of an octave: coefficients are divided by 2**(weight / 4) first; empty: none.
        peaks: (place, height) of coefficients too large for latents, places rising in raster order of the plane: PEAK_UNIT
            times the height is left out of the plane.
        noise: code of each Bark band's noise, see sound.noise; empty: none.
        content: weights and latents.
    """

    splits: np.ndarray[tuple[int], np.dtype[np.int64]]
    bins: int = 0
    gain_code: int = GAIN_ORIGIN
    rotation: int = 0
    weights: tuple[int, ...] = ()
    peaks: tuple[tuple[int, int], ...] = ()
    noise: tuple[int, ...] = ()
    content: Container | None = None

    @property
    def gain(self) -> float:
        """What coefficients are multiplied by."""
        return float(2.0 ** ((self.gain_code - GAIN_ORIGIN) / GAINS_PER_OCTAVE))


@dataclass(frozen=True, kw_only=True)
class SoundFile:
    """A file of sound, taken apart; fewer segments than the header says where it was cut short."""

    header: SoundHeader
    segments: tuple[Segment, ...]
    metadata: dict[str, bytes] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """True where no segment is missing."""
        return len(self.segments) == self.header.segments

    @property
    def framing(self) -> Framing:
        """Blocks of the whole sound."""
        splits = np.zeros(self.header.frames, np.int64)
        for number, segment in enumerate(self.segments):
            first, last = self.header.bounds(number)
            splits[first:last] = segment.splits
        return Framing(self.header.hop, splits, self.header.window)


def bark_bands(bins: int, hop: int, rate: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Bark band 0..24 of each bin: how many of the edges lie at or below its middle, (k + 1/2) rate / (2 hop)."""
    place = (2 * np.arange(bins, dtype=np.int64) + 1) * rate
    return np.searchsorted(np.array(BARK_EDGES, np.int64) * 4 * hop, place, side="right")


def write_start(header: SoundHeader, metadata: dict[str, bytes]) -> bytes:
    """The file up to its first segment. Raises SignalError where metadata is too large."""
    layout = header.layout
    shape = (layout.channels - 1) | layout.floating << 3 | (layout.bit_depth // 8 - 1) << 4
    transform = (header.hop.bit_length() - 1 - MIN_HOP_LOG2) | header.window << 3 | header.source << 4
    lam = 255 if header.lam_code is None else header.lam_code
    payload = encode_varint(header.samples) + encode_varint(header.rate) + bytes([shape, transform, lam]) + encode_varint(header.segment)
    return SIGNATURE + write_chunk("A", payload) + write_metadata(metadata)


def write_segment(segment: Segment, channels: int) -> bytes:
    """The chunks of one segment."""
    if segment.content is None:
        return segments.write_segment(encode_varint(0), None)
    splits = np.diff(segment.splits, prepend=0)
    scale = int(np.argmin([code_length(splits, np.zeros_like(splits), np.full_like(splits, i)).sum() for i in range(SCALE_COUNT)]))
    head = encode_varint(segment.bins) + encode_varint(segment.gain_code) + bytes([_flags(segment)])
    head += bytes([segment.rotation, scale] if channels == 2 else [scale]) + _write_peaks(segment.peaks)
    encoder = LaplaceEncoder()
    bands = [(np.array(codes, np.int64), _BAND_SPREAD) for codes in (segment.weights, segment.noise)]
    for values, spread in (*bands, (np.asarray(segment.splits, np.int64), scale)):
        before = np.concatenate([[0], values[:-1]])[: len(values)].astype(np.int64)
        encoder.encode(values, before * MEAN_UNIT, np.full(len(values), spread))
    return segments.write_segment(head + encoder.to_bytes(), segment.content)


def _flags(segment: Segment) -> int:
    return bool(segment.weights) | bool(segment.peaks) << 1 | bool(segment.noise) << 2


def _write_peaks(peaks: tuple[tuple[int, int], ...]) -> bytes:
    if not peaks:
        return b""
    parts, next_place = [encode_varint(len(peaks))], 0
    for place, height in peaks:
        parts.append(encode_varint(place - next_place) + encode_signed(height))
        next_place = place + 1
    return b"".join(parts)


def _read_peaks(cursor: Cursor, size: int) -> tuple[tuple[int, int], ...]:
    peaks, next_place = [], 0
    for _ in range(cursor.varint("number of peaks", size)):
        next_place += cursor.varint("gap between peaks", max(0, size - next_place - 1))
        peaks.append((next_place, cursor.signed("height of a peak", MAX_HEIGHT)))
        next_place += 1
    return tuple(peaks)


def read_sound(data: bytes, *, allow_partial: bool = False) -> SoundFile:
    """Take a file apart, checking all of it but the entropy-coded streams of planes.

    Args:
        data: the whole file.
        allow_partial: take the whole segments of a file that is cut short or damaged after its tags.

    Raises:
        FormatError: not a file of sound, damaged, truncated or too new.
    """
    reader = ChunkReader(data)
    header = sound_header(reader.expect("A"))
    metadata, chunk = reader.metadata()
    found = segments.read_segments(
        reader, chunk, header.segments, lambda chunk, number: _segment(reader, chunk, header, number), allow_partial=allow_partial
    )
    return SoundFile(header=header, segments=found, metadata=metadata)


def _cursor(payload: memoryview, where: str) -> Cursor:
    return Cursor(payload, 0, where, MalformedError, "the file was written wrongly")


def sound_header(payload: memoryview) -> SoundHeader:
    """The header from the payload of its chunk. Raises FormatError."""
    cursor = _cursor(payload, "the sound chunk")
    samples, rate = cursor.varint("number of samples", MAX_SAMPLES), cursor.varint("sampling rate", MAX_RATE)
    shape, transform, lam = cursor.take(3)
    segment = cursor.varint("frames a segment", MAX_AXIS)
    if cursor.position != len(payload) or shape >> 7:
        raise MalformedError("the sound chunk has bytes or bits that mean nothing; the file was written wrongly")
    channels, bit_depth, floating = (shape & 7) + 1, 8 * ((shape >> 4) + 1), bool(shape >> 3 & 1)
    return SoundHeader(
        layout=checked_layout(samples, channels=channels, bit_depth=bit_depth, floating=floating, rate=rate),
        hop=1 << ((transform & 7) + MIN_HOP_LOG2),
        window=transform >> 3 & 1,
        source=transform >> 4,
        segment=segment,
        lam_code=None if lam == 255 else lam,
    )


def checked_layout(samples: int, *, channels: int, bit_depth: int, floating: bool, rate: int) -> Layout:
    """The layout that a file says. Raises LimitError and MalformedError where there is no such sound."""
    if samples < 1 or rate < 1:
        raise LimitError(f"sound has {samples} samples at {rate} Hz; expected at least 1 of each")
    if bit_depth not in SAMPLES[Kind.AUDIO].depths[floating]:
        raise MalformedError(f"sound has depth {bit_depth}{' floating point' if floating else ''}; expected one that exists")
    return Layout(kind=Kind.AUDIO, grid=(samples,), channels=channels, bit_depth=bit_depth, floating=floating, rate=rate)


def _segment(reader: ChunkReader, chunk: tuple[str, memoryview], sound: SoundHeader, number: int) -> Segment:
    cursor = _cursor(reader.accept(chunk, "S"), reader.where)
    first, last = sound.bounds(number)
    bins = cursor.varint("number of bins", sound.hop)
    if bins == 0:
        if cursor.position != len(cursor.data):
            raise MalformedError(f"{reader.where} has bytes that mean nothing; the file was written wrongly")
        return Segment(splits=np.zeros(last - first, np.int64))
    gain, flags = cursor.varint("gain", MAX_GAIN_CODE), cursor.byte()
    rotation = cursor.byte() if sound.channels == 2 else 0
    scale = cursor.byte()
    if flags > 7 or rotation >= ROTATIONS or scale >= SCALE_COUNT:
        raise MalformedError(f"{reader.where} has flags {flags}, rotation {rotation} and scale {scale}; the file was written wrongly")
    peaks = _read_peaks(cursor, sound.channels * (last - first) * bins) if flags & 2 else ()
    decoder = LaplaceDecoder(bytes(cursor.take(len(cursor.data) - cursor.position)))
    weights = _chain(decoder, len(BARK_EDGES) + 1 if flags & 1 else 0, _BAND_SPREAD, MAX_BAND_WEIGHT)
    noise = _chain(decoder, len(BARK_EDGES) + 1 if flags & 4 else 0, _BAND_SPREAD, NO_NOISE)
    splits = _chain(decoder, last - first, scale, min(MAX_SPLIT, sound.hop.bit_length() - 1 - MIN_HOP_LOG2))
    if min(splits) < 0 or min(noise, default=0) < 0:
        raise MalformedError(f"{reader.where} has negative splits or levels of noise; the file was written wrongly")
    header = decode_header(reader.expect("H"))
    grid = (last - first, bins) if sound.channels == 1 else (sound.channels, last - first, bins)
    if header.grid != grid or header.channels != 1 or header.kind != 1:
        raise MalformedError(f"{reader.where} has a plane of {header.grid}; expected {grid}: the file was written wrongly")
    content = reader.plane(header, reader.chunk(), metadata={}, allow_partial=False)
    return Segment(
        splits=np.array(splits),
        bins=bins,
        gain_code=gain,
        rotation=rotation,
        weights=tuple(weights),
        peaks=peaks,
        noise=tuple(noise),
        content=content,
    )


def _chain(decoder: LaplaceDecoder, count: int, scale: int, limit: int) -> list[int]:
    """Numbers coded around the one before."""
    values: list[int] = []
    for _ in range(count):
        values.append(int(decoder.decode([values[-1] * MEAN_UNIT if values else 0], [scale])[0]))
        if abs(values[-1]) > limit:
            raise MalformedError(f"a segment holds {values[-1]}; expected at most {limit}: the file is damaged")
    return values
