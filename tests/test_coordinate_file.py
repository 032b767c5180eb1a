"""What an .i2 file says of a coordinate field, and the prior of its weights."""

import math
from dataclasses import replace

import numpy as np
import pytest

from i2compress.errors import FormatError, LimitError, MalformedError, UnsupportedVersionError
from i2compress.field.coordinate_file import (
    MAX_FILE_WIDTH,
    CoordinateFile,
    check_contraction,
    describe,
    frequencies,
    norm_product,
    prior,
    residual_code,
    uniform,
)
from i2compress.field.coordinate_spec import CoordinateSpec
from i2compress.header import Header, decode_header, encode_header

KINDS = [(kind, explicit) for kind in ("siren", "fourier", "gabor") for explicit in (False, True)]


def spec(kind: str = "siren", explicit: bool = False, **fields: object) -> CoordinateFile:
    network = CoordinateSpec(**{"kind": kind, "axes": 2, "channels": 3, "explicit": explicit, "width": 12, "layers": 2, **fields})  # type: ignore[arg-type]
    return CoordinateFile(network=network, grid=(9, 13)[: network.axes], iterations=1 if explicit else 7)


def header(params: tuple[int, ...], field: int = 2) -> Header:
    return Header(kind=0, grid=(9, 13), channels=3, bit_depth=8, field=field, params=params, prior=0, streams=0)


@pytest.mark.parametrize(("kind", "explicit"), KINDS)
def test_a_header_keeps_the_sizes(kind: str, explicit: bool) -> None:
    there = spec(kind, explicit)
    back = CoordinateFile.from_header(decode_header(memoryview(encode_header(header(there.params, there.field)))))
    assert back.params == there.params
    assert back.weight_shapes == there.weight_shapes
    assert (back.network.kind, back.explicit, back.iterations, back.channels) == (kind, explicit, there.iterations, 3)


@pytest.mark.parametrize(
    ("params", "field", "error"),
    [
        ((12, 2, 7, 3, 256), 2, MalformedError),
        ((0, 2, 7, 3, 256, 0), 2, LimitError),
        ((MAX_FILE_WIDTH + 1, 1, 7, 3, 256, 0), 2, LimitError),
        ((MAX_FILE_WIDTH, 16, 7, 3, 256, 0), 2, LimitError),  # too many weights in all
        ((12, 17, 7, 3, 256, 0), 2, LimitError),
        ((12, 2, 0, 3, 256, 0), 2, LimitError),
        ((12, 2, 1001, 3, 256, 0), 2, LimitError),
        ((2048, 1, 65, 3, 256, 0), 2, LimitError),  # too much work a sample
        ((12, 2, 7, 4, 256, 0), 2, UnsupportedVersionError),
        ((12, 2, 7, 3, 0, 0), 2, LimitError),
        ((12, 2, 7, 3, 2**20 + 1, 0), 2, LimitError),
        ((12, 2, 7, 3, 256, 256), 2, LimitError),
        ((12, 2, 2, 2, 256, 0), 3, MalformedError),
        ((12, 2, 1, 3, 256, 0), 3, MalformedError),
        ((2**32 - 1,) * 6, 5, FormatError),
        ((12, 2, 7, 3, 256, 0), 0, FormatError),
    ],
)
def test_numbers_out_of_range_are_refused(params: tuple[int, ...], field: int, error: type[FormatError]) -> None:
    with pytest.raises(error):
        CoordinateFile.from_header(header(params, field))


def test_a_coordinate_field_has_no_latent_streams_and_a_pyramid_has_some() -> None:
    with pytest.raises(LimitError, match="streams"):
        replace(header((12, 2, 7, 3, 256, 0)), streams=1)
    with pytest.raises(LimitError, match="streams"):
        replace(header((12, 2, 7, 3, 256, 0)), field=0)


def test_the_residual_is_kept_within_five_percent() -> None:
    for residual in (0.5, 1e-3, 2.2e-9):
        assert replace(spec(), residual_code=residual_code(residual)).residual == pytest.approx(residual, rel=0.05)
    assert replace(spec(), residual_code=residual_code(0.0)).residual == 0.0
    assert replace(spec(), residual_code=residual_code(math.inf)).residual == 1.0
    assert replace(spec(), residual_code=residual_code(math.nan)).residual == 1.0


def test_the_generator_in_bulk_is_the_generator_one_by_one() -> None:
    state, found = 1, []
    for _ in range(1000):
        state = (1664525 * state + 1013904223) % 2**32
        found.append((state >> 8) / 2**23 - 1)
    assert np.array_equal(uniform(1000), found)
    assert np.array_equal(uniform(1), found[:1])
    assert len(uniform(0)) == 0


@pytest.mark.parametrize(("kind", "explicit"), KINDS)
def test_the_prior_is_spread_as_the_paper_draws_it(kind: str, explicit: bool) -> None:
    there = spec(kind, explicit, width=200, layers=1)
    values = prior(0, there)
    assert list(values) == list(there.weight_shapes)
    bound = there.network.input_scale / 2  # d = 2, n = 1: s / d and s / sqrt(d (n + 1)) are the same
    if kind != "gabor":
        assert 0.95 * bound < np.abs(values["B"]).max() <= bound + 1e-3
    else:
        assert values["gamma"].min() >= 0
    assert not values["b"].any()
    for value in values.values():
        assert np.array_equal(value * 4096, np.rint(value * 4096))
    if not explicit:
        assert 0.85 < norm_product(values["A"]) < 0.97


def test_a_file_that_does_not_contract_as_it_promises_is_refused() -> None:
    there = spec(kind="fourier")
    values = prior(0, there)
    check_contraction(there, values)
    values["A"] *= 2
    with pytest.raises(MalformedError, match="contraction bound"):
        check_contraction(there, values)
    check_contraction(spec(kind="fourier", normalise=False), values)


def test_only_the_explicit_siren_has_frequencies_worked_in() -> None:
    assert frequencies(spec("siren", True).network).keys() == {"B", "c", "A"}
    assert frequencies(spec("siren", False).network) == {} == frequencies(spec("fourier", True).network)


def test_a_fixed_point_that_is_not_reached_is_said_in_words() -> None:
    there = replace(spec(normalise=False), converged=False, residual_code=residual_code(0.1))
    assert "NOT reached" in describe(there)
    assert "7 iterations" in describe(spec())
    assert "iterations" not in describe(spec(explicit=True))


def test_another_prior_needs_a_newer_reader() -> None:
    with pytest.raises(UnsupportedVersionError, match="prior"):
        prior(1, spec())
