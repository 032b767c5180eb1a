"""Options that i2c bench and i2c compare share, and how their values are read."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from ..config import EncodeSettings
from ..efforts import DEFAULT_EFFORT
from ..errors import UsageError
from .options import AsJson, Debug, Device, Quiet, Threads
from .output import Output

if TYPE_CHECKING:
    from ..bench.codec import Codec, FitOptions
    from ..bench.store import Store
    from ..fit import StepInfo

DEFAULT_CODECS = "i2c,jpeg,webp,avif,avif-psnr,jxl,jpeg2000"

Codecs = Annotated[str, typer.Option("--codecs", metavar="A,B,...", help="i2c and its peers; a missing one is named and skipped.")]
Jobs = Annotated[int | None, typer.Option("-j", "--jobs", metavar="N", help="Processes that score decoded files; one a core by default.")]


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """How i2c works, and what is said meanwhile."""

    effort: Annotated[int, typer.Option("-e", "--effort", metavar="1..9", envvar="I2C_EFFORT", help="Of i2c: more is slower and smaller.")] = (
        DEFAULT_EFFORT
    )
    steps: Annotated[int | None, typer.Option("--steps", metavar="N", help="Optimiser steps of i2c, instead of the effort's.")] = None
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of everything random in i2c.")] = 0
    device: Device = "auto"
    threads: Threads = None
    as_json: AsJson = False
    quiet: Quiet = False
    debug: Debug = False

    def settings(self) -> EncodeSettings:
        """The same for an encode. Raises UsageError."""
        return EncodeSettings(effort=self.effort, steps=self.steps, seed=self.seed, device=self.device, threads=self.threads)

    def options(self) -> "FitOptions":
        """The same for the codecs of a benchmark. Raises UsageError now for what an encode would refuse after the peers' hours."""
        from ..bench.codec import FitOptions

        self.settings()
        return FitOptions(effort=self.effort, steps=self.steps, seed=self.seed, device=self.device, threads=self.threads)

    def output(self, verb: str) -> Output:
        """Where it is said."""
        return Output(verb, as_json=self.as_json, quiet=self.quiet, debug=self.debug)


def parse_list(text: str) -> list[str]:
    """The names in a,b,c."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UsageError(f"list is {text!r}; expected names with commas between, such as i2c,jpeg")
    return names


def parse_numbers(text: str, highest: float = 100) -> list[float]:
    """The numbers, 0 to `highest`, in 30,50,70."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"qualities are {text!r}; expected numbers with commas between, such as 30,50,70") from error
    if not all(0 <= number <= highest for number in numbers):
        raise UsageError(f"qualities are {text!r}; expected numbers from 0 to {highest:g}")
    return numbers


def parse_qualities(texts: list[str], codecs: list[str], highest: float = 100) -> dict[str, list[float]]:
    """Qualities by codec: "30,50" is for every codec, "jpeg=30,50" for one and stronger."""
    chosen: dict[str, list[float]] = {}
    own: dict[str, list[float]] = {}
    for text in texts:
        name, equals, numbers = text.rpartition("=")
        if not equals:
            chosen |= dict.fromkeys(codecs, parse_numbers(numbers, highest))
        elif name in codecs:
            own[name] = parse_numbers(numbers, highest)
        else:
            raise UsageError(f"qualities are given for {name!r}; expected one of the codecs of this run: {', '.join(codecs)}")
    return {**chosen, **own}


def check_qualities(codecs: "Sequence[Codec]", qualities: Mapping[str, list[float]]) -> None:
    """Raises UsageError for a quality beyond its codec's scale, which the encode would refuse after hours of others."""
    for codec in codecs:
        for quality in qualities.get(codec.name, ()):
            if not codec.lowest <= quality <= codec.highest:
                raise UsageError(
                    f"quality of {codec.name} is {quality:g}; expected {codec.lowest} to {codec.highest}: give it its own, {codec.name}=..."
                )


def scorers(jobs: int | None) -> int:
    """How many processes score: one for each core where nothing is asked for."""
    from ..processes import cores

    if jobs is not None and jobs < 1:
        raise UsageError(f"jobs is {jobs}; expected at least 1")
    return jobs or cores()


def open_store(benchmark: str, folder: str, out: Output) -> "tuple[Store, dict[str, str]]":
    """The store in the folder, and the measures that cannot run with the reason, which is said too."""
    from ..bench.files import make_folder
    from ..bench.run import BENCHMARKS, measures
    from ..bench.store import Store, read_results

    kind = BENCHMARKS[benchmark]
    metrics, missing = measures(kind)
    for metric, reason in missing.items():
        out.warn(f"{metric} is skipped: {reason}")
    make_folder(Path(folder))
    found = read_results(Path(folder), kind)
    for name in dict.fromkeys(point.codec for point in found if point.codec not in kind.codecs):
        out.warn(f"earlier points of {name} are left out: the codec is not known")
    earlier = tuple(point for point in found if point.codec in kind.codecs)
    return Store(folder=Path(folder), benchmark=kind, metrics=metrics, earlier=earlier), missing


def choose_codecs(names: list[str], store: "Store", out: Output) -> "tuple[list[Codec], dict[str, str]]":
    """The codecs that can run, and the others with the reason, which is said too."""
    from ..bench.run import choose

    codecs, missing = choose(names, store.benchmark)
    for name, reason in missing.items():
        out.warn(f"{name} is skipped: {reason}")
    return codecs, missing


class Report(Protocol):
    """What to call when a point is done."""

    def __call__(self, name: str, done: int, total: int, *, eta: float | None = None, psnr: float = 0.0, bpp: float = 0.0) -> None:
        """`done` of `total` points; eta in seconds, None: by the mean so far."""


def counted(on_step: "Callable[[StepInfo], None] | None") -> Report:
    """Makes a progress bar of steps one of whole points; None, where there is no terminal, is a report to nobody."""
    began = time.monotonic()

    def report(name: str, done: int, total: int, *, eta: float | None = None, psnr: float = 0.0, bpp: float = 0.0) -> None:
        if on_step is None:
            return
        from ..fit import StepInfo

        elapsed = time.monotonic() - began
        left = elapsed / done * (total - done) if eta is None else eta
        on_step(StepInfo(phase=name, step=done, steps=total, loss=0.0, psnr=psnr, bpp=bpp, elapsed=elapsed, eta=left))

    return report
