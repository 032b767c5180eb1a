"""Measures of pictures that no tune of i2c minimises, by other people's programs."""

import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image

from ..errors import ResourceError
from .codec import Pixels

DISPLAY = "standard_4k"  # ColorVideoVDP's: 30 inches, 200 cd/m2, seen from 75 cm
BUTTERAUGLI = "butteraugli_main"  # libjxl's tool: Debian's and Ubuntu's package libjxl-devtools


def cvvdp(source: Pixels, decoded: Pixels) -> float:
    """ColorVideoVDP (Mantiuk et al. 2024): just-objectionable differences on a usual screen, 10 where none is seen."""
    found, _ = _judge().predict(decoded, source, dim_order="HWC")
    return float(found)


@cache
def _judge() -> Any:  # the package has no types
    import pycvvdp

    return pycvvdp.cvvdp(display_name=DISPLAY, quiet=True)


def butteraugli(source: Pixels, decoded: Pixels) -> float:
    """The 3-norm of Butteraugli's map of differences: 0 where equal, under 1 hardly seen.

    Raises:
        ResourceError: the tool fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        names = [str(Path(folder, name)) for name in ("source.png", "decoded.png")]
        for name, picture in zip(names, (source, decoded), strict=True):
            Image.fromarray(picture).save(name, compress_level=1)
        ran = subprocess.run([BUTTERAUGLI, *names], capture_output=True, text=True, check=False)
    found = re.search(r"3-norm: ([0-9.]+)", ran.stdout)
    if found is None:
        raise ResourceError(f"{BUTTERAUGLI} gave no 3-norm (exit code {ran.returncode}); expected one: install libjxl's tools anew, or remove them")
    return float(found[1])


def lacks_butteraugli() -> str | None:
    """Why the tool cannot run, or None."""
    return None if shutil.which(BUTTERAUGLI) else f"{BUTTERAUGLI} is not installed; it is one of libjxl's tools (apt install libjxl-devtools)"
