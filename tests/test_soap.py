"""Soap is SOAP, wherever its decompositions are found."""

import pytest
import torch
from pytorch_optimizer import SOAP
from torch import Tensor

from i2compress.fit.soap import Soap


def trained(kind: type[SOAP]) -> list[Tensor]:
    """A matrix, a vector and three axes after some steps towards a target."""
    generator = torch.Generator().manual_seed(0)
    tensors = [torch.zeros(shape, requires_grad=True) for shape in ((6, 4), (5,), (4, 3, 3))]
    targets = [torch.randn(tensor.shape, generator=generator) for tensor in tensors]
    optimizer = kind(tensors, lr=0.1, betas=(0.9, 0.95), weight_decay=0.0, precondition_frequency=2)
    for _ in range(12):
        optimizer.zero_grad()
        sum(
            (tensor @ tensor.new_ones(tensor.shape[-1]) - target.sum(-1)).square().sum() for tensor, target in zip(tensors, targets, strict=True)
        ).backward()
        optimizer.step()
    return tensors


class FewRows(Soap):
    """Larger matrices than of 3 rows are left where they are."""

    largest = 3


@pytest.mark.parametrize("kind", [Soap, FewRows])
def test_the_steps_are_those_of_soap(kind: type[Soap]) -> None:
    assert all(torch.equal(mine, theirs) and mine.abs().sum() > 0 for mine, theirs in zip(trained(kind), trained(SOAP), strict=True))
