"""A codec that keeps pictures as they are, the tool run on it, and files to feed it."""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from i2compress import cli, media
from i2compress.config import EncodeSettings, View
from i2compress.container import Container, Header, read, write
from i2compress.signal import FloatArray, Metadata, Signal


@dataclass(frozen=True, kw_only=True)
class Step:
    """The codec's StepInfo."""

    phase: str = "fit"
    step: int
    steps: int
    loss: float = 0.5
    psnr: float = 30.0
    bpp: float = 1.0
    elapsed: float = 1.0
    eta: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """The codec's Encoded."""

    data: bytes
    psnr: float = float("inf")
    bpp: float = 8.0
    seconds: float = 0.1
    steps: int = 3
    passes: int = 3
    loss: float = 0.5
    converged: bool = True
    sizes: dict[str, int] = field(default_factory=dict)


class FakeFile:
    """The codec's I2File, whose only latents are the samples; sampling is nearest."""

    def __init__(self, container: Container) -> None:
        self.header = container.header
        self.metadata = Metadata(**container.metadata)
        self.complete = container.complete
        shape = (*self.header.grid, self.header.channels)
        codes = np.frombuffer(zlib.decompress(container.latents[0]), np.uint8) if container.latents else np.zeros(np.prod(shape), np.uint8)
        self.values: FloatArray = codes.reshape(shape).astype(np.float32) / np.float32(255)

    @staticmethod
    def from_bytes(data: bytes, *, threads: int | None = None, allow_partial: bool = False) -> "FakeFile":
        """As the codec's."""
        return FakeFile(read(data, allow_partial=allow_partial))

    def output_shape(self, view: View) -> tuple[int, int, int]:
        """As the codec's, for scale, size and the plain view."""
        height, width = self.header.grid
        if view.size is not None:
            width, height = view.size
        scale = view.scale or 1
        return round(height * scale), round(width * scale), self.header.channels

    def bands(self, view: View) -> Iterator[FloatArray]:
        """As the codec's."""
        height, width, _ = self.output_shape(view)
        rows = np.arange(height) * self.values.shape[0] // height
        columns = np.arange(width) * self.values.shape[1] // width
        for part in np.array_split(rows, 2):
            yield self.values[part][:, columns]


class FakeCodec(ModuleType):
    """Stands in for i2compress.codec and counts its work."""

    I2File = FakeFile

    def __init__(self) -> None:
        super().__init__("i2compress.codec")
        self.settings: list[EncodeSettings] = []
        self.work = {"steps": 3, "passes": 3}
        self.during: Callable[[], None] = lambda: None

    def encode_signal(
        self,
        signal: Signal,
        settings: EncodeSettings,
        *,
        on_step: Callable[[Step], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> Encoded:
        """As the codec's; losslessly."""
        self.settings.append(settings)
        for step in range(1, 4):
            self.during()
            if on_step is not None:
                on_step(Step(step=step, steps=3))
        height, width = signal.grid
        header = Header(kind=0, grid=(height, width), channels=signal.channels, bit_depth=8, field=0, params=(), prior=0, streams=1)
        codes = np.round(signal.values * 255).astype(np.uint8)
        return Encoded(data=write(Container(header=header, weights=b"w", latents=(zlib.compress(codes.tobytes()),))), **self.work)


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
    with media.open_writer(path, shape=codes.shape, metadata=Metadata()) as writer:
        writer.write(codes)
    return Path(path).read_bytes()


def packed(path: str) -> bytes:
    """Writes a small .i2 file and returns its bytes."""
    header = Header(kind=0, grid=(4, 6), channels=3, bit_depth=8, field=0, params=(16, 6), prior=0, streams=1, lam_code=160)
    data = write(Container(header=header, weights=b"weights", latents=(zlib.compress(bytes(72)),), metadata={"icc": b"profile"}))
    Path(path).write_bytes(data)
    return data
