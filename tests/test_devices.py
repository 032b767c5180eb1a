"""Fits keep every tensor on their device, tried without one: torch's "meta" device stands in for it, whose tensors have shapes and no values.

An operation on tensors of both the device and the CPU fails here as it would on CUDA; so do float64 and QR, which MPS has not. Numbers that
are read are 0.01, truth values False, so that solvers go on to their last iteration; and what is copied to the CPU is 0.01.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
import torch._dynamo  # a dispatch mode imports it, which fails under the patches of `meta`
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import i2compress.fit
from i2compress.coding.context_model import CONTEXT_INPUTS, ContextInputs
from i2compress.config import EncodeSettings
from i2compress.field.coordinate import build, initial
from i2compress.field.coordinate_field import CoordinateField, Solving
from i2compress.field.coordinate_file import CoordinateFile
from i2compress.field.coordinate_spec import KINDS, CoordinateSpec
from i2compress.field.implicit import ONE_STEP, Exact, Phantom, Scheme
from i2compress.field.methods import METHODS
from i2compress.field.points import Method, Stop
from i2compress.field.spec import PyramidSpec
from i2compress.fit import Samples, fit_coordinates, fit_signal
from i2compress.fit.distortion import SquaredError
from i2compress.fit.perceptual import DISTORTIONS
from i2compress.fit.problem import Problem
from i2compress.fit.pyramid import PyramidFit
from i2compress.fit.schedule import Compensation, Schedule
from i2compress.reproduce import signals
from i2compress.reproduce.presets import Experiment, Network
from i2compress.reproduce.train import EXPLICIT, IMPLICIT, run, specs
from tests.benchmarks.operations import Operations, picture_fit

META = torch.device("meta")
MOST_OPERATIONS = {
    "psnr": 720,
    "ssim": 920,
    "visual": 1450,
}  # of a step by tune, views left out: each is a launch, which is what small pictures wait for
aten = torch.ops.aten


class OneDevice(TorchDispatchMode):
    """Refuses what mixes devices; counts the operations on META, values and copies that the host reads from it, and copies that it sends to it."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0
        self.reads = 0
        self.sent = 0
        self.truth = False

    def __torch_dispatch__(self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        devices = {tensor.device for tensor in tensors if tensor.ndim}
        self.operations += META in devices
        moved = func in (aten._to_copy.default, aten.copy_.default)
        if len(devices) > 1 and not moved:
            raise AssertionError(f"{func} of tensors on {devices}")
        if META in devices | {tensor.device for tensor in tensors}:
            sent = moved and (tensors[0].device == META if func is aten.copy_.default else tensors[0].device != META)
            self.sent += sent and len({tensor.device for tensor in tensors} | {META}) > 1
            self.reads += func is aten._local_scalar_dense.default or (moved and not sent and len({tensor.device for tensor in tensors}) > 1)
            if func is aten._local_scalar_dense.default:
                return self.truth if tensors[0].dtype == torch.bool else 0.01
            if func is aten.linalg_qr.default:
                raise AssertionError("QR on the device")
            if func is aten._to_copy.default and (kwargs or {}).get("device") == torch.device("cpu"):
                self.reads += 1
                return torch.full(tensors[0].shape, 0.01, dtype=(kwargs or {}).get("dtype") or tensors[0].dtype)
            if func is aten.nonzero.default:
                return torch.empty(tensors[0].numel(), tensors[0].ndim, dtype=torch.int64, device=META)
        found = func(*args, **(kwargs or {}))
        if any(isinstance(leaf, torch.Tensor) and leaf.device == META and leaf.dtype == torch.float64 for leaf in tree_leaves(found)):
            raise AssertionError(f"{func} makes float64 on the device")
        return found


@pytest.fixture
def meta(monkeypatch: pytest.MonkeyPatch) -> Iterator[OneDevice]:
    """META taken for a device that has everything."""
    randn, generator = torch.randn, torch.Generator
    monkeypatch.setattr(torch, "Generator", lambda device=None: generator())
    monkeypatch.setattr(torch, "randn", lambda *shape, generator=None, **kwargs: randn(*shape, **kwargs))
    with OneDevice() as mode:
        yield mode


def problem(importance: bool = False, schedule: Schedule | None = None, **changes: Any) -> Problem:
    spec = PyramidSpec(grid=(40, 52), channels=3, width=8, levels=4, hidden=8, **changes)
    values = np.full((40, 52, 3), 0.5, np.float32)
    weights = np.ones_like(values) if importance else None
    return Problem(SquaredError(values, weights, device=META), spec, 1e-3, device=META, schedule=schedule or Schedule(steps=10))


@pytest.mark.parametrize("changes", [{}, {"planes": 3, "split": 2}, {"explicit": True}, {"importance": True}])
def test_a_step_a_measure_and_the_result_of_a_fit(changes: dict[str, Any], meta: OneDevice) -> None:
    run = PyramidFit(problem(**changes), seed=0, on_step=None, stop=None)
    for share in (0.1, 0.5, 0.95):
        run.step(share)
    run.keep()
    assert meta.operations > 500
    assert all(leaf.device == META for leaves, _ in run.cores for leaf in leaves)


@pytest.mark.parametrize("share", [0.1, 0.95])
@pytest.mark.parametrize("tune", DISTORTIONS)
def test_a_step_reads_nothing_from_the_device_and_issues_few_operations(tune: str, share: float, meta: OneDevice) -> None:
    run = picture_fit(tune, META)
    for _ in range(2):  # the first finds the bases
        run.step(share)
    run.done = 1
    meta.reads = meta.sent = 0
    with Operations() as operations:
        run.step(share)
    assert meta.reads == 0
    assert meta.sent <= 3  # the numbers of a step: of SOAP, of Adam, and those of the loss
    assert 400 < operations.count < MOST_OPERATIONS[tune]


def test_a_step_of_a_window_of_several(meta: OneDevice) -> None:
    run = PyramidFit(problem(schedule=Schedule(steps=10, window_sides=(16, 16))), seed=0, on_step=None, stop=None)
    assert len(run.cores) > 1
    run.step(0.1)
    run.keep()


def test_what_mixes_devices_or_is_not_everywhere_is_refused(meta: OneDevice) -> None:
    values = torch.ones(3, 3, device=META)
    with pytest.raises(AssertionError, match="cpu"):
        values + torch.ones(3, 3)
    with pytest.raises(AssertionError, match="float64"):
        values.double()
    with pytest.raises(AssertionError, match="QR"):
        torch.linalg.qr(values)


@pytest.mark.parametrize("compensate", [True, False])
@pytest.mark.parametrize("reads", CONTEXT_INPUTS)
def test_a_fit_and_its_quantisation(compensate: bool, reads: ContextInputs, meta: OneDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(i2compress.fit, "pick_device", lambda name: META)
    schedule = Schedule(steps=8, compensation=Compensation(steps=5) if compensate else None)
    spec = PyramidSpec(grid=(40, 52), channels=1, width=8, levels=3, hidden=8, context_inputs=reads)
    assert fit_signal(np.full((40, 52, 1), 0.5, np.float32), spec, EncodeSettings(), schedule=schedule).steps == 8
    assert meta.operations > 2000


@pytest.mark.parametrize("explicit", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_coordinate_field_and_its_quantisation(kind: str, explicit: bool, meta: OneDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(i2compress.fit, "pick_device", lambda name: META)
    meta.truth = True  # every solve would take its 500 iterations
    network = CoordinateSpec(kind=kind, axes=2, channels=3, width=6, layers=1, explicit=explicit, normalise=False)
    spec = CoordinateFile(network=network, grid=(20, 26), iterations=10, converged=False)
    values = np.full((20, 26, 3), 0.5, np.float32)
    wanted = Samples(values=values, gain=1.0, offset=0.0, importance=values)
    assert fit_coordinates(wanted, spec, EncodeSettings(steps=4, field=kind)).steps == 4
    assert meta.operations > 200


@pytest.mark.parametrize("gradient", [ONE_STEP, Phantom(steps=2), Exact(stop=Stop(iterations=3), throw=False)])
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_solvers_and_gradients(method: Method, gradient: Scheme, meta: OneDevice) -> None:
    spec = CoordinateSpec(kind="fourier", axes=2, channels=3, width=6, layers=1)
    field = CoordinateField(build(spec, initial(spec, generator=torch.Generator()))).to(META)
    solving = Solving(method=method, stop=Stop(iterations=4), gradient=gradient)
    output = field(torch.zeros(50, 2, device=META), solving=solving)
    assert output.solution.iterations == 4
    output.values.sum().backward()
    assert all(tensor.grad is not None and tensor.grad.device == META for tensor in field.parameters())


@pytest.mark.parametrize("batch", [None, 30])
@pytest.mark.parametrize("way", [IMPLICIT, EXPLICIT])
def test_an_experiment(way: str, batch: int | None, meta: OneDevice) -> None:
    network = Network(1, 12)
    experiment = Experiment(networks=(network,), size=(12,), steps=4, input_scale=6, contract=True, rate=5e-3, batch=batch)
    task = signals.whole("flat", np.full((12, 12, 1), 0.5, np.float32), unit=0.25, note="")
    spec = specs("fourier", network, task, experiment)[way]
    row = run(way, spec, network, task, experiment, device=META, seed=0, on_step=lambda info: None)
    assert row.steps == 4
    assert meta.operations > 200
