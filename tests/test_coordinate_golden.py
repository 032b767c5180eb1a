"""Golden files of coordinate fields decode to the same weights for ever, and a decoder written from docs/format.md agrees.

To make the files anew while the format is not frozen: python tests/golden/make_coordinate.py
"""

import hashlib
import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import reference_coordinate as reference

from i2compress import View
from i2compress.codec import I2File
from i2compress.coding.weights import WeightGroup, encode_weights
from i2compress.container import Container, Header, read, write
from i2compress.field.coordinate_file import CoordinateFile
from i2compress.field.coordinate_spec import CoordinateSpec
from i2compress.header import FIELDS, PYRAMIDS
from i2compress.planes import open_plane
from i2compress.signal import to_codes

GOLDEN = Path(__file__).parent / "golden" / "coordinate"
EXPECTED = json.loads((GOLDEN / "expected.json").read_text())


@lru_cache
def opened(name: str) -> I2File:
    return I2File.from_bytes((GOLDEN / f"{name}.i2").read_bytes())


def test_the_golden_files_cover_every_coordinate_field() -> None:
    assert {path.stem for path in GOLDEN.glob("*.i2")} == set(EXPECTED)
    assert {opened(name).content.plane.header.field for name in EXPECTED} == FIELDS.keys() - set(PYRAMIDS)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_golden_file_decodes_to_the_same_weights_and_codes(name: str) -> None:
    file = opened(name)
    assert hashlib.sha256(b"".join(tensor.astype("<f8").tobytes() for tensor in file.content.plane.weights.values())).hexdigest() == EXPECTED[name]
    stored = np.load(GOLDEN / "codes.npz")[name].astype(np.int64)
    difference = np.abs(to_codes(file.render().values, 8).astype(np.int64) - stored)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("scale", [1, 2, 3])
def test_a_decoder_written_from_the_specification_finds_the_same_weights_and_picture(name: str, scale: int) -> None:
    file = opened(name)
    other = reference.read((GOLDEN / f"{name}.i2").read_bytes())
    assert list(other.t) == list(file.content.plane.weights)
    for tensor, value in other.t.items():
        assert np.array_equal(value, file.content.plane.weights[tensor]), tensor
    ours = to_codes(file.render(View(scale=scale)).values, 8).astype(np.int64)
    assert np.abs(ours - reference.picture(other, scale)).max() <= 1


@pytest.mark.parametrize("kind", ["siren", "fourier", "gabor"])
@pytest.mark.parametrize("explicit", [False, True])
@pytest.mark.parametrize(("axes", "layers", "scale"), [(1, 1, 25000), (2, 3, 256), (3, 2, 7)])
def test_a_decoder_written_from_the_specification_finds_the_same_values_of_random_files(
    kind: str, explicit: bool, axes: int, layers: int, scale: int
) -> None:
    random = np.random.default_rng(layers)
    channels = 1 if axes == 3 else 2
    network = CoordinateSpec(kind=kind, axes=axes, channels=channels, explicit=explicit, width=5, layers=layers, input_scale=scale, normalise=False)
    spec = CoordinateFile(network=network, grid=(11, 7, 6)[:axes], iterations=1 if explicit else 3)
    groups = []
    for name, shape in spec.weight_shapes.items():
        spread = {"A": 3, "B": 30, "c": 30}.get(name, 10)
        groups.append(WeightGroup(symbols=np.rint(random.normal(0, spread, shape)).astype(np.int64), exponent=5))
    header = Header(
        kind={1: 1, 2: 0, 3: 3}[axes],
        grid=spec.grid,
        channels=channels,
        bit_depth=16 if axes == 3 else 8,
        field=spec.field,
        params=spec.params,
        prior=0,
        streams=0,
    )
    data = write(Container(header=header, weights=encode_weights(groups), latents=()))
    plane, other = open_plane(read(data)), reference.read(data)
    for tensor, value in other.t.items():
        assert np.array_equal(value, plane.weights[tensor]), tensor
    gain, offset = (0.5, 0.5) if axes == 2 else (1.0, 0.0)
    found = plane.renderer.render()
    np.testing.assert_allclose(found, offset + gain * reference.values(other), rtol=0, atol=1e-4)
