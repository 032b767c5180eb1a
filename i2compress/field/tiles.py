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
    "fit/measures_kernel.py",
    "fit/moved_kernel.py",
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


def known() -> bool:
    """Whether loops were compiled before, in this process or kept; if not, they are at their first call, which takes some ten seconds in all."""
    return bool(product.signatures) or any(_cache().glob("*/*.nbi"))


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
def product(out, at, matrix, first, rows, x, count, n):  # type: ignore[no-untyped-def]
    """out[at + r] += sum_i matrix[first + r, i] x[i] for all r < rows, tiles of n. Four rows at once read each tile of x once for all."""
    r = 0
    while r + 4 <= rows:
        _four_rows(out, at + r, matrix, first + r, x, count, n)
        r += 4
    while r < rows:
        _one_row(out, at + r, matrix, first + r, x, count, n)
        r += 1


@compiled
def _four_rows(out, at, matrix, r, x, count, n):  # type: ignore[no-untyped-def]
    p = uintp(at) * uintp(TILE)
    q, v, w = p + uintp(TILE), p + uintp(2 * TILE), p + uintp(3 * TILE)
    i = 0
    while i + 4 <= count:
        a = uintp(i) * uintp(TILE)
        b, c, d = a + uintp(TILE), a + uintp(2 * TILE), a + uintp(3 * TILE)
        p0, p1, p2, p3 = matrix[r, i], matrix[r, i + 1], matrix[r, i + 2], matrix[r, i + 3]
        q0, q1, q2, q3 = matrix[r + 1, i], matrix[r + 1, i + 1], matrix[r + 1, i + 2], matrix[r + 1, i + 3]
        v0, v1, v2, v3 = matrix[r + 2, i], matrix[r + 2, i + 1], matrix[r + 2, i + 2], matrix[r + 2, i + 3]
        w0, w1, w2, w3 = matrix[r + 3, i], matrix[r + 3, i + 1], matrix[r + 3, i + 2], matrix[r + 3, i + 3]
        for k in range(n):
            x0, x1, x2, x3 = x[a + k], x[b + k], x[c + k], x[d + k]
            out[p + k] += p0 * x0 + p1 * x1 + (p2 * x2 + p3 * x3)
            out[q + k] += q0 * x0 + q1 * x1 + (q2 * x2 + q3 * x3)
            out[v + k] += v0 * x0 + v1 * x1 + (v2 * x2 + v3 * x3)
            out[w + k] += w0 * x0 + w1 * x1 + (w2 * x2 + w3 * x3)
        i += 4
    while i < count:
        a = uintp(i) * uintp(TILE)
        p0, q0, v0, w0 = matrix[r, i], matrix[r + 1, i], matrix[r + 2, i], matrix[r + 3, i]
        for k in range(n):
            x0 = x[a + k]
            out[p + k] += p0 * x0
            out[q + k] += q0 * x0
            out[v + k] += v0 * x0
            out[w + k] += w0 * x0
        i += 1


@compiled
def _one_row(out, at, matrix, r, x, count, n):  # type: ignore[no-untyped-def]
    p = uintp(at) * uintp(TILE)
    i = 0
    while i + 4 <= count:
        a = uintp(i) * uintp(TILE)
        b, c, d = a + uintp(TILE), a + uintp(2 * TILE), a + uintp(3 * TILE)
        m0, m1, m2, m3 = matrix[r, i], matrix[r, i + 1], matrix[r, i + 2], matrix[r, i + 3]
        for k in range(n):
            out[p + k] += m0 * x[a + k] + m1 * x[b + k] + (m2 * x[c + k] + m3 * x[d + k])
        i += 4
    while i < count:
        m0, a = matrix[r, i], uintp(i) * uintp(TILE)
        for k in range(n):
            out[p + k] += m0 * x[a + k]
        i += 1


@compiled
def outer(total, left, rows, right, columns, n):  # type: ignore[no-untyped-def]
    """total[r, c] += left[r] . right[c], tiles of n."""
    r = 0
    while r + 2 <= rows:
        _two_outer(total, r, left, right, columns, n)
        r += 2
    if r < rows:
        for c in range(columns):
            p, a, part = uintp(r) * uintp(TILE), uintp(c) * uintp(TILE), np.float32(0)
            for k in range(n):
                part += left[p + k] * right[a + k]
            total[r, c] += part


@compiled
def _two_outer(total, r, left, right, columns, n):  # type: ignore[no-untyped-def]
    p = uintp(r) * uintp(TILE)
    q = p + uintp(TILE)
    c = 0
    while c + 4 <= columns:
        a = uintp(c) * uintp(TILE)
        b, d, e = a + uintp(TILE), a + uintp(2 * TILE), a + uintp(3 * TILE)
        s0 = s1 = s2 = s3 = t0 = t1 = t2 = t3 = np.float32(0)
        for k in range(n):
            v, w = left[p + k], left[q + k]
            x0, x1, x2, x3 = right[a + k], right[b + k], right[d + k], right[e + k]
            s0 += v * x0
            s1 += v * x1
            s2 += v * x2
            s3 += v * x3
            t0 += w * x0
            t1 += w * x1
            t2 += w * x2
            t3 += w * x3
        total[r, c] += s0
        total[r, c + 1] += s1
        total[r, c + 2] += s2
        total[r, c + 3] += s3
        total[r + 1, c] += t0
        total[r + 1, c + 1] += t1
        total[r + 1, c + 2] += t2
        total[r + 1, c + 3] += t3
        c += 4
    while c < columns:
        a, s0, t0 = uintp(c) * uintp(TILE), np.float32(0), np.float32(0)
        for k in range(n):
            s0 += left[p + k] * right[a + k]
            t0 += left[q + k] * right[a + k]
        total[r, c] += s0
        total[r + 1, c] += t0
        c += 1


@compiled
def fill(out, values, n):  # type: ignore[no-untyped-def]
    """out[o] = values[o], tiles of n."""
    for o in range(len(values)):
        p, value = uintp(o) * uintp(TILE), values[o]
        for k in range(n):
            out[p + k] = value
