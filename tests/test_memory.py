"""Commands that fit keep the memory that they free."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import resource, sys
import numpy as np
from i2compress.cli import main

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.ones(2**23)  # 64 MB: more than glibc ever keeps by itself
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = faults()
main(sys.argv[1:])
faults()
print(before, faults(), file=sys.stderr)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has its own ways")
@pytest.mark.parametrize(("command", "keeps"), [(["encode", "none.png"], True), (["decode", "none.i2"], False)])
def test_a_command_that_fits_asks_the_system_for_memory_once(command: list[str], keeps: bool) -> None:
    root = str(Path(__file__).parent.parent)
    done = subprocess.run([sys.executable, "-c", SCRIPT, *command], env={"PYTHONPATH": root}, capture_output=True, text=True, check=True)
    before, after = map(int, done.stderr.splitlines()[-1].split())
    assert (after < before / 4) == keeps
