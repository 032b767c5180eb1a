"""Flat faces and sharp edges of decoded shapes."""

from functools import cache

import numpy as np
import pytest
import trimesh
from shapes import box, ply, sphere
from test_shape import decoded, mesh_of

from i2compress import EncodeSettings, View, codec, media
from i2compress.container import SIGNATURE, ChunkReader, write_chunk
from i2compress.errors import MalformedError
from i2compress.media.shape.chunk import decode_place, encode_place
from i2compress.media.shape.libraries import igl
from i2compress.media.shape.sharpen import sharpened
from i2compress.signal import Frame


@cache
def made(name: str) -> codec.Encoded:
    meshes = {"box": box((0, 0, 0), (1, 0.8, 0.6)), "ball": sphere()}
    with media.open_source(ply(meshes[name])) as opened:
        return codec.encode(opened.source, EncodeSettings(grid=24, lam=2e-3, steps=60, threads=1))


def test_a_wavy_box_becomes_flat_and_keeps_its_edges() -> None:
    mesh = trimesh.Trimesh(*box(), process=False).subdivide_to_size(0.06)
    vertices, faces = np.array(mesh.vertices), np.array(mesh.faces, np.int64)
    wavy = vertices + np.random.default_rng(0).normal(0, 0.003, vertices.shape)
    found = sharpened(wavy, faces, 20)
    before, after = (np.sqrt(igl().point_mesh_squared_distance(places, *box())[0]) for places in (wavy, found))
    assert after.mean() < before.mean() / 2
    assert np.abs(found.max(0) - 1).max() < 0.01  # corners are where they were


def test_only_what_comes_closer_to_its_source_is_filtered() -> None:
    files = {name: codec.I2File.from_bytes(made(name).data) for name in ("box", "ball")}
    assert files["box"].layout.frame.sharpen > 0 and files["ball"].layout.frame.sharpen == 0


def test_the_filter_reaches_as_far_at_every_resolution() -> None:
    file = codec.I2File.from_bytes(made("box").data)
    rounds = [file.output(View(resolution=size)).frame.sharpen for size in (12, 24, 48)]
    assert rounds[0] * 4 == rounds[1] * 2 == rounds[2]


def test_a_filtered_box_is_closer_and_closed() -> None:
    data, distances = made("box").data, []
    for payload in (data, unfiltered(data)):
        surface = mesh_of(decoded(payload, View(resolution=48)))
        assert trimesh.Trimesh(*surface, process=False).is_watertight
        distances.append(np.sqrt(igl().point_mesh_squared_distance(surface[0], *box((0, 0, 0), (1, 0.8, 0.6)))[0]).mean())
    assert distances[0] < 0.95 * distances[1]


def unfiltered(data: bytes) -> bytes:
    """A file without the flag."""
    reader = ChunkReader(data)
    place = bytearray(reader.expect("G"))
    assert place[0] & 64
    place[0] &= ~64
    return SIGNATURE + write_chunk("G", bytes(place)) + data[reader.position :]


@pytest.mark.parametrize("coloured", [False, True])
@pytest.mark.parametrize("sharpen", [0, 10])
@pytest.mark.parametrize("spacing", [(0.5, 0.5, 0.5), (0.5, 0.25, 1.0)])
def test_the_place_of_a_shape_comes_back(coloured: bool, sharpen: int, spacing: tuple[float, float, float]) -> None:
    frame = Frame(corner=(1.0, -2.0, 3.0), spacing=spacing, sharpen=sharpen)
    assert decode_place(encode_place(frame, "obj", coloured=coloured)) == (frame, "obj", coloured)


def test_a_flag_that_is_not_known_is_refused() -> None:
    payload = bytearray(encode_place(Frame(), "ply", coloured=False))
    payload[0] |= 128
    with pytest.raises(MalformedError, match="shape chunk"):
        decode_place(bytes(payload))
