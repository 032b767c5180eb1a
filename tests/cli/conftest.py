"""Fixtures of the command line's tests."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_fakes import FakeMedium, Tool

from i2compress.kinds import Kind
from i2compress.media import MEDIA


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, also where the tests run in the background of a shell, which ignores it there."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def codec(monkeypatch: pytest.MonkeyPatch) -> FakeMedium:
    """The fake kind of media, in the place of pictures."""
    fake = FakeMedium()
    monkeypatch.setitem(MEDIA, Kind.IMAGE, fake)
    return fake


@pytest.fixture
def i2c(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Tool:
    """The tool, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return Tool(capfdbinary)
