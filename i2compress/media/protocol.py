"""What a kind of media is to the rest of the package: samples in, samples out, and a file between them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Protocol, runtime_checkable

from ..arrays import Float32Array
from ..config import EncodeSettings, Limits, View
from ..kinds import Kind
from ..planes import Cost
from ..records import Json
from ..signal import Codes, Layout, Metadata, Values

if TYPE_CHECKING:
    from ..fit import StepInfo


@dataclass(frozen=True, kw_only=True)
class Format:
    """One file format.

    Args:
        name: what `--format` takes; the extensions do as well.
        kind: what it holds.
        extensions: with their dot, lower case, the usual one first.
        write: False where it can only be read.
        channels: numbers of channels it can hold.
        depths: bits of its samples; deeper code values are reduced to it when written.
        streamed: samples are written as they come; otherwise the whole is held in memory.
        carries: names of the Metadata it can hold.
        tracks: kinds of media that may run beside it in a file.
    """

    name: str
    kind: Kind
    extensions: tuple[str, ...]
    write: bool = True
    channels: tuple[int, ...] = (1, 2, 3, 4)
    depths: tuple[int, ...] = (8, 16)
    streamed: bool = False
    carries: tuple[str, ...] = ()
    tracks: tuple[Kind, ...] = ()


class Source(Protocol):
    """An opened input, read in parts along its first axis."""

    @property
    def layout(self) -> Layout:
        """What its samples are."""

    @property
    def metadata(self) -> Metadata:
        """What travels with them."""

    @property
    def format(self) -> str:
        """The name of the file format it came from; "" for arrays."""

    @property
    def notes(self) -> Sequence[str]:
        """Whole sentences on what of the file could be neither applied nor carried; complete once all has been read."""

    def read(self, start: int, count: int) -> Values:
        """Samples `[n, *rest, C]` start .. start + count of the first axis, as many as there are. Raises SignalError."""


@runtime_checkable
class Resampling(Protocol):
    """A Source whose samples can be taken on any grid, as a mesh's can."""

    def resampled(self, layout: Layout) -> Source:
        """The same on the grid of a layout of its kind. Raises SignalError where it does not lie on that grid."""


@dataclass(frozen=True, kw_only=True)
class Track:
    """What runs beside a signal, such as the sound of a video.

    Args:
        source: its samples, of a kind of media of its own.
        start: when they begin, in ticks of 1/TICKS seconds after the signal does; below 0 where that is before it.
    """

    source: Source
    start: int = 0


@runtime_checkable
class Accompanied(Protocol):
    """A Source with tracks beside it."""

    @property
    def tracks(self) -> Sequence[Track]:
        """All of them, opened when they are asked for. Raises SignalError where one cannot be read."""


class Sink(Protocol):
    """Takes the samples of one file from start to end along the first axis."""

    @property
    def layout(self) -> Layout:
        """What the file holds: the depth is the format's where that cannot hold the one that was asked for."""

    @property
    def notes(self) -> Sequence[str]:
        """Whole sentences on what the file could not hold of the samples; complete once all are written."""

    def write(self, values: Float32Array | Codes) -> None:
        """Appends `[n, *rest, C]`: values, which are rounded to what the file holds, or code values of its depth."""


@runtime_checkable
class Accompanying(Protocol):
    """A Sink that takes tracks beside its samples."""

    def accompany(self, tracks: Sequence[Track]) -> None:
        """Writes these as well; called once, before any sample is written. Raises UsageError where the format cannot hold them."""


class Content(Protocol):
    """An opened .i2 file."""

    @property
    def layout(self) -> Layout:
        """What its samples are at their own resolution, and in the depth of the source."""

    @property
    def metadata(self) -> Metadata:
        """What travels with them."""

    @property
    def complete(self) -> bool:
        """False where the file was cut short, and what is missing was filled in."""

    def output(self, view: View) -> Layout:
        """What a view gives. Raises UsageError where there is no such view."""

    def blocks(self, view: View) -> Iterator[Float32Array]:
        """The samples `[n, *rest, C]` of a view along its first axis, in memory that does not grow with its length."""


@runtime_checkable
class Timed(Protocol):
    """Content that tracks may run beside."""

    def stretch(self, view: View) -> tuple[float, float]:
        """From when to when a view shows it, in seconds of the source; infinite where it begins or ends no sooner than the tracks do."""


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """How a fit tells of itself and is told to end.

    Args:
        on_step: called after every step.
        stop: asked before every step; True ends the fit with the best state so far.
    """

    on_step: "Callable[[StepInfo], None] | None" = None
    stop: Callable[[], bool] | None = None

    @property
    def stopped(self) -> bool:
        """Whether the fit is to end."""
        return self.stop is not None and self.stop()


@dataclass(frozen=True, kw_only=True)
class Coded:
    """What an encode gives.

    Args:
        data: the .i2 file.
        steps: optimiser steps made in all.
        passes: steps on each part of the signal; fewer than `steps` where it is fitted part by part.
        rate_weight: lambda of the loss D + lambda R, D the mean squared error of values; None where errors were weighed otherwise.
        lam: lambda at the end of a fit that was steered.
        first_lam: and at its beginning.
        distortion_of: D of opened content of the same layout, weighed as in this encode; None where nothing but the squared error is.
        converged: False where a fixed point is not reached in the iterations that the file says.
        notes: whole sentences that the user should read.
    """

    data: bytes
    steps: int
    passes: int
    rate_weight: float | None = None
    lam: float | None = None
    first_lam: float | None = None
    distortion_of: "Callable[[Content], float] | None" = None
    converged: bool = True
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Outline:
    """What a file says of itself before anything of it is decoded.

    Args:
        layout: of its samples.
        lam: lambda, where the file says it.
        what: the field and what else there is to know, in a few words.
        facts: the same as data.
        settings: the fields of EncodeSettings that the file says.
    """

    layout: Layout
    lam: float | None
    what: str
    facts: Mapping[str, Json] = field(default_factory=dict)
    settings: Mapping[str, Json] = field(default_factory=dict)


class Medium(Protocol):
    """A kind of media: one folder under media/, one line in media.table."""

    @property
    def kind(self) -> Kind:
        """Its number in a file."""

    @property
    def noun(self) -> str:
        """What a sentence calls one of it: "a picture"."""

    @property
    def start(self) -> str:
        """The letter of the chunk that its files begin with."""

    @property
    def formats(self) -> Sequence[Format]:
        """Every file format of this kind."""

    @property
    def options(self) -> frozenset[str]:
        """The fields of EncodeSettings and View that it takes and that not every kind does."""

    @property
    def aims(self) -> bool:
        """Whether its fits move lambda so that the file comes to a size; see EncodeSettings.aim."""

    @property
    def continues(self) -> frozenset[str]:
        """Which way the last part of its fits can be made once more: "down" under a lower lambda, "up"; see EncodeSettings.search."""

    def sniff(self, head: bytes) -> bool:
        """Whether the first bytes are those of a file of this kind that can be read."""

    def holds(self, file: BinaryIO) -> bool:
        """Whether a file that begins like one of this kind, and like one of another, is of this one."""

    def open(self, file: BinaryIO, name: str) -> Source:
        """The samples of a file, called `name` in messages; it stays open as long as they are read. Raises SignalError."""

    def create(self, file: BinaryIO, form: Format, layout: Layout, metadata: Metadata) -> AbstractContextManager[Sink]:
        """A writer of one file, which need not be seekable. Raises UsageError where the format cannot hold it."""

    def encode(self, source: Source, settings: EncodeSettings, hooks: Hooks) -> Coded:
        """The .i2 file of a source. Raises SignalError and ResourceError."""

    def encode_memory(self, source: Source, settings: EncodeSettings) -> float:
        """Bytes that a process takes in which a source is encoded, at their height, about; `settings.halvings` is counted in."""

    def encode_seconds(self, source: Source, settings: EncodeSettings) -> float:
        """Seconds of one core that an encode takes, about: what the bar of a file and that of a run are shared out by."""

    def load(self, data: bytes, *, partial: bool, threads: int | None) -> Content:
        """The content of an .i2 file of this kind; `partial`: take one that was cut short. Raises FormatError."""

    def cost(self, data: bytes, view: View) -> Cost:
        """What decoding a view of a file takes, about, from its headers alone. Raises FormatError and UsageError."""

    def score(self, source: Source, content: Content) -> Mapping[str, float]:
        """How close the content is to its source, by the names of metrics.FIGURES: the one place of every figure that is reported."""

    def describe(self, layout: Layout) -> str:
        """A layout in a few words: 640x480 RGB8."""

    def facts(self, layout: Layout) -> Mapping[str, Json]:
        """A layout as data."""

    def check_output(self, layout: Layout, limits: Limits) -> None:
        """Raises UsageError where an output is larger than was allowed."""

    def outline(self, data: bytes) -> Outline:
        """What a file says of itself. Raises FormatError."""

    def output_format(self, head: bytes) -> str:
        """The format that a file, of which these are the first bytes, decodes to where none is asked for."""
