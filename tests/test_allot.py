"""The weights of a finished fit once more, in a share of their bits: of pretended tensors whose costs are known, and of real files."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from films import clip
from shapes import ply, sphere

from i2compress import codec, media
from i2compress.arrays import Float64Array
from i2compress.coding.weights import WeightGroup
from i2compress.config import EncodeSettings, Search
from i2compress.fit.allot import MOST, allotted
from i2compress.fit.quantise import group_bits
from i2compress.media import Source
from i2compress.signal import Signal

FAST = EncodeSettings(threads=1, device="cpu", steps=20, lam=1e-3)


class Tensors:
    """A trial whose errors cost `curvature` times their square, in bits; a context tensor `m` makes latents take those bits."""

    lam, samples = 1e-3, 1.0

    def __init__(self, curvature: Mapping[str, float], *, refused: Sequence[str] = ()) -> None:
        chance = np.random.default_rng(0)
        self.weights = {name: chance.laplace(0, 0.2, 40) for name in curvature}
        self.prior = {name: np.zeros(40) for name in curvature}
        self.values = {name: value.copy() for name, value in self.weights.items()}
        self.curvature, self.refused = curvature, refused

    def max_exponent(self, name: str) -> int:
        return 12

    def load(self, name: str, value: Float64Array) -> None:
        self.values[name] = value

    def allows(self, name: str) -> bool:
        """Those that are refused may be coarser than is best one by one, not all at once."""
        coarse = [np.abs(self.values[other] - self.weights[other]).max() > 0.501 * 2.0 ** -best(self)[other] for other in self.refused]
        return name not in self.refused or not all(coarse)

    def error(self, name: str) -> float:
        return float(np.square(self.values[name] - self.weights[name]).mean())

    def harm(self, name: str) -> float:
        return 40 * self.curvature[name] * self.error(name)

    def loss(self, name: str) -> float:
        return self.lam * self.harm(name)


def best(trial: Tensors) -> dict[str, int]:
    """The steps at which an error's cost is about that of the bits."""
    return {name: round(0.5 * math.log2(curvature / 8)) for name, curvature in trial.curvature.items()}


def plain(trial: Tensors, exponents: Mapping[str, int]) -> dict[str, WeightGroup]:
    return {name: WeightGroup(symbols=np.rint(trial.weights[name] * 2.0**e).astype(np.int64), exponent=e) for name, e in exponents.items()}


def bits(groups: Mapping[str, WeightGroup]) -> float:
    return sum(group_bits(group) for group in groups.values())


def is_context(name: str) -> bool:
    return name == "m"


MANY = {f"W{number}": 300 * 2.0**number for number in range(12)}


@pytest.mark.parametrize("share", [1.1, 1.0, 0.98, 0.95, 0.9, 0.85])
def test_weights_take_the_share_of_their_bits(share: float) -> None:
    trial = Tensors(MANY)
    before = bits(plain(trial, best(trial)))
    found = allotted(trial, best(trial), share * before, is_context=is_context)
    assert (share - 0.015) * before <= found.bits == bits(found.groups) <= share * before
    for name, group in found.groups.items():  # what the trial is left with is what a decoder will see
        np.testing.assert_array_equal(trial.values[name], group.symbols * 2.0**-group.exponent)


def test_bits_are_taken_where_they_cost_least() -> None:
    trial = Tensors(MANY)
    exponents = best(trial) | {"W3": best(trial)["W3"] + 2}  # finer than it is worth
    before = plain(trial, exponents)
    found = allotted(trial, exponents, 0.98 * bits(before), is_context=is_context)
    saved = {name: group_bits(before[name]) - group_bits(group) for name, group in found.groups.items()}
    assert saved["W3"] > 0.8 * sum(saved.values()) > 0


def test_neither_are_bits_added_that_are_worth_nothing_nor_saved_that_are_worth_much() -> None:
    trial = Tensors(MANY)
    before = plain(trial, best(trial))
    for name, group in before.items():
        trial.load(name, group.symbols * 2.0**-group.exponent)
    harm = sum(trial.harm(name) for name in MANY)
    found = allotted(trial, best(trial), 0.0, is_context=is_context)
    more, fewer = sum(trial.harm(name) for name in MANY) - harm, bits(before) - found.bits
    assert fewer > 0.1 * bits(before) and 0 < more <= MOST * fewer
    trial = Tensors({"W": 30, "S": 60})
    fine = {name: exponent + 3 for name, exponent in best(trial).items()}
    before = plain(trial, fine)
    assert allotted(trial, fine, 2 * bits(before), is_context=is_context).bits <= bits(before)
    assert allotted(trial, best(trial), 2 * bits(before), is_context=is_context).bits > bits(plain(trial, best(trial)))


def test_the_context_model_comes_first_and_takes_no_less_than_what_makes_latents_and_it_smallest_together() -> None:
    trial = Tensors({"W": 3e3, "m": 3e3})
    fine = {"W": best(trial)["W"], "m": best(trial)["m"] + 1}
    before = plain(trial, fine)
    found = allotted(trial, fine, bits(before) - 5, is_context=is_context)
    assert list(found.groups) == ["W", "m"] and np.array_equal(found.groups["W"].symbols, before["W"].symbols) and found.bits < bits(before)
    assert allotted(trial, fine, 0.0, is_context=is_context).groups["m"].exponent == best(trial)["m"]


def test_what_a_decoder_would_refuse_is_not_done() -> None:
    coarser: dict[Sequence[str], set[str]] = {}
    for refused in ((), ("A", "K")):
        trial = Tensors({"A": 3e3, "K": 3e3, "W": 3e3}, refused=refused)
        before = plain(trial, best(trial))
        found = allotted(trial, best(trial), 0.0, is_context=is_context).groups
        coarser[refused] = {name for name in found if not np.array_equal(found[name].symbols, before[name].symbols)}
    assert coarser[()] == {"A", "K", "W"} and "W" in coarser["A", "K"] and len(coarser["A", "K"]) == 2


def recoded(source: Source | Signal, settings: EncodeSettings, folder: Path, share: float) -> tuple[codec.Encoded, codec.Encoded]:
    """A whole fit, and what it found with weights in a share of their bits."""
    whole = codec.encode(source, replace(settings, search=Search(str(folder))))
    return whole, codec.encode(source, replace(settings, search=Search(str(folder), weights=share)))


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_video_of_two_groups_is_coded_again_without_a_step(jobs: int, tmp_path: Path) -> None:
    whole, again = recoded(clip(12), replace(FAST, jobs=jobs), tmp_path, 0.85)
    wanted = 0.15 * whole.sizes["weights"]
    assert 0.5 * wanted < len(whole.data) - len(again.data) < 2 * wanted
    assert again.psnr > whole.psnr - 1 and again.coded.steps == 0
    assert len(codec.I2File.from_bytes(again.data).render().values) == 12


@pytest.mark.slow
def test_a_fit_whose_weights_were_compensated_and_a_shape_are_coded_again(tmp_path: Path) -> None:
    whole, again = recoded(clip(), replace(FAST, steps=200), tmp_path / "video", 0.85)
    assert len(again.data) < len(whole.data) and again.psnr > whole.psnr - 1 and again.coded.steps == 0
    with media.open_source(ply(sphere(rings=8), np.zeros((len(sphere(rings=8)[0]), 3)))) as opened:
        whole, again = recoded(opened.source, replace(FAST, steps=16, grid=16), tmp_path / "shape", 0.85)
    assert len(again.data) < len(whole.data) and again.coded.steps == 0


def test_where_nothing_was_left_a_fit_is_made(tmp_path: Path) -> None:
    settings = replace(FAST, steps=5, search=Search(str(tmp_path), weights=0.9))
    assert codec.encode(clip(), settings).coded.steps >= 5
