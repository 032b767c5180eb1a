"""How much memory there is, and how the C library hands out memory in a process that is ours: a command's, or one that measures."""

import ctypes
import os
import sys
from contextlib import suppress
from pathlib import Path

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # parameters of mallopt(3)
_MOST = 2**31 - 1


def keep_freed_memory() -> None:
    """Have glibc keep what is freed for what is asked for next, instead of giving it back to the system.

    A fit frees the same few large tensors and asks for them again at every step; fresh pages for them take a
    good part of its time. With another C library nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # no such function, or no such library
        return
    mallopt(_MMAP_MAX, 0)
    mallopt(_TRIM_THRESHOLD, _MOST)


def installed() -> int | None:
    """Bytes of memory that this process can have at most: the machine's, or those of its control group; None where that cannot be told."""
    known = []
    with suppress(OSError, ValueError, AttributeError):  # AttributeError: Windows has no sysconf
        known.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):  # "max" is no number
            known.append(int(Path("/sys/fs/cgroup", name).read_text()))
    return min(known, default=None)


def used() -> int:
    """Bytes of memory that this process has had at most so far; 0 where that cannot be told."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def available() -> int | None:
    """Bytes of memory that are free or can be made so; None where that cannot be told."""
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    return None
