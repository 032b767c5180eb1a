"""Where solves start: stored fixed points, batches of them, and starting anew."""

import torch

from i2compress.field.reuse import Starts


def test_stored_starts_are_those_of_their_coordinates() -> None:
    starts = Starts(5, 2)
    index = torch.tensor([3, 1])
    starts.put(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), index)
    assert starts.get().tolist() == [[0, 0], [3, 4], [0, 0], [1, 2], [0, 0]]
    assert starts.get(slice(2, 4)).tolist() == [[0, 0], [1, 2]]


def test_a_start_is_a_copy_that_later_writes_do_not_touch() -> None:
    starts = Starts(3, 1)
    before = starts.get()
    starts.put(torch.ones(3, 1))
    assert torch.equal(before, torch.zeros(3, 1))


def test_anew_every_start_is_zero_and_nothing_is_stored() -> None:
    starts = Starts(10**6, 64, reuse=False, like=torch.zeros(1, dtype=torch.float64))
    starts.put(torch.ones(2, 64, dtype=torch.float64), torch.tensor([0, 1]))
    assert torch.equal(starts.get(slice(0, 2)), torch.zeros(2, 64, dtype=torch.float64))
    assert starts._stored.untyped_storage().nbytes() == 64 * 8


def test_a_row_that_is_not_finite_leaves_the_last_one() -> None:
    starts = Starts(2, 2)
    starts.put(torch.ones(2, 2))
    starts.put(torch.tensor([[5.0, float("nan")], [6.0, 7.0]], requires_grad=True))
    assert starts.get().tolist() == [[1, 1], [6, 7]]
    assert not starts.get().requires_grad
