"""Golden files of shapes decode to the same symbols for ever, and a decoder written from docs/format.md agrees."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import reference_coordinate as coordinate
import reference_shape as reference
from reference_decoder import chunks

from i2compress import View
from i2compress.codec import I2File
from i2compress.errors import MalformedError, UnsupportedVersionError
from i2compress.field.sparse_spec import SparseSpec, sparse_prior
from i2compress.media.shape.content import parts_of

GOLDEN = Path(__file__).parent / "golden" / "shape"
sys.path.append(str(GOLDEN.parent))
from make_shape import digest  # noqa: E402

SPARSE = ("trained", "explicit", "wide", "painted")
DENSE = ("occupancy", "points")
NAMES = (*SPARSE, *DENSE)


def test_the_golden_files_cover_the_format() -> None:
    contents = [I2File.from_bytes((GOLDEN / f"{name}.i2").read_bytes()).content for name in SPARSE]
    planes = [content.plane for content in contents]
    assert {len(content.colours) for content in contents} == {0, 3}
    assert {path.stem for path in GOLDEN.glob("*.i2")} == set(NAMES)
    assert {plane.header.prior for plane in planes} == {0, 1}
    assert {plane.spec.explicit for plane in planes} == {False, True}


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_shape_decodes_to_the_same_symbols_and_distances(name: str) -> None:
    data = (GOLDEN / f"{name}.i2").read_bytes()
    assert digest(data) == json.loads((GOLDEN / "expected.json").read_text())[name]
    distances = np.concatenate(list(I2File.from_bytes(data).content.blocks(View())))
    assert np.abs(distances - np.load(GOLDEN / "distances.npz")[name]).max() < 1e-3  # which are stored in halves


@pytest.mark.parametrize("name", ["trained", "wide"])
def test_a_decoder_written_from_the_specification_finds_the_same_latents(name: str) -> None:
    data = (GOLDEN / f"{name}.i2").read_bytes()
    grids, _, _ = reference.decode(chunks(data))
    plane = I2File.from_bytes(data).content.plane
    for grid, level, found in zip(grids, plane.renderer.lattice.levels, plane.latents, strict=True):
        assert grid == dict(zip(map(tuple, level.cells.tolist()), found.tolist(), strict=True))


@pytest.mark.parametrize("name", DENSE)
def test_a_decoder_written_from_the_specification_finds_the_same_weights_and_distances_of_a_coordinate_field(name: str) -> None:
    data = (GOLDEN / f"{name}.i2").read_bytes()
    file, other = I2File.from_bytes(data), coordinate.read(data)
    assert list(other.t) == list(file.content.plane.weights) and other.occupancy == (name == "occupancy")
    for tensor, value in other.t.items():
        assert np.array_equal(value, file.content.plane.weights[tensor]), tensor
    wanted = np.clip(coordinate.values(other) / other.slope / 2, -1, 1)  # of two samples
    assert np.abs(np.concatenate(list(file.content.blocks(View()))) - wanted).max() < 1e-3


def test_a_prior_that_is_not_there_or_is_not_for_the_field_is_refused_with_a_sentence() -> None:
    spec = SparseSpec(grid=(32, 32, 32))
    with pytest.raises(UnsupportedVersionError, match="weight prior is number 2"):
        sparse_prior(2, spec)
    with pytest.raises(MalformedError, match="none but 0"):
        sparse_prior(1, replace(spec, width=5))
    assert {name: value.shape for name, value in sparse_prior(1, spec).items()} == spec.weight_shapes


def test_the_trained_prior_leaves_few_bits_to_the_weights() -> None:
    planes = {name: parts_of((GOLDEN / f"{name}.i2").read_bytes())[0] for name in ("trained", "wide")}
    assert 3 * len(planes["trained"].weights) < len(planes["wide"].weights)  # both of the same steps and lambda
