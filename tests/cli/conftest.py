"""Fixtures of the command line's tests."""

import sys
from pathlib import Path

import pytest
from cli_fakes import FakeCodec, Tool


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
