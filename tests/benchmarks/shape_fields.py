"""Shapes in coordinate fields, fitted to distances, to sides and to points: python -m tests.benchmarks.shape_fields MESH... [--out FOLDER]

A cloud of points with normals is drawn from each mesh, uniform over its surface, and encoded as a user's cloud would be. Files are compared with the
mesh itself, not with the surface that the cloud is joined to. With --out there is a render of each, as PNG. With --levers choices of the fit are
undone as well, each by itself: "anywhere" takes no places about the surface; "no ball" leaves out the start at a ball, "few zeros" weighs the penalty
for zeros elsewhere a tenth as much; "exact" takes the exact gradient of the implicit layer, and only as many steps as take about as long.
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np

from i2compress import EncodeSettings, View, codec, media
from i2compress.bench.surface_plots import render
from i2compress.config import SURFACES
from i2compress.field.coordinate_field import Solving
from i2compress.field.implicit import Exact
from i2compress.field.points import Stop
from i2compress.fit import eikonal
from i2compress.media.shape import sampling
from i2compress.media.shape.files import read_triangles
from i2compress.media.shape.measures import surface_figures, unit_normals
from i2compress.media.shape.sampling import on_surface
from i2compress.media.shape.solid import Solid
from i2compress.media.shape.write import MeshSink, Surface

from ..shapes import cloud

POINTS = 20_000


class Lever(NamedTuple):
    """A value of a module that is put in another's place, in fits to `surface`, and the share of the steps that is made."""

    surface: str
    module: ModuleType
    name: str
    value: object
    steps: float = 1.0


EXACT = Solving(stop=eikonal.GRADIENT.stop, gradient=Exact(stop=Stop(absolute=0.0, relative=1e-3, iterations=15)))
LEVERS = {
    "anywhere": Lever("occupancy", sampling, "LABELS_NEAR", 0.0),
    "no ball": Lever("points", eikonal, "WARM_SHARE", 0.0),
    "few zeros": Lever("points", eikonal, "OFF", eikonal.OFF / 10),
    "exact": Lever("points", eikonal, "GRADIENT", EXACT, 0.55),
}


@contextmanager
def pulled(lever: Lever | None) -> Iterator[None]:
    """With the value in its place; None for nothing."""
    if lever is None:
        yield
        return
    before = getattr(lever.module, lever.name)
    setattr(lever.module, lever.name, lever.value)
    try:
        yield
    finally:
        setattr(lever.module, lever.name, before)


def decoded(data: bytes) -> Surface:
    """The surface at the file's own resolution."""
    content = codec.I2File.from_bytes(data, threads=1).content
    sink = MeshSink(content.output(View()))
    for band in content.blocks(View()):
        sink.write(band)
    return sink.mesh()


def row(mesh: Path, solid: Solid, data: bytes, settings: EncodeSettings, name: str) -> tuple[str, Surface]:
    """Encodes a cloud and prints how close it comes to its mesh; a title and the surface."""
    began = time.process_time()
    with media.open_source(data) as opened:
        made = codec.encode(opened.source, settings)
    seconds, surface = time.process_time() - began, decoded(made.data)
    figures = surface_figures(solid, surface.vertices, surface.faces)
    columns = [f"{figures[key]:.0f}" for key in ("chamfer", "hausdorff")] + [f"{figures[key]:.1f}" for key in ("f_score", "normals", "iou")]
    field = f"{'explicit ' * settings.explicit}{settings.field}{'' if settings.width is None else f' of width {settings.width}'}"
    print(f"| {mesh.stem} | {field} | {name} | {len(made.data)} | {' | '.join(columns)} | {seconds:.0f} |", flush=True)
    return f"{field}, {name}, {len(made.data)} bytes", surface


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("meshes", nargs="+", type=Path)
    parser.add_argument("--fields", default="siren")
    parser.add_argument("--surfaces", default=",".join(SURFACES))
    parser.add_argument("--explicit", action="store_true")
    parser.add_argument("--width", type=int)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--levers", default="", help=",".join(LEVERS))
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    heads = ("cloud of", "field", "fitted to", "bytes", "Chamfer-L1", "Hausdorff", "F-score", "normals", "IoU", "encode s")
    print(f"| {' | '.join(heads)} |\n{'|---' * 3}{'|---:' * 7}|")
    for mesh in asked.meshes:
        found = read_triangles(mesh.read_bytes(), mesh.suffix[1:], mesh.name)
        solid = Solid(found.vertices, found.faces, mesh.name)
        points, index = on_surface(solid.vertices, solid.surface, POINTS, np.random.default_rng(0))
        data = cloud(points, unit_normals(solid.vertices, solid.surface[index]))
        panels = [("source", Surface(solid.vertices, solid.surface))]
        wanted: list[tuple[str, Lever | None]] = [(surface, None) for surface in asked.surfaces.split(",")]
        wanted += [(f"{LEVERS[name].surface}, {name}", LEVERS[name]) for name in filter(None, asked.levers.split(","))]
        for field in asked.fields.split(","):
            for name, lever in wanted:
                surface = name if lever is None else lever.surface
                steps = None if asked.steps is None else round(asked.steps * (1.0 if lever is None else lever.steps))
                settings = EncodeSettings(field=field, explicit=asked.explicit, surface=surface, width=asked.width, steps=steps)
                settings = replace(settings, threads=1, device="cpu")
                with pulled(lever):
                    panels.append(row(mesh, solid, data, settings, name))
        if asked.out is not None:
            asked.out.mkdir(parents=True, exist_ok=True)
            (asked.out / f"{mesh.stem}.png").write_bytes(render([(title, surface.vertices, surface.faces) for title, surface in panels]))


if __name__ == "__main__":
    main()
