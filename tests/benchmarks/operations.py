"""Counts what a piece of work asks of torch: how many operations, and how often the host reads a value or copies a tensor to another device."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten

# Views change how a tensor is read and issue nothing.
VIEWS = {"view", "expand", "slice", "select", "permute", "transpose", "t", "unsqueeze", "squeeze", "alias", "detach", "as_strided", "split", "unbind"}
READS = {aten._local_scalar_dense.default, aten.nonzero.default, aten.equal.default}


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is entered, counts operations that move memory (`count`, and `names` by name), and host reads and copies between devices (`reads`)."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: Counter[str] = Counter()
        self.reads = 0

    @property
    def count(self) -> int:
        """Operations in all, views left out."""
        return sum(self.names.values())

    def __torch_dispatch__(self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name not in VIEWS:
            self.names[name] += 1
        before = {leaf.device for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)}
        after = {leaf.device for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)}
        self.reads += func in READS or len(before | after) > 1
        return result
