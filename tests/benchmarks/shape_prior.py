"""Trains the prior of sparse pyramids, and writes it as the table that the package ships: python -m tests.benchmarks.shape_prior --out shape-1.npz

Random solids, made by code, are fitted one after the other. After each fit the prior goes part of the way to the weights that came out
(Reptile: Nichol et al. 2018, On First-Order Meta-Learning Algorithms), so it ends where a fit has the least way to go.
"""

import argparse
from pathlib import Path

import numpy as np

from i2compress.arrays import Float64Array, Int64Array
from i2compress.coding.lattice import Lattice
from i2compress.config import EncodeSettings
from i2compress.field.sparse_spec import SparseSpec, sparse_prior
from i2compress.field.spec import PRIOR_BITS, Arrays
from i2compress.fit import Distances, Start, pick_device
from i2compress.fit.sparse import sparse_problem
from i2compress.fit.stages import fit_pyramid
from i2compress.media.shape.encode import BLOCK, FOUND_LEVELS, spec_of
from i2compress.media.shape.libraries import marching_cubes
from i2compress.media.shape.sampling import active_blocks, crossed, frame_of, near_points, starting_latents
from i2compress.media.shape.solid import Solid

SIDE = 96  # samples of the grid that the solids' triangles come from
GRIDS = (40, 48, 64)
LAMBDAS = (1e-3, 2e-2)  # uniform in the logarithm


def random_solid(random: np.random.Generator) -> tuple[Float64Array, Int64Array]:
    """Vertices and triangles of balls, boxes and rods, joined smoothly or sharply, with parts cut out and a rough surface or a plain one."""
    line = np.linspace(-1.6, 1.6, SIDE)
    place = np.stack(np.meshgrid(line, line, line, indexing="ij"), -1)
    sharpness = float(np.exp(random.uniform(np.log(6), np.log(200))))
    total = np.full(place.shape[:3], 0.0)
    for _ in range(random.integers(3, 9)):
        total += np.exp(-sharpness * np.minimum(_part(place, random), 3))
    distance = -np.log(total + 1e-300) / sharpness
    for _ in range(random.integers(0, 3)):
        distance = np.maximum(distance, -_part(place, random))
    height = random.choice([0.0, 0.02, 0.05])
    for octave in range(5):
        for _ in range(4):
            direction = random.normal(size=3)
            wave = 4.0 * 2**octave * direction / np.linalg.norm(direction)
            distance += height * 0.25 * random.uniform(0.4, 0.6) ** octave * np.sin(place @ wave + random.uniform(0, 2 * np.pi))
    distance = np.pad(distance, 1, constant_values=1.0)
    vertices, faces, _, _ = marching_cubes()(distance, 0.0)
    return vertices.astype(np.float64), faces.astype(np.int64)


def _part(place: Float64Array, random: np.random.Generator) -> Float64Array:
    """Distances from a ball, a box or a rod at a random place, turned at random."""
    turn = np.linalg.qr(random.normal(size=(3, 3)))[0]
    local = (place - random.normal(0, 0.4, 3)) @ turn
    kind = random.integers(3)
    if kind == 0:
        found: Float64Array = np.linalg.norm(local / random.uniform(0.7, 1.4, 3), axis=-1) - random.uniform(0.15, 0.5)
        return found
    if kind == 1:
        found = (np.abs(local) - random.uniform(0.1, 0.6, 3)).max(-1)
        return found
    half = random.uniform(0.2, 0.7)
    beyond = local - np.clip(local, [0, 0, -half], [0, 0, half])
    found = np.linalg.norm(beyond, axis=-1) - random.uniform(0.05, 0.2)
    return found


def fitted_weights(solid: Solid, begin: Arrays, grid: int, settings: EncodeSettings, random: np.random.Generator) -> tuple[Arrays, float]:
    """The weights that a fit of a solid comes to from `begin`, and its loss."""
    shape, frame = frame_of(solid, grid, BLOCK)
    spec = spec_of(shape, settings)
    lattice = Lattice(grid=shape, block=BLOCK, active=active_blocks(solid, shape, frame, BLOCK, random), depth=spec.levels)
    points, values, importance = near_points(solid, lattice, frame, random)
    distances = Distances(points=points, values=values, importance=importance, surface=crossed(solid, frame))
    latents = starting_latents(solid, lattice, frame, spec.step)
    start = Start(weights=begin, latents=[np.zeros_like(grid) if level < FOUND_LEVELS else grid for level, grid in enumerate(latents)])
    problem = sparse_problem(distances, spec, lattice, settings, device=pick_device("cpu"), start=start)
    fitted = fit_pyramid(problem, seed=settings.seed)
    return fitted.weights, fitted.loss


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fits", type=int, default=40)
    parser.add_argument("--steps", type=int, default=60, help="of each fit")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    random = np.random.default_rng(0)
    weights = sparse_prior(0, SparseSpec(grid=(64, 64, 64)))
    for number in range(args.fits):
        solid = Solid(*random_solid(random), f"solid {number}")
        lam = float(np.exp(random.uniform(*np.log(LAMBDAS))))
        settings = EncodeSettings(lam=lam, steps=args.steps, threads=1, device="cpu", seed=number)
        found, loss = fitted_weights(solid, weights, int(random.choice(GRIDS)), settings, random)
        # The first fits go most of the way, the last ones average.
        part = max(0.1, 0.6 * (1 - number / (0.8 * args.fits)))
        weights = {name: weights[name] + part * (found[name] - weights[name]) for name in weights}
        scale = float(1 << PRIOR_BITS)
        np.savez_compressed(args.out, **{name: np.round(scale * value).astype(np.int16) for name, value in weights.items()})  # type: ignore[arg-type]
        print(f"{number}: lambda {lam:.2e}, loss {loss:.5f}, {loss / lam:.2f} bits a sample", flush=True)


if __name__ == "__main__":
    main()
