"""Golden files decode to the same integers for ever, and a second decoder written from docs/format.md agrees on all of them.

To make the files anew while the format is not frozen: python tests/golden/make.py
"""

import hashlib
import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import reference_decoder as reference
import reference_values

from i2compress import View
from i2compress.codec import I2File
from i2compress.coding.latents import encode_latents
from i2compress.coding.weights import WeightGroup, encode_weights
from i2compress.container import CHUNKS, Container, Header, read, write
from i2compress.field.spec import PyramidSpec, prior
from i2compress.field.weights import context_weights
from i2compress.planes.pyramid import stream_grids
from i2compress.signal import Metadata, to_codes

GOLDEN = Path(__file__).parent / "golden"
EXPECTED = json.loads((GOLDEN / "expected.json").read_text())
SMALL = [name for name in EXPECTED if name != "streams"]


@lru_cache
def opened(name: str) -> I2File:
    return I2File.from_bytes((GOLDEN / f"{name}.i2").read_bytes())


def second_opinion(data: bytes) -> tuple[reference.Header, dict[str, reference.Tensor], dict[int, reference.Grid]]:
    parts = reference.chunks(data)
    header = reference.Header.parse(parts[0][1])
    weights = reference.read_weights(dict(parts)["W"], header)
    return header, weights, reference.read_latents([payload for letter, payload in parts if letter == "Y"], header, weights)


def assert_same_integers(data: bytes) -> None:
    file = I2File.from_bytes(data)
    _, weights, grids = second_opinion(data)
    assert list(weights) == list(file.content.plane.weights)
    for name, tensor in weights.items():
        # The renderer's B and S hold the step of the latents.
        values = np.array(tensor.values()) * (file.content.plane.spec.step if name in ("B", "S") else 1)
        assert np.array_equal(values.astype(np.float32).reshape(tensor.shape), file.content.plane.weights[name]), name
    for level, grid in enumerate(file.content.plane.latents):
        assert {at: int(value) for at, value in np.ndenumerate(grid)} == grids[level]


def test_every_file_of_the_folder_is_expected() -> None:
    assert {path.stem for path in GOLDEN.glob("*.i2")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_golden_file_decodes_to_the_same_latents_and_weights(name: str) -> None:
    file = opened(name)
    assert hashlib.sha256(b"".join(grid.astype("<i4").tobytes() for grid in file.content.plane.latents)).hexdigest() == EXPECTED[name]["latents"]
    assert (
        hashlib.sha256(b"".join(tensor.astype("<f4").tobytes() for tensor in file.content.plane.weights.values())).hexdigest()
        == EXPECTED[name]["weights"]
    )


@pytest.mark.parametrize("name", EXPECTED)
def test_a_golden_file_decodes_to_the_same_picture_within_one_code(name: str) -> None:
    file = opened(name)
    stored: npt.NDArray[np.integer] = np.load(GOLDEN / "codes.npz")[name]
    difference = np.abs(to_codes(file.render().values, file.content.plane.header.bit_depth).astype(np.int64) - stored.astype(np.int64))
    assert difference.max() <= 1
    assert (difference > 0).mean() < (0.01 if file.content.plane.header.bit_depth == 8 else 0.1)


def test_the_golden_files_cover_the_format() -> None:
    headers = [opened(name).content.plane.header for name in EXPECTED]
    assert {header.field for header in headers} == {0, 1}
    assert {header.channels for header in headers} == {1, 2, 3, 4}
    assert {header.bit_depth for header in headers} == {8, 16}
    assert {header.streams for header in headers} == {1, 3}
    assert [name for name in EXPECTED if CHUNKS["g"] in read((GOLDEN / f"{name}.i2").read_bytes()).metadata] == ["grained"]
    assert opened("rgba16").metadata == Metadata(icc=b"golden profile", exif=b"II*\0\x08\0\0\0\0\0", xmp=b"<x/>")


@pytest.mark.parametrize("name", EXPECTED)
def test_a_decoder_written_from_the_specification_finds_the_same_integers(name: str) -> None:
    assert_same_integers((GOLDEN / f"{name}.i2").read_bytes())


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("scale", [1, 2])
def test_a_decoder_written_from_the_specification_finds_the_same_picture_within_one_code(name: str, scale: int) -> None:
    file = opened(name)
    data = (GOLDEN / f"{name}.i2").read_bytes()
    other = reference_values.picture(*second_opinion(data), scale, dict(reference.chunks(data)).get("g"))
    ours = to_codes(file.render(View(scale=scale)).values, file.content.plane.header.bit_depth).astype(np.int64)
    assert ours.shape == other.shape
    assert np.abs(ours - other).max() <= 1


@pytest.mark.parametrize(
    ("levels", "hidden", "neighbours", "streams", "channels", "planes", "split"),
    [
        (1, 1, 1, 1, 2, 1, 0),
        (2, 3, 2, 2, 2, 1, 0),
        (3, 16, 3, 1, 2, 1, 0),
        (4, 5, 4, 3, 2, 2, 1),
        (5, 8, 7, 2, 3, 3, 2),
        (6, 64, 13, 6, 4, 4, 1),
        (3, 4, 3, 3, 1, 2, 5),
    ],
)
def test_a_decoder_written_from_the_specification_reads_files_with_many_tiles_and_wild_numbers(
    levels: int, hidden: int, neighbours: int, streams: int, channels: int, planes: int, split: int
) -> None:
    """Random weights at every exponent and latents up to the limit: clamps, tables and tiles that no trained file reaches."""
    random = np.random.default_rng(levels)
    sizes = {"levels": levels, "hidden": hidden, "neighbours": neighbours, "planes": planes, "split": split}
    spec = PyramidSpec(grid=(37, 41), channels=channels, explicit=True, width=3, tile_log2=4, **sizes)
    groups = {}
    for name, shape in spec.weight_shapes.items():
        exponent = int(random.integers(0, spec.max_exponent(name) + 1))
        groups[name] = WeightGroup(
            symbols=np.rint(random.laplace(0, 2 ** (exponent / 3), shape)).clip(-1023, 1023).astype(np.int64), exponent=exponent
        )
    context = context_weights(spec, groups, prior(0, spec))
    latents = [np.rint(random.laplace(0, 3, shape) ** 3).clip(-1023, 1023).astype(np.int32) for shape in spec.latent_shapes]
    parts = tuple(encode_latents(latents, context, tile=spec.tile, levels=part) for part in stream_grids(len(latents), streams))
    header = Header(kind=0, grid=spec.grid, channels=channels, bit_depth=8, field=spec.field, params=spec.params, prior=0, streams=streams)
    assert_same_integers(write(Container(header=header, weights=encode_weights(list(groups.values())), latents=parts)))


def test_no_number_of_the_prior_depends_on_the_last_digit() -> None:
    assert reference_values.spread_margin() > 1e-8
