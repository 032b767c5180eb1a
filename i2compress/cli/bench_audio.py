"""i2c bench audio: sound against Opus, MP3, AAC and FLAC."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..config import DEFAULT_EFFORT
from ..errors import I2Error, UsageError
from .bench_options import Effort, parse_list
from .errors import exit_code
from .options import Debug, Quiet
from .output import Output

if TYPE_CHECKING:
    from ..bench.audio import AudioPoint

Inputs = Annotated[list[str], typer.Argument(metavar="INPUT...", help="Sound files, mono or stereo.", show_default=False)]
Codecs = Annotated[str, typer.Option("--codecs", metavar="A,B,...", help="Which, of i2c-snr, i2c, opus, mp3, aac and flac.")]
OutDir = Annotated[str, typer.Option("--out", metavar="DIR", help="Folder of the results; finished points in it are not measured again.")]

ALL = "opus,mp3,aac,flac,i2c-snr,i2c"


def audio(
    *,
    inputs: Inputs,
    codecs: Codecs = ALL,
    effort: Effort = DEFAULT_EFFORT,
    out_dir: OutDir = "bench-audio",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """SNR, log-spectral distance, rate and time over sound files: results.json, results.md, curves.png and spectrograms."""
    from ..bench.audio import run

    out = Output("bench", quiet=quiet, debug=debug)

    def show(done: int, total: int, point: "AudioPoint") -> None:
        figures = f"{point.bitrate / 1000:.2f} kbps, {point.snr:.2f} dB SNR, {point.encoding_time:.1f} s"
        out.line(f"{done}/{total} {point.source} {point.codec} {point.point:g}: {figures}")

    lacking = next((name for name in ("bjontegaard", "matplotlib") if find_spec(name) is None), None)
    try:
        if lacking is not None:
            raise UsageError(f"{lacking} is not installed; pip install 'i2compress[bench]'")
        points = run(inputs, parse_list(codecs), Path(out_dir), effort=effort, on_point=show)
    except I2Error as error:
        out.failure(out_dir, error)
        raise typer.Exit(exit_code(error)) from error
    from ..bench.audio_report import plot, tables
    from ..bench.spectrograms import spectrograms

    folder = Path(out_dir)
    text = tables(points, spectrograms(inputs, points, folder, effort=effort))
    (folder / "results.md").write_text(text, encoding="utf-8")
    plot(points, folder / "curves.png")
    out.text(text)
