"""i2compress: a codec in which a media file becomes a small implicit neural network."""

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from .config import EncodeSettings, Target, View
from .errors import I2Error

if TYPE_CHECKING:
    from .api import decode, encode, open
    from .codec import Encoded, I2File
    from .kinds import Kind
    from .signal import Layout, Metadata, Signal

try:
    __version__ = version("i2compress")
except PackageNotFoundError:  # a bare checkout
    __version__ = "0+unknown"

__all__ = [
    "EncodeSettings",
    "Encoded",
    "I2Error",
    "I2File",
    "Kind",
    "Layout",
    "Metadata",
    "Signal",
    "Target",
    "View",
    "__version__",
    "decode",
    "encode",
    "open",
]

_HOMES = {"Encoded": "codec", "I2File": "codec", "Kind": "kinds", "Layout": "signal", "Metadata": "signal", "Signal": "signal"}


def __getattr__(name: str) -> object:
    """Import on first use, so that `i2c --help` and `i2c info` start at once."""
    if name not in __all__:
        raise AttributeError(f"module 'i2compress' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES.get(name, 'api')}", __name__), name)
