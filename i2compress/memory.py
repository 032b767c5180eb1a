"""How the C library hands out memory in a process that is ours: a command's, or one that measures."""

import ctypes

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
