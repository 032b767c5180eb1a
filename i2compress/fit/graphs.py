"""Steps that are recorded once and made again: as CUDA graphs, which the host starts with one call in place of a thousand.

What is recorded is what a piece of work asks of the device: the same operations on the same memory, and the same numbers of the host. So the
work must read no value of the device, and whatever changes from step to step must be in tensors that are filled before (fit.numbers).
"""

import gc
import logging
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any, Protocol
from weakref import WeakSet

import torch

logger = logging.getLogger(__name__)

Work = Callable[[], None]

WARM_UP = 2  # how often a piece of work is done before it is recorded: the first times load kernels and choose among them
MOST_GRAPHS = 96  # kept at once: each takes some megabytes, beside the memory that all share
LEAST_FREE = 0.05  # share of a device's memory that is free, or nothing more is recorded


class Recorder(Protocol):
    """Records work for one device."""

    def warm_up(self, work: Work) -> None:
        """Do it, as it will be recorded."""

    def record(self, work: Work) -> Work:
        """Go through it without its being done; what is returned does it, again and again. RuntimeError where that is not possible."""

    def has_room(self) -> bool:
        """Whether there is memory for one more."""


class Graphs:
    """Does pieces of work: at first as they are, then by what was recorded of them.

    Args:
        recorder: None to record nothing.
        most: graphs that are kept; work beyond is done as it is.
        warm_up: how often work is done before it is recorded.
    """

    def __init__(self, recorder: Recorder | None, *, most: int = MOST_GRAPHS, warm_up: int = WARM_UP) -> None:
        self._recorder, self._most, self._warm_up = recorder, most, warm_up
        self._kept: dict[Hashable, Work] = {}
        self._done: Counter[Hashable] = Counter()

    def __len__(self) -> int:
        return len(self._kept)

    def do(self, key: Hashable, work: Work) -> None:
        """Do `work`, which is the same for one key but for the values of tensors."""
        if self._recorder is None:
            work()
        elif (kept := self._kept.get(key)) is not None:
            kept()
        elif self._done[key] < self._warm_up or len(self._kept) >= self._most or not self._recorder.has_room():
            self._recorder.warm_up(work)
            self._done[key] += 1
        else:
            self._record(self._recorder, key, work)

    def _record(self, recorder: Recorder, key: Hashable, work: Work) -> None:
        try:
            self._kept[key] = recorder.record(work)
        except RuntimeError as error:
            logger.warning("steps are not recorded on this device, which makes them slower: %s", str(error).strip().partition("\n")[0])
            self._recorder = None
            self.clear()
            work()
            return
        self._kept[key]()

    def clear(self, *keys: Hashable) -> None:
        """Forget what was recorded for these keys, for all where there are none, and give its memory back."""
        for key in keys or [*self._kept, *self._done]:
            self._kept.pop(key, None)
            self._done.pop(key, None)


class CudaRecorder:
    """Records CUDA graphs, which share their memory as no two are ever under way at once.

    Args:
        device: of the work.
        generator: of the random numbers of all work.
    """

    def __init__(self, device: torch.device, generator: torch.Generator) -> None:
        self._device, self._generator = device, generator
        self._stream = _stream(device)
        self._alive: WeakSet[torch.cuda.CUDAGraph] = WeakSet()
        self._pool: Any = None

    def warm_up(self, work: Work) -> None:
        """See Recorder: on the stream of the recordings, so that nothing in it belongs to another."""
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.device(self._device), torch.cuda.stream(self._stream):
            work()
        current.wait_stream(self._stream)

    def record(self, work: Work) -> Work:
        """See Recorder."""
        graph, state = torch.cuda.CUDAGraph(), self._generator.get_state()
        graph.register_generator_state(self._generator)
        with torch.cuda.device(self._device), torch.cuda.stream(self._stream), _nothing_collected():
            torch.cuda.synchronize(self._device)
            if not self._alive:  # a pool is gone with the last graph of it
                self._pool = torch.cuda.graph_pool_handle()
                torch.cuda.empty_cache()  # what the steps before have left would be held beside the memory of the graphs
            graph.capture_begin(pool=self._pool)
            try:
                work()
            except BaseException:
                with suppress(RuntimeError):
                    graph.capture_end()
                fresh = torch.Generator(self._device)  # a generator that a recording was made of, and not ended, gives no more numbers
                fresh.set_state(state)
                self._generator.graphsafe_set_state(fresh.graphsafe_get_state())
                raise
            graph.capture_end()
        self._alive.add(graph)
        return graph.replay

    def has_room(self) -> bool:
        """See Recorder."""
        free, total = torch.cuda.mem_get_info(self._device)
        return free >= LEAST_FREE * total


@lru_cache
def _stream(device: torch.device) -> "torch.cuda.Stream":
    """That of all recordings: libraries keep memory for each stream that they have seen."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Without Python's collection of garbage, which might give memory back in the midst of a recording."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
