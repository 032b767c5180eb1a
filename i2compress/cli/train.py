"""i2c train: a start for pictures like one's own."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import UsageError
from .options import AsJson, Debug, Device, Quiet, Threads
from .output import Output, duration

Photos = Annotated[list[str], typer.Argument(metavar="PHOTO", help="Photographs, or folders of them.", show_default=False)]
OutDir = Annotated[str, typer.Option("--out", metavar="DIR", help="Folder of checkpoint, start and held-out curve.", show_default=False)]
Minutes = Annotated[float | None, typer.Option("--minutes", metavar="N", help="Stop after so many, to go on another time.")]
Steps = Annotated[int | None, typer.Option("--steps", metavar="N", help="Of the whole training: fits, 300 by default; batches, 100000.")]
Network = Annotated[bool, typer.Option("--network", help="Train a network that guesses latents as well, by batches; wants a GPU.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the folder's checkpoint.")]
From = Annotated[str | None, typer.Option("--from", metavar="FILE", help="Begin with a start, instead of nothing; 'shipped' is the package's.")]
Batch = Annotated[int | None, typer.Option("--batch", metavar="N", help="With --network, crops of a step, 6 by default.")]
Side = Annotated[int | None, typer.Option("--side", metavar="N", help="Of a crop, a multiple of 32; 224 by default, 128 with --network.")]
Half = Annotated[bool, typer.Option("--half", help="With --network, convolutions in bfloat16: faster where the processor has it.")]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Of everything random.")]


def train(
    *,
    photos: Photos,
    out_dir: OutDir,
    minutes: Minutes = None,
    steps: Steps = None,
    network: Network = False,
    resume: Resume = False,
    begin: From = None,
    batch: Batch = None,
    side: Side = None,
    half: Half = False,
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train a start on photographs: the weights that fits begin at, for encode --start FILE."""
    out = Output("train", as_json=as_json, quiet=quiet, debug=debug)
    paths = _photographs(photos)
    if threads is not None and threads < 1:
        raise UsageError(f"threads is {threads}; expected at least 1")

    from ..fit import cpu_threads, pick_device
    from ..train import CURVE, START, BatchSettings, FitSettings, split
    from ..train import train as run

    if not network and (batch is not None or half):
        raise UsageError("--batch and --half are for training by batches; add --network, or leave them out")
    given = {"minutes": minutes, "steps": steps, "batch": batch, "side": side, "half": half or None}
    own = {name: value for name, value in given.items() if value is not None}
    settings = (BatchSettings if network else FitSettings)(seed=seed, **own)  # type: ignore[arg-type]
    folder = Path(out_dir)
    chosen = pick_device(device)

    def say(point: dict[str, float]) -> None:
        out.line(_line(point))

    with out.progress(folder.name) as on_step, cpu_threads(threads):
        training = run(split(paths), settings, folder, device=chosen, begin=begin, resume=resume, on_step=on_step, say=say)
    out.line(f"{folder / START}: after {training.step} steps, {duration(training.seconds)}")
    out.record(str(folder), "ok", {"start": str(folder / START), "curve": str(folder / CURVE), "steps": training.step, "seconds": training.seconds})


def _photographs(names: list[str]) -> list[Path]:
    """Files, those of folders in order.

    Raises:
        UsageError: a name that is not there.
    """
    found: list[Path] = []
    for path in map(Path, names):
        if not path.exists():
            raise UsageError(f"{path} does not exist; expected photographs, or folders of them")
        found += sorted(file for file in path.iterdir() if file.suffix.lower() in PICTURES) if path.is_dir() else [path]
    return found


def _line(point: dict[str, float]) -> str:
    """A point of the held-out curve."""
    losses = ", ".join(f"{value:.3f} at {name.removeprefix('loss ')}" for name, value in point.items() if name.startswith("loss "))
    return f"step {point['step']:.0f}: held-out loss / lambda {losses}"


PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".avif", ".ppm", ".bmp")
