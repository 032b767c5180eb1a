"""A file of a picture and one of sound."""

from pathlib import Path

import numpy as np
import pytest
from plugin_pictures import QUICK, picture
from sounds import chord

from i2compress import EncodeSettings, Signal, codec
from i2compress.kinds import Kind


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """photo.i2, of RGB."""
    path = tmp_path / "photo.i2"
    path.write_bytes(picture(3, 8))
    return path


@pytest.fixture
def song(tmp_path: Path) -> Path:
    """song.i2, which is no picture."""
    path = tmp_path / "song.i2"
    values = np.asarray(chord(0.3), np.float32).reshape(-1, 1)
    sound = Signal(values=values, kind=Kind.AUDIO, bit_depth=16, rate=8000)
    path.write_bytes(codec.encode(sound, EncodeSettings(**QUICK)).data)  # type: ignore[arg-type]
    return path
