"""Adam is torch's, fused and not."""

import pytest
import torch

from i2compress.fit import adam
from i2compress.fit.adam import Adam


@pytest.mark.parametrize("fused", [("cpu",), ()])
def test_the_steps_are_those_of_torch(fused: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adam, "FUSED", fused)
    generator = torch.Generator().manual_seed(0)
    ours = [torch.randn(shape, generator=generator).requires_grad_() for shape in ((1, 1, 6, 5), (1, 1, 3, 3))]
    theirs = [tensor.detach().clone().requires_grad_() for tensor in ours]
    mine, other = Adam(ours, betas=(0.7, 0.99)), torch.optim.Adam(theirs, lr=1.0, betas=(0.7, 0.99))
    for step in range(5):
        mine.rate = other.param_groups[0]["lr"] = 0.1 / (step + 1)
        for tensors, optimizer in ((ours, mine), (theirs, other)):
            optimizer.zero_grad()
            sum((tensor - 1).square().sum() for tensor in tensors).backward()
            optimizer.step()
    for tensor, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(tensor, expected)
