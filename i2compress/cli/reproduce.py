"""i2c reproduce: the experiments of the (Implicit)^2 paper, with our figures."""

from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UsageError
from .inputs import check_stdin
from .options import AsJson, Debug, Device, Quiet
from .output import Output

if TYPE_CHECKING:
    from ..reproduce.report import Cells


class Experiment(str, Enum):
    """What to run."""

    IMAGE = "image"
    GENERALISATION = "generalisation"
    AUDIO = "audio"
    VIDEO = "video"
    OCCUPANCY = "occupancy"
    MEMORY = "memory"
    SPEED = "speed"
    ALL = "all"


class Preset(str, Enum):
    """How large."""

    QUICK = "quick"
    FULL = "full"


Name = Annotated[Experiment, typer.Argument(metavar="EXPERIMENT", help=f"{', '.join(name.value for name in Experiment)}.", show_default=False)]
Media = Annotated[list[str] | None, typer.Argument(metavar="INPUT", help="Pictures, clips, videos or meshes; each experiment takes its own.")]
PresetOption = Annotated[Preset, typer.Option("--preset", help="Minutes on two CPU cores, or the paper's sizes, for a GPU.")]
OutDir = Annotated[str, typer.Option("--out", metavar="DIR", help="Folder of the results: JSON, Markdown and plots.")]
Kinds = Annotated[str, typer.Option("--kinds", metavar="A,B,...", help="Networks.")]
Steps = Annotated[int | None, typer.Option("--steps", metavar="N", help="Optimiser steps, instead of the preset's.")]
Rate = Annotated[float | None, typer.Option("--rate", metavar="R", help="Learning rate, instead of the preset's.")]
Contract = Annotated[
    bool | None, typer.Option("--contract/--no-contract", help="Spectral normalisation, instead of the preset's.", show_default=False)
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Of everything random.")]
Threads = Annotated[int, typer.Option("--threads", metavar="N", help="CPU threads; with one, seconds are those of the CPU.")]

ALL_KINDS = "siren,fourier,gabor"


def reproduce(
    *,
    name: Name,
    inputs: Media = None,
    preset: PresetOption = Preset.QUICK,
    out_dir: OutDir = "reproduce",
    kinds: Kinds = ALL_KINDS,
    steps: Steps = None,
    rate: Rate = None,
    contract: Contract = None,
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = 1,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """The experiments of the (Implicit)^2 paper: implicit networks beside explicit ones of the same size."""
    paths = tuple(Path(path) for path in inputs or [])
    chosen = tuple(kinds.split(","))
    unknown = [kind for kind in chosen if kind not in ALL_KINDS.split(",")]
    if unknown:
        raise UsageError(f"kind is {unknown[0]!r}; expected some of {ALL_KINDS}")
    if steps is not None and steps < 1:
        raise UsageError(f"steps is {steps}; expected at least 1")
    if rate is not None and not 0 < rate < 1:
        raise UsageError(f"rate is {rate:g}; expected more than 0 and less than 1")
    if threads < 1:
        raise UsageError(f"threads is {threads}; expected at least 1")
    if paths:
        check_stdin([str(path) for path in paths])
    out = Output("reproduce", as_json=as_json, quiet=quiet, debug=debug)

    from ..fit import cpu_threads, pick_device
    from ..reproduce.command import reproduce as experiments
    from ..reproduce.runs import Wish

    with out.progress(name.value) as on_step, cpu_threads(threads):
        wish = Wish(preset=preset.value, inputs=paths, device=pick_device(device), kinds=chosen, seed=seed, say=out.line)
        wish = replace(wish, steps=steps, rate=rate, contract=contract)
        wish = wish if on_step is None else replace(wish, on_step=on_step)
        for outcome in experiments(name.value, wish, Path(out_dir)):
            for title, cells in outcome.tables.items():
                _show(title, cells, out)
            out.record(outcome.name, "ok", {"files": [str(path) for path in outcome.files]})


def _show(title: str, cells: "Cells", out: Output) -> None:
    """A table on stdout, where JSON was not asked for."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    if out.as_json:
        return
    table = Table(title=title, title_justify="left", box=SIMPLE, title_style="bold")
    for at, heading in enumerate(cells[0]):
        table.add_column(heading, justify="left" if at < 2 else "right", no_wrap=True)
    for row in cells[1:]:
        table.add_row(*row)
    console = Console(width=200)
    with console.capture() as text:
        console.print(table)
    out.text(text.get().rstrip())
