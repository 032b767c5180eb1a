"""What compiled loops over a signal share: tiles of at most TILE places of one row, one after another for each channel.

All that a loop makes of a tile stays in the first cache, so that a pass over a signal is bound by arithmetic and not by memory. The
innermost loops are those that the compiler turns into vector instructions: over contiguous memory, with unsigned indices (a signed
index may mean "from the end" and is then looked up one by one), with few arrays (that none overlap is checked first), and without
Python's error for a division by zero.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba import uintp

TILE = 256
PARTS = 8  # of the rows of a signal: what threads take one after another, and what is summed apart, so that no sum depends on the threads
WORTH = 1 << 15  # places of the smallest signal that is cut into them

_helpers: list[tuple[Executor, int]] = []


@contextmanager
def helped_by(threads: Executor, count: int) -> Iterator[None]:
    """Meanwhile `in_parts` hands its parts to these threads too."""
    _helpers.append((threads, count))
    try:
        yield
    finally:
        _helpers.pop()


def in_parts(rows: int, places: int, work: Callable[[int, int, int], None]) -> None:
    """Calls `work(number, first, last)` for each part of the rows, at most PARTS, on this thread and on those that help and are idle."""
    if places < WORTH:
        work(0, 0, rows)
        return
    parts = iter([(number, rows * number // PARTS, rows * (number + 1) // PARTS) for number in range(PARTS)])

    def take() -> None:
        for part in parts:
            work(*part)

    others = [threads.submit(take) for threads, count in _helpers[-1:] for _ in range(min(count, PARTS - 1))]
    try:
        take()
    finally:
        for other in others:
            if not other.cancel():
                other.result()


KERNELS = (
    "field/tiles.py",
    "field/features_kernel.py",
    "field/layer_kernel.py",
    "fit/network_kernel.py",
    "fit/blur.py",
    "fit/pairs.py",
    "coding/context_model.py",
    "coding/laplace.py",
)


def _cache() -> Path:
    """Where compiled loops are kept between runs: a folder of the user's, of its own for each state of their sources.

    numba by itself looks only at the file that a function stands in, and would go on with what it compiled when another file changes.
    """
    package = Path(__file__).parents[1]
    digest = hashlib.sha256(b"".join((package / name).read_bytes() for name in KERNELS)).hexdigest()[:16]
    home = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or Path.home() / ".cache"
    return Path(home) / "i2compress" / digest


def compiled(function: Callable[..., Any]) -> Any:
    """The function, compiled at its first call with arguments of each type, kept for later runs where a folder can be written."""
    compile_ = partial(numba.njit, nogil=True, fastmath=True, error_model="numpy")
    config: Any = numba.config
    before = config.CACHE_DIR
    try:
        config.CACHE_DIR = str(_cache())  # looked at while decorating, by this function alone
        return compile_(cache=True)(function)
    except (OSError, RuntimeError):  # no home, or one that cannot be written
        return compile_()(function)
    finally:
        config.CACHE_DIR = before


@compiled
def product(out, o, matrix, x, count, n):  # type: ignore[no-untyped-def]
    """out[o] += sum_i matrix[o, i] x[i], tiles of n."""
    first = uintp(o) * uintp(TILE)
    i = 0
    while i + 8 <= count:
        m0, m1, m2, m3 = matrix[o, i], matrix[o, i + 1], matrix[o, i + 2], matrix[o, i + 3]
        m4, m5, m6, m7 = matrix[o, i + 4], matrix[o, i + 5], matrix[o, i + 6], matrix[o, i + 7]
        a = uintp(i) * uintp(TILE)
        b, c, d = a + uintp(TILE), a + uintp(2 * TILE), a + uintp(3 * TILE)
        e, f, g, h = a + uintp(4 * TILE), a + uintp(5 * TILE), a + uintp(6 * TILE), a + uintp(7 * TILE)
        for k in range(n):
            first_half = m0 * x[a + k] + m1 * x[b + k] + m2 * x[c + k] + m3 * x[d + k]
            out[first + k] += first_half + (m4 * x[e + k] + m5 * x[f + k] + m6 * x[g + k] + m7 * x[h + k])
        i += 8
    while i < count:
        m0 = matrix[o, i]
        a = uintp(i) * uintp(TILE)
        for k in range(n):
            out[first + k] += m0 * x[a + k]
        i += 1


@compiled
def outer(total, left, rows, right, columns, n):  # type: ignore[no-untyped-def]
    """total[r, c] += left[r] . right[c], tiles of n."""
    for r in range(rows):
        p = uintp(r) * uintp(TILE)
        c = 0
        while c + 4 <= columns:
            a = uintp(c) * uintp(TILE)
            b, d, e = a + uintp(TILE), a + uintp(2 * TILE), a + uintp(3 * TILE)
            s0 = s1 = s2 = s3 = np.float32(0)
            for k in range(n):
                value = left[p + k]
                s0 += value * right[a + k]
                s1 += value * right[b + k]
                s2 += value * right[d + k]
                s3 += value * right[e + k]
            total[r, c] += s0
            total[r, c + 1] += s1
            total[r, c + 2] += s2
            total[r, c + 3] += s3
            c += 4
        while c < columns:
            a = uintp(c) * uintp(TILE)
            s0 = np.float32(0)
            for k in range(n):
                s0 += left[p + k] * right[a + k]
            total[r, c] += s0
            c += 1
