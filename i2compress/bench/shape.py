"""The benchmark of shapes: real bytes against how far the decoded surface is from the source, beside Draco and Draco on decimated meshes."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ..config import EncodeSettings
from ..errors import UsageError
from ..media.shape.measures import surface_figures
from . import measure
from .files import to_json, write_file
from .provenance import machine
from .shape_codecs import CODECS, Setting, ShapeCodec, Surface, read_mesh

FOLDER = "points"


@dataclass(frozen=True, kw_only=True)
class ShapePoint:
    """One coded mesh.

    Args:
        source, codec, setting: what was coded, and how.
        count: bytes of the file.
        figures: see metrics.FIGURES.
        encoding_cpu, decoding_cpu: seconds of the processor.
        memory: bytes by which the encoder grew; None where the system does not tell.
        decoding_memory: the same of the decoder.
        file: the coded file; None where there is none to look at.
    """

    source: str
    codec: str
    setting: str
    count: int
    figures: dict[str, float]
    encoding_cpu: float
    decoding_cpu: float
    memory: int | None = None
    decoding_memory: int | None = None
    file: str | None = None

    def surface(self) -> Surface | None:
        """What comes back."""
        return None if self.file is None else CODECS[self.codec].decode(Path(self.file).read_bytes(), None)


def bench(
    paths: Sequence[str], codecs: Sequence[str], qualities: Sequence[float], settings: EncodeSettings, folder: Path, told: Callable[[str], None]
) -> list[ShapePoint]:
    """Every point of every mesh; `told` of each as it is there. Those that are in `folder` are not measured again.

    Raises:
        SignalError: a file that is no mesh.
        UsageError: a codec that is not known or lacks a package.
    """
    _check(codecs)
    points = []
    for path in paths:
        for name in codecs:
            codec = CODECS[name]
            for setting in codec.settings or tuple(Setting(quality) for quality in qualities):
                point = _point(path, name, codec, setting, settings, folder)
                points.append(point)
                told(f"{point.source} {name} {point.setting}: {point.count} bytes, {point.figures['chamfer']:.0f} ppm")
    return points


def _check(codecs: Sequence[str]) -> None:
    unknown = [name for name in codecs if name not in CODECS]
    if unknown:
        raise UsageError(f"codec is {unknown[0]!r}; expected some of {', '.join(CODECS)}")
    for name in codecs:
        if CODECS[name].missing():
            raise UsageError(
                f'{name} needs DracoPy and fast-simplification; install them with: pip install "i2compress[bench]", or leave it out of --codecs'
            )


def _point(path: str, name: str, codec: ShapeCodec, setting: Setting, settings: EncodeSettings, folder: Path) -> ShapePoint:
    source = read_mesh(path)
    # Draco has no settings but its own: another effort of i2c does not measure it again.
    shaping = [Path(path).name, name, setting, asdict(settings) if not codec.settings else None, dict(codec.versions()), machine()]
    text = json.dumps(shaping, sort_keys=True, default=str).encode()
    key = hashlib.sha256(text + Path(path).read_bytes()).hexdigest()[:24]
    kept = folder / FOLDER / f"{name}-{key}.json"
    file = kept.with_suffix("." + codec.extension)
    try:
        return ShapePoint(**json.loads(kept.read_text(encoding="utf-8")), file=str(file))
    except (OSError, ValueError, TypeError):
        pass  # not there, cut short, or of another version
    data, encoding = measure.call(codec.prepare, codec.encode, path, setting, settings)
    surface, decoding = measure.call(codec.prepare, codec.decode, data, settings.threads)
    point = ShapePoint(
        source=Path(path).name,
        codec=name,
        setting=setting.name,
        count=len(data),
        figures=surface_figures(source.solid, *surface),
        encoding_cpu=encoding.cpu,
        decoding_cpu=decoding.cpu,
        memory=encoding.memory,
        decoding_memory=decoding.memory,
        file=str(file),
    )
    write_file(file, data)
    write_file(kept, to_json({key: value for key, value in asdict(point).items() if key != "file"}))  # last: where it is, the point is whole
    return point
