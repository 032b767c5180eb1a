"""Soap is SOAP, step by step as in its paper's algorithm, however tensors are batched."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import pytest
import torch
from torch import Tensor

from i2compress.field.layer_kernel import uncompiled
from i2compress.fit.soap import Group, Soap, _Batch, orthogonal

BETAS, RATE = (0.9, 0.95), 0.1
SHAPES = ((5, 5), (5,), (4, 3, 3), (6, 6), (5, 5), (1, 1), (2,))  # whose gradients leave no direction out, in which bases are arbitrary


def targets() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in SHAPES]


def gradients(tensors: list[Tensor]) -> list[Tensor]:
    """Of a loss whose curvature is not along the axes."""
    found = []
    for tensor, target in zip(tensors, targets(), strict=True):
        leaf = tensor.detach().requires_grad_()
        mixed = (leaf - target).cumsum(-1)
        found.append(torch.autograd.grad(mixed.square().sum() + mixed.sum(0).square().sum(), leaf)[0])
    return found


def by_the_paper(steps: int, every: int) -> list[Tensor]:
    """The algorithm of SOAP for one tensor after another, its first step left out as in the authors' code."""
    tensors = [torch.zeros(shape, dtype=torch.float64) for shape in SHAPES]
    states: list[dict[str, Tensor]] = [{} for _ in SHAPES]
    for done in range(steps):
        for tensor, gradient, state in zip(tensors, gradients(tensors), states, strict=True):
            axes = range(tensor.ndim) if tensor.ndim > 1 else range(0)

            def turned(values: Tensor, back: bool, state: dict[str, Tensor] = state, axes: range = axes) -> Tensor:
                for axis in axes:
                    basis = state[f"Q{axis}"]
                    values = torch.tensordot(values, basis, ([axis], [1 if back else 0])).movedim(-1, axis)
                return values

            if done:
                state["mean"] = BETAS[0] * state["mean"] + (1 - BETAS[0]) * gradient
                state["square"] = BETAS[1] * state["square"] + (1 - BETAS[1]) * turned(gradient, False).square()
                rate = RATE * (1 - BETAS[1] ** done) ** 0.5 / (1 - BETAS[0] ** done)
                tensor -= rate * turned(turned(state["mean"], False) / (state["square"].sqrt() + 1e-8), True)
            else:
                state["mean"], state["square"] = torch.zeros_like(tensor), torch.zeros_like(tensor)
            for axis in axes:
                unfolded = gradient.movedim(axis, 0).flatten(1)
                state[f"L{axis}"] = BETAS[1] * state.get(f"L{axis}", torch.zeros(())) + (1 - BETAS[1]) * unfolded @ unfolded.T
                if done == 0:
                    state[f"Q{axis}"] = torch.linalg.eigh(state[f"L{axis}"])[1].flip(1)
                elif done % every == 0:
                    product = state[f"L{axis}"] @ state[f"Q{axis}"]
                    order = (state[f"Q{axis}"] * product).sum(0).argsort(descending=True)
                    state["square"] = state["square"].index_select(axis, order)
                    state[f"Q{axis}"] = torch.linalg.qr(product[:, order])[0]
    return tensors


def by_soap(steps: int, every: int, clip: float | None = None) -> list[Tensor]:
    tensors = [torch.zeros(shape, dtype=torch.float64) for shape in SHAPES]
    optimizer = Soap([Group(params=tensors[:3], lr=RATE), Group(params=tensors[3:], lr=RATE)], betas=BETAS, every=every, clip=clip)
    for _ in range(steps):
        optimizer.zero_grad()
        for tensor, gradient in zip(tensors, gradients(tensors), strict=True):
            tensor.grad = gradient
        optimizer.step()
    return tensors


@pytest.mark.parametrize("passes", [nullcontext, uncompiled])
@pytest.mark.parametrize("every", [1, 3])
def test_the_steps_are_those_of_the_paper(every: int, passes: Callable[[], AbstractContextManager[None]]) -> None:
    with passes():
        found = by_soap(8, every)
    for tensor, expected in zip(found, by_the_paper(8, every), strict=True):
        torch.testing.assert_close(tensor, expected, rtol=1e-4, atol=1e-4)


def test_gram_schmidt_finds_the_bases_that_a_decomposition_finds_up_to_signs() -> None:
    generator = torch.Generator().manual_seed(0)
    matrices = torch.randn(3, 9, 9, generator=generator)
    matrices[1] *= torch.logspace(0, -5, 9)  # columns of all sizes
    near = torch.linalg.qr(torch.randn(3, 9, 9, generator=generator))[0]
    found, expected = orthogonal(matrices, near), torch.linalg.qr(matrices)[0]
    torch.testing.assert_close(found.mT @ found, torch.eye(9).expand(3, 9, 9), atol=1e-5, rtol=0)
    torch.testing.assert_close((found * expected).sum(1).abs()[:, :6], torch.ones(3, 6), atol=2e-2, rtol=0)


def test_gram_schmidt_keeps_the_bases_where_there_is_no_direction() -> None:
    near = torch.linalg.qr(torch.randn(2, 7, 7, generator=torch.Generator().manual_seed(0)))[0]
    matrices = torch.zeros(2, 7, 7)
    matrices[1, :, :2] = near[1, :, :2] * torch.tensor([3e-20, 1e-21])
    torch.testing.assert_close(orthogonal(matrices, near), near, atol=1e-4, rtol=0)


def test_the_gradients_of_all_tensors_together_are_clipped() -> None:
    one, two = torch.zeros(3), torch.zeros(2)
    optimizer = Soap([Group(params=[one, two], lr=RATE)], betas=BETAS, clip=1.0)
    one.grad, two.grad = torch.tensor([3.0, 0.0, 0.0]), torch.tensor([0.0, 4.0])
    optimizer.step()
    optimizer.step()
    torch.testing.assert_close(optimizer._mean, 0.1 * torch.tensor([0.6, 0, 0, 0, 0.8]))


def test_a_tensor_without_a_gradient_stays() -> None:
    tensors = [torch.zeros(3, 4), torch.zeros(3, 4)]
    optimizer = Soap([Group(params=tensors, lr=RATE)], betas=BETAS)
    for _ in range(5):
        tensors[0].grad = torch.ones(3, 4)
        optimizer.step()
    assert tensors[0].mean() < -0.1 and torch.equal(tensors[1], torch.zeros(3, 4))


def test_bases_of_a_small_matrix_of_low_rank_are_no_nan() -> None:
    """LAPACK's are, of this one as it is: the first gradients of a field whose first features are idle."""
    rows, values = [1, 2, 4, 13, 15], [
        [2.42618730661448e-10, 1.0115019932754876e-10, 2.9048424776689785e-10, 1.6494608456874005e-10, -4.707860212782577e-10],
        [1.0115019932754876e-10, 4.248189300337657e-11, 1.214031097873658e-10, 6.813790504045514e-11, -2.0059302829888992e-10],
        [2.9048424776689785e-10, 1.214031097873658e-10, 3.480768451247229e-10, 1.9688643770887637e-10, -5.677883718746557e-10],
        [1.6494608456874005e-10, 6.813790504045514e-11, 1.9688643770887637e-10, 1.1341371591866434e-10, -3.1133415290263144e-10],
        [-4.707860212782577e-10, -2.0059302829888992e-10, -5.677883718746557e-10, -3.1133415290263144e-10, 9.734323347387885e-10],
    ]  # fmt: skip
    batch = _Batch([torch.zeros(16, 1)])
    batch.grams[0][0, torch.tensor(rows)[:, None], torch.tensor(rows)] = torch.tensor(values)
    batch.begin()
    basis = batch.bases[0][0]
    torch.testing.assert_close(basis @ basis.mT, torch.eye(16), atol=1e-5, rtol=0)


def test_bases_of_a_matrix_of_low_rank_are_orthogonal() -> None:
    """LAPACK, in single precision, makes NaN of the eigenvectors of this one, met in the fit of a sound of 20 samples, also times a power of two."""
    upper = [
        [1.2621166611825885e-10, 6.409356934078403e-10, 9.955448965204283e-11, 1.3746926930124914e-09, 1.4514134338838858e-09],
        [3.262785375213184e-09, 5.051412621526197e-10, 6.98793645170781e-09, 7.3834969249730875e-09],
        [7.855003453238751e-11, 1.0839776853899252e-09, 1.1441778635656874e-09],
        [1.497907398118059e-08, 1.5819873411260232e-08],
        [1.6711769745825222e-08],
    ]
    places, batch = (0, 4, 11, 17, 18), _Batch([torch.zeros(2, 20)])
    for number, row in enumerate(upper):
        for place, value in zip(places[number:], row, strict=True):
            batch.grams[1][0, places[number], place] = batch.grams[1][0, place, places[number]] = value
    batch.begin()
    found = batch.bases[1][0]
    torch.testing.assert_close(found @ found.T, torch.eye(20), atol=1e-5, rtol=0)
