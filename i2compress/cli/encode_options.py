"""Options of i2c encode that say how each file is fitted."""

from dataclasses import dataclass
from typing import Annotated

import typer

from ..config import DEFAULT_FIELD, FIELDS, STARTS, SURFACES, TUNES, EncodeSettings, Target
from ..efforts import DEFAULT_EFFORT, DEFAULT_QUALITY
from ..errors import UsageError
from .options import Device, Running, parse_bitrate, parse_bytes, parse_duration

TUNES_TEXT = "; ".join(f"of {kind.name.lower()} {', '.join(names)}" for kind, names in TUNES.items())

Quality = Annotated[float | None, typer.Option("-q", "--quality", metavar="0..100", help=f"More is better; {DEFAULT_QUALITY:g} by default.")]
Lambda = Annotated[float | None, typer.Option("--lambda", metavar="L", help="Rate weight of the loss D + L R, instead of -q.")]
Effort = Annotated[int, typer.Option("-e", "--effort", metavar="1..9", envvar="I2C_EFFORT", help="More is slower and smaller.")]
Steps = Annotated[int | None, typer.Option("--steps", metavar="N", help="Optimiser steps, instead of the effort's.")]
TimeLimit = Annotated[
    float | None, typer.Option("--time-limit", metavar="TIME", parser=parse_duration, help="Bring the fit to its end: 90, 60s, 2m.")
]
Bitrate = Annotated[
    float | None, typer.Option("--bitrate", metavar="RATE", parser=parse_bitrate, help="Of sound, instead of -q: 24k, 24000 bits a second.")
]
TargetSize = Annotated[str | None, typer.Option("--target-size", metavar="SIZE", help="At most so many bytes, instead of -q: 20k, 1.5M.")]
Bpp = Annotated[float | None, typer.Option("--bpp", metavar="BITS", help="At most so many bits a sample of the whole file, instead of -q.")]
TargetPsnr = Annotated[
    float | None,
    typer.Option("--target-psnr", metavar="DB", help="At least so much, instead of -q. Pictures then have --tune psnr by default."),
]
TargetSsimulacra2 = Annotated[
    float | None,
    typer.Option("--target-ssimulacra2", metavar="S", help="Of pictures: at least so much, 70 is high, 50 medium; instead of -q."),
]
StartOption = Annotated[str, typer.Option("--start", metavar="NAME", help=f"Of pictures: {', '.join(STARTS)}, or a start that i2c train wrote.")]
Grid = Annotated[int | None, typer.Option("--grid", metavar="N", help="Of a shape: distances along its longest side; by -q.")]
Surface = Annotated[
    str | None,
    typer.Option("--surface", metavar="NAME", help=f"Of a shape in a coordinate field, what it is fitted to: {', '.join(SURFACES)}."),
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Of everything random.")]
Explicit = Annotated[bool, typer.Option("--explicit", help="The explicit twin of the field, to compare.")]
Width = Annotated[int | None, typer.Option("--width", metavar="N", help="Channels of the implicit layer.")]
Field = Annotated[str, typer.Option("--field", metavar="NAME", help=f"{', '.join(FIELDS)}: the codec's own, or a coordinate network.")]
Layers = Annotated[int | None, typer.Option("--layers", metavar="N", help="Layers of a coordinate field.")]
InputScale = Annotated[int | None, typer.Option("--input-scale", metavar="N", help="Highest frequency of a coordinate field at first.")]
Contract = Annotated[bool, typer.Option("--contract/--no-contract", help="Keep a coordinate field's implicit layer a contraction.")]
Raw = Annotated[str | None, typer.Option("--raw", metavar="WxH@FPS:i420", help="The inputs are bare samples: 176x144@30:i420.")]
Strip = Annotated[bool, typer.Option("--strip", help="Leave ICC, Exif, XMP and tags out.")]
TuneOption = Annotated[
    str | None, typer.Option("--tune", metavar="NAME", help=f"What errors weigh, the default first: {TUNES_TEXT}; psnr and snr: all alike.")
]
NoAudio = Annotated[bool, typer.Option("--no-audio", help="Of a video: leave its sound out.")]


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """How each file is fitted."""

    quality: Quality = None
    lam: Lambda = None
    effort: Effort = DEFAULT_EFFORT
    steps: Steps = None
    start: StartOption = "auto"
    time_limit: TimeLimit = None
    bitrate: Bitrate = None
    target_size: TargetSize = None
    bpp: Bpp = None
    target_psnr: TargetPsnr = None
    target_ssimulacra2: TargetSsimulacra2 = None
    tune: TuneOption = None
    field: Field = DEFAULT_FIELD
    explicit: Explicit = False
    width: Width = None
    layers: Layers = None
    input_scale: InputScale = None
    contract: Contract = True
    grid: Grid = None
    surface: Surface = None
    strip: Strip = False
    no_audio: NoAudio = False
    raw: Raw = None
    seed: Seed = 0
    device: Device = "auto"

    def settings(self, running: Running) -> EncodeSettings:
        """The same for the codec. Raises UsageError for what excludes each other."""
        size = None if self.target_size is None else parse_bytes(self.target_size)
        target = Target(size=size, bpp=self.bpp, psnr=self.target_psnr, ssimulacra2=self.target_ssimulacra2)
        if sum(value is not None for value in (self.quality, self.lam, self.bitrate, target if target.given else None)) > 1:
            raise UsageError("--quality, --lambda, --bitrate and targets such as --target-size exclude each other; give one")
        return EncodeSettings(
            quality=DEFAULT_QUALITY if self.quality is None else self.quality,
            target=target,
            lam=self.lam,
            effort=self.effort,
            steps=self.steps,
            start=self.start,
            time_limit=self.time_limit,
            bitrate=self.bitrate,
            tune=self.tune,
            field=self.field,
            explicit=self.explicit,
            width=self.width,
            layers=self.layers,
            input_scale=self.input_scale,
            contract=self.contract,
            grid=self.grid,
            surface=self.surface,
            strip=self.strip,
            no_audio=self.no_audio,
            seed=self.seed,
            device=self.device,
            threads=running.threads,
        )
