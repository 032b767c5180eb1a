"""What the filter of flat faces gains, and what colours cost, on solids made by code: python -m tests.benchmarks.shape_levers

Bytes and Chamfer-L1 distances with the filter and without it, on a surface taken from a grid twice as fine as the file's, as i2c bench shape does;
of colours the bytes, and the PSNR on the surface, for several grids.
"""

import argparse
from dataclasses import replace

import numpy as np

from i2compress import EncodeSettings, View, codec
from i2compress.arrays import Float64Array, Int64Array
from i2compress.kinds import Kind
from i2compress.media.shape.colours import TriangleColours
from i2compress.media.shape.content import Shape, parts_of
from i2compress.media.shape.libraries import marching_cubes
from i2compress.media.shape.measures import chamfer
from i2compress.media.shape.sharpen import ROUNDS
from i2compress.media.shape.solid import Solid
from i2compress.media.shape.source import MeshSource
from i2compress.media.shape.write import MeshSink
from i2compress.signal import Layout

from .shape_prior import random_solid

SIDE = 160  # samples of the grid that the solids' triangles come from


def _place() -> Float64Array:
    line = np.linspace(-1.6, 1.6, SIDE)
    return np.stack(np.meshgrid(line, line, line, indexing="ij"), -1)


def _surface(distance: Float64Array) -> tuple[Float64Array, Int64Array]:
    vertices, faces, _, _ = marching_cubes()(np.pad(distance, 1, constant_values=1.0), 0.0)
    return vertices.astype(np.float64), faces.astype(np.int64)


def machined() -> tuple[Float64Array, Int64Array]:
    """A block, turned, with a bevel, a hole, a pocket and two bosses: flat and round faces that meet in sharp edges."""
    x, y, z = np.moveaxis(_place() @ np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0], -1, 0)
    distance = np.maximum.reduce([np.abs(x) - 1.1, np.abs(y) - 0.7, np.abs(z) - 0.45, (x + z) / 2**0.5 - 0.75])
    distance = np.maximum(distance, 0.33 - np.hypot(x + 0.4, y - 0.1))
    distance = np.maximum(distance, -np.maximum.reduce([np.abs(x - 0.5) - 0.25, np.abs(y + 0.5) - 0.3, -z]))
    distance = np.minimum(distance, np.maximum(np.hypot(x - 0.45, y - 0.3) - 0.22, np.abs(z) - 0.8))
    return _surface(np.minimum(distance, np.maximum(np.hypot(y, z) - 0.3, np.abs(x + 0.8) - 0.6)))


def smooth() -> tuple[Float64Array, Int64Array]:
    """Balls that flow into one another, with a wavy skin."""
    place, random = _place(), np.random.default_rng(5)
    parts = [np.linalg.norm(place - random.normal(0, 0.45, 3), axis=-1) - random.uniform(0.25, 0.5) for _ in range(6)]
    distance = -np.log(sum(np.exp(-12 * part) for part in parts)) / 12
    for octave in range(3):
        direction = random.normal(size=3)
        distance = distance + 0.02 * 0.6**octave * np.sin(place @ (7.0 * 2**octave * direction / np.linalg.norm(direction)))
    return _surface(distance)


def painted(vertices: Float64Array) -> Float64Array:
    """Colours `[V, 3]` of vertices: waves of several lengths."""
    random, place = np.random.default_rng(2), vertices / SIDE
    total = np.full(vertices.shape, 0.5)
    for channel in range(3):
        for octave in range(5):
            for _ in range(4):
                direction = random.normal(size=3)
                total[:, channel] += (
                    0.12 * 0.6**octave * np.sin(place @ (5.0 * 2**octave * direction / np.linalg.norm(direction)) + random.uniform(0, 6.3))
                )
    return np.clip(total, 0, 1, out=total)


def fitted(vertices: Float64Array, faces: Int64Array, settings: EncodeSettings, colours: Float64Array | None = None) -> tuple[Solid, codec.Encoded]:
    """The solid, and its file."""
    solid = Solid(vertices, faces, "it")
    layout = Layout(kind=Kind.SHAPE, grid=(8, 8, 8), channels=1, bit_depth=16)  # an encode takes the grid that it needs
    held = None if colours is None else TriangleColours(vertices, faces, colours[faces])
    return solid, codec.encode(MeshSource(solid, layout, "ply", (), held), settings)


def distance(solid: Solid, data: bytes, rounds: int) -> float:
    """Chamfer-L1 in millionths, with so many rounds of the filter at the file's own resolution."""
    shape = Shape(parts_of(data), threads=1)
    shape.layout = replace(shape.layout, frame=shape.layout.frame._replace(sharpen=rounds))
    view = View(resolution=2 * max(shape.layout.grid))
    sink = MeshSink(shape.output(view))
    for slab in shape.blocks(view):
        sink.write(slab)
    surface = sink.mesh()
    return chamfer(solid, surface.vertices, surface.faces)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--grids", type=int, nargs="+", default=[48, 80])
    parser.add_argument("--steps", type=int, default=None)
    args = parser.parse_args()
    solids = {"machined": machined(), "random": random_solid(np.random.default_rng(103)), "smooth": smooth()}
    for grid in args.grids:
        settings = EncodeSettings(grid=grid, threads=1, steps=args.steps)
        for name, mesh in solids.items():
            solid, made = fitted(*mesh, settings)
            plain, filtered = (distance(solid, made.data, rounds) for rounds in (0, ROUNDS))
            taken = codec.I2File.from_bytes(made.data).layout.frame.sharpen > 0
            print(
                f"{name} at {grid}: {len(made.data)} bytes, {plain:.0f} ppm, filtered {filtered:.0f} ppm, {'taken' if taken else 'left'}", flush=True
            )
        vertices, faces = solids["smooth"]
        _, made = fitted(vertices, faces, settings, painted(vertices))
        parts = parts_of(made.data)
        own, colours = (sum(len(p.weights) + sum(map(len, p.latents)) for p in planes) for planes in ([parts.distances], parts.colours))
        print(f"colours at {grid}: {colours} bytes beside {own} of distances, {made.figures['colours']:.1f} dB", flush=True)


if __name__ == "__main__":
    main()
