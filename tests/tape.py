"""Recordings of steps without a GPU: what a CUDA graph holds, and what it may not."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten

# Read a value, make a tensor whose shape depends on values, or one of numbers of the host, which have to be copied to the device.
REFUSED = {
    "lift_fresh",
    "_local_scalar_dense",
    "equal",
    "is_nonzero",
    "nonzero",
    "masked_select",
    "repeat_interleave",
    "unique_dim",
    "_unique2",
    "unique_consecutive",
}

Call = tuple[Any, tuple[Any, ...], dict[str, Any], Any]


def tensors_in(*parts: Any) -> list[Tensor]:
    """All tensors of nested arguments."""
    return [leaf for leaf in tree_leaves(parts) if isinstance(leaf, Tensor)]


class Strict(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuses what a CUDA graph cannot hold, and keeps what is asked for: names, shapes and numbers of the host."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.given: dict[int, StorageWeakRef] = {}  # memory that was there before and is read or written
        self._made: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        name = func.overloadpacket.__name__
        by_values = func.overloadpacket is aten.index and any(tensor.dtype == torch.bool for tensor in tensors_in(args[1]))
        if name in REFUSED or by_values:
            raise AssertionError(f"{func} reads values")
        for tensor in tensors_in(args, kwargs):
            if storage_of(tensor) not in self._made:
                self.given.setdefault(storage_of(tensor), StorageWeakRef(tensor.untyped_storage()))  # type: ignore[no-untyped-call]
        found = func(*args, **(kwargs or {}))
        self._made |= {storage_of(tensor) for tensor in tensors_in(found)} - self.given.keys()
        if len({tensor.device for tensor in tensors_in(args, kwargs, found)}) > 1:
            raise AssertionError(f"{func} copies from device to device")
        self.calls.append((str(func), tuple(map(described, tree_leaves((args, kwargs, found))))))
        return found


def described(leaf: Any) -> Any:
    """What of an argument a recording holds: a tensor's type and layout, a generator, or a number as it is."""
    if isinstance(leaf, Tensor):
        return leaf.dtype, tuple(leaf.shape), leaf.stride()
    return "generator" if isinstance(leaf, torch.Generator) else leaf


class Tape:
    """Records work on a CPU as a CUDA graph does: the same operations on the same memory, with the numbers that the host gave. See Recorder."""

    def __init__(self, *, room: int = 1000) -> None:
        self.recorded = 0
        self.room = room

    def warm_up(self, work: Callable[[], None]) -> None:
        work()

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Work is done, and then undone: what was there before gets its values back, and so do generators."""
        taping = _Taping()
        with taping:
            work()
        taping.undo()
        self.recorded += 1
        return taping.replay

    def has_room(self) -> bool:
        return self.recorded < self.room


class _Taping(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[Call] = []
        self._made: set[int] = set()
        self._before: dict[int, tuple[Tensor, Tensor]] = {}
        self._states: dict[torch.Generator, Tensor] = {}

    def __torch_dispatch__(self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        given = dict(kwargs or {})
        for leaf in tree_leaves((args, given)):
            if isinstance(leaf, torch.Generator):
                self._states.setdefault(leaf, leaf.get_state())
        for argument, value in zip(func._schema.arguments, [*args, *(None,) * len(func._schema.arguments)], strict=False):
            if argument.alias_info is not None and argument.alias_info.is_write:
                for tensor in tensors_in(given.get(argument.name, value)):
                    self._keep(tensor)
        found = func(*args, **given)
        known = {storage_of(tensor) for tensor in tensors_in(args, given)}
        self._made |= {storage_of(tensor) for tensor in tensors_in(found)} - known
        self.calls.append((func, args, given, found))
        return found

    def _keep(self, tensor: Tensor) -> None:
        at = storage_of(tensor)
        if at not in self._made and at not in self._before:
            whole = torch.empty(0, dtype=tensor.dtype).set_(tensor.untyped_storage())
            self._before[at] = whole, whole.clone()

    def undo(self) -> None:
        for whole, before in self._before.values():
            whole.copy_(before)
        for generator, state in self._states.items():
            generator.set_state(state)

    @torch.no_grad()
    def replay(self) -> None:
        """The same operations once more; what they make is written to where it was."""
        for func, args, kwargs, found in self.calls:
            known = {storage_of(tensor) for tensor in tensors_in(args, kwargs)}
            for old, new in zip(tensors_in(found), tensors_in(func(*args, **kwargs)), strict=True):
                if storage_of(old) not in known:
                    old.copy_(new)


def storage_of(tensor: Tensor) -> int:
    """Tells memory apart."""
    return int(tensor.untyped_storage()._cdata)
