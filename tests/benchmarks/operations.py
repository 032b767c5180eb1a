"""Counts what a piece of work asks of torch: how many operations, and how often the host reads a value or copies a tensor to another device.

    python -m tests.benchmarks.operations

counts the operations of a step of a picture of 768x512 as a GPU makes it, by tune: while latents move, and when they are frozen.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from i2compress.config import EncodeSettings
from i2compress.field.layer_kernel import uncompiled
from i2compress.fit.perceptual import DISTORTIONS
from i2compress.fit.problem import Problem
from i2compress.fit.pyramid import PyramidFit
from i2compress.fit.schedule import Schedule
from i2compress.media.image.encode import pyramid_spec

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


def picture_fit(tune: str, device: torch.device) -> PyramidFit:
    """The fit of a picture of 768x512 before its first step, bases left alone after that one."""
    values = np.random.default_rng(0).random((512, 768, 3), np.float32)
    spec = pyramid_spec((512, 768), 3, EncodeSettings(lam=1e-3))
    schedule = Schedule(steps=1000, refresh_every=1000)
    problem = Problem(DISTORTIONS[tune](values, None, device=device), spec, 1e-3, device=device, schedule=schedule)
    return PyramidFit(problem, seed=0, on_step=None, stop=None)


def main() -> None:
    with uncompiled():
        for tune in DISTORTIONS:
            run, found = picture_fit(tune, torch.device("cpu")), []
            for share in (0.1, 0.1, 0.95):
                with Operations() as operations:
                    run.step(share)
                found.append(operations.count)
                run.done += 1
            print(f"{tune}: {found[1]}, and {found[2]} when frozen", flush=True)


if __name__ == "__main__":
    main()
