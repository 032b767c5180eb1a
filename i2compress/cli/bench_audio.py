"""i2c bench audio: sound against Opus, MP3, AAC and FLAC."""

from typing import Annotated

import typer

from ..config import DEFAULT_EFFORT
from .bench_options import Codecs, Effort, Jobs, Seed, Steps, fit_options, parse_list, parse_qualities, scorers
from .bench_run import Anchor, OutDir, Plan, Qualities, bench
from .options import AsJson, Debug, Device, Quiet
from .output import Output

ALL = "opus,mp3,aac,flac,i2c-snr,i2c"
HIGHEST = 512  # kbps, of any codec

Sounds = Annotated[list[str], typer.Argument(metavar="INPUT...", help="Sound files, mono or stereo, or folders of them.", show_default=False)]
OneThread = Annotated[int | None, typer.Option("--threads", metavar="N", envvar="I2C_THREADS", help="CPU threads of i2c.")]


def audio(
    *,
    inputs: Sounds,
    codecs: Codecs = ALL,
    qualities: Qualities = None,
    effort: Effort = DEFAULT_EFFORT,
    steps: Steps = None,
    seed: Seed = 0,
    device: Device = "auto",
    threads: OneThread = 1,
    jobs: Jobs = None,
    anchor: Anchor = None,
    out_dir: OutDir = "bench-audio",
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Rate, SNR, log-spectral distance, time and memory over sound files: JSON, CSV, plots, Markdown and one HTML report."""
    names = parse_list(codecs)
    chosen, options = parse_qualities(qualities or [], names, HIGHEST), fit_options(effort, steps, seed, device, threads)
    plan = Plan(inputs=inputs, names=names, qualities=chosen, options=options, jobs=scorers(jobs), anchor=anchor, own_scales=True)
    raise typer.Exit(bench("audio", plan, out_dir, Output("bench", as_json=as_json, quiet=quiet, debug=debug)))
