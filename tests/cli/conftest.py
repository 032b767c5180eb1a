"""Fixtures of the command line's tests."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_fakes import FakeCodec, Tool


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, also where the tests run in the background of a shell, which ignores it there."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def codec(monkeypatch: pytest.MonkeyPatch) -> FakeCodec:
    """The fake codec, installed."""
    fake = FakeCodec()
    monkeypatch.setitem(sys.modules, "i2compress.codec", fake)
    return fake


@pytest.fixture
def i2c(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Tool:
    """The tool, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return Tool(capfdbinary)
