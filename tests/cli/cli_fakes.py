"""A kind of media that keeps pictures as they are, the tool run on it, and files to feed it."""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from i2compress import cli, media
from i2compress.arrays import Float32Array
from i2compress.config import EncodeSettings, View
from i2compress.container import Container, Header, read, write
from i2compress.kinds import Kind
from i2compress.media import Source, image
from i2compress.media.protocol import Coded, Hooks
from i2compress.planes import Cost
from i2compress.signal import Layout, Metadata


@dataclass(frozen=True, kw_only=True)
class Step:
    """The fit's StepInfo."""

    phase: str = "fit"
    step: int
    steps: int
    loss: float = 0.5
    psnr: float = 30.0
    bpp: float = 1.0
    elapsed: float = 1.0
    eta: float = 1.0
    after: float = 0.0


class FakeContent:
    """A Content whose only latents are the samples; sampling is nearest."""

    def __init__(self, container: Container) -> None:
        header = container.header
        self.metadata, self.complete = Metadata(**container.metadata), container.complete
        self.layout = Layout(kind=Kind.IMAGE, grid=header.grid, channels=header.channels)
        codes = np.frombuffer(zlib.decompress(container.latents[0]), np.uint8) if container.latents else np.zeros(self.layout.shape, np.uint8)
        self._values: Float32Array = codes.reshape(self.layout.shape).astype(np.float32) / np.float32(255)

    def output(self, view: View) -> Layout:
        """A picture's."""
        return image.content.Picture.output(self, view)  # type: ignore[arg-type]  # it asks for the layout only

    def blocks(self, view: View) -> Iterator[Float32Array]:
        """Two of them."""
        height, width = self.output(view).grid
        rows = np.arange(height) * len(self._values) // height
        columns = np.arange(width) * self._values.shape[1] // width
        for part in np.array_split(rows, 2):
            yield self._values[part][:, columns]


class FakeMedium(ModuleType):
    """Stands in for i2compress.media.image, whose other names it has, and counts its work."""

    Content = FakeContent

    def __init__(self) -> None:
        super().__init__("fake")
        vars(self).update({name: getattr(image, name) for name in image.__all__ if name not in ("cost", "encode", "load")})
        self.settings: list[EncodeSettings] = []
        self.during: Callable[[], None] = lambda: None

    def encode(self, source: Source, settings: EncodeSettings, hooks: Hooks) -> Coded:
        """Losslessly."""
        self.settings.append(settings)
        for step in range(1, 4):
            self.during()
            if hooks.on_step is not None:
                hooks.on_step(Step(step=step, steps=3))  # type: ignore[arg-type]  # of the same form
        layout = source.layout
        header = Header(kind=0, grid=layout.grid, channels=layout.channels, bit_depth=8, field=0, params=(), prior=0, streams=1)
        codes = np.round(source.read(0, layout.grid[0]) * 255).astype(np.uint8)
        data = write(Container(header=header, weights=b"w", latents=(zlib.compress(codes.tobytes()),)))
        return Coded(data=data, steps=3, passes=3, rate_weight=settings.rate_weight)

    def cost(self, data: bytes, view: View) -> Cost:
        """Next to nothing."""
        return Cost()

    def load(self, data: bytes, *, partial: bool, threads: int | None) -> FakeContent:
        """What encode wrote."""
        return self.Content(read(data, allow_partial=partial))


class Tool:
    """Runs i2c in a folder and keeps what it said."""

    def __init__(self, capture: pytest.CaptureFixture[bytes]) -> None:
        self.capture = capture
        self.out = b""
        self.err = ""

    def __call__(self, *args: str) -> int:
        """Exit code of `i2c args`."""
        code = cli.main(args)
        captured = self.capture.readouterr()
        self.out, self.err = captured.out, captured.err.decode()
        return int(code)


def picture(path: str, height: int = 20, width: int = 30) -> bytes:
    """Writes a noisy RGB picture and returns the file's bytes."""
    codes = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    with media.open_writer(path, Layout(kind=Kind.IMAGE, grid=(height, width), channels=3)) as writer:
        writer.write(codes)
    return Path(path).read_bytes()


def packed(path: str) -> bytes:
    """Writes a small .i2 file and returns its bytes."""
    header = Header(kind=0, grid=(4, 6), channels=3, bit_depth=8, field=0, params=(16, 6), prior=0, streams=1, lam_code=160)
    data = write(Container(header=header, weights=b"weights", latents=(zlib.compress(bytes(72)),), metadata={"icc": b"profile"}))
    Path(path).write_bytes(data)
    return data
