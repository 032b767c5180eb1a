"""Curves of bytes against Chamfer distance, and renders of surfaces beside each other, as PNG by matplotlib."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..arrays import Float64Array, Int64Array
from . import plots

if TYPE_CHECKING:
    from .shape import ShapePoint

_LOOK = {"i2c": ("#d55e00", "o"), "draco": ("#0072b2", "s"), "draco-decimated": ("#56b4e9", "h")}
_LIGHT = np.array([-0.4, 0.5, 0.77])
_TURN = np.radians(30.0)  # about the upright axis, then a little from above
_TILT = np.radians(15.0)


def pictures(points: "Sequence[ShapePoint]") -> dict[str, bytes]:
    """PNG files by name: the curves, and each mesh in a middle file of i2c and in one of Draco of its size; none without matplotlib."""
    if not plots.available():
        return {}
    found = {"chamfer.png": _curves(points)}
    for source in dict.fromkeys(p.source for p in points):
        mine = sorted((p for p in points if (p.source, p.codec) == (source, "i2c")), key=lambda p: p.count)
        others = [p for p in points if (p.source, p.codec) == (source, "draco-decimated")]
        if mine and others:
            own = mine[len(mine) // 2]
            other = min((p for p in others), key=lambda p: (abs(np.log(p.count / own.count)) // 0.1, p.figures["chamfer"]))
            whole = max((p for p in points if p.source == source and p.codec == "draco"), key=lambda p: p.count, default=None)
            panels = [] if whole is None else [("source", whole)]
            panels += [(f"{p.codec}, {p.count} bytes", p) for p in (own, other)]
            surfaces = [(title, p.surface()) for title, p in panels]
            found[f"{source.rpartition('.')[0]}.png"] = render([(title, *surface) for title, surface in surfaces if surface is not None])
    return found


def _curves(points: "Sequence[ShapePoint]") -> bytes:
    from .shape_report import frontier

    sources = list(dict.fromkeys(p.source for p in points))
    figure = plots.new_figure(4.7 * len(sources), 4, dpi=80)
    for source, panel in zip(sources, figure.subplots(1, len(sources), squeeze=False)[0], strict=True):
        for codec, (colour, marker) in _LOOK.items():
            line = frontier([p for p in points if (p.source, p.codec) == (source, codec)])
            panel.plot([p.count for p in line], [p.figures["chamfer"] for p in line], label=codec, color=colour, marker=marker, markersize=5)
        panel.set(title=source, xlabel="bytes", ylabel="Chamfer-L1, millionths of the longest side", xscale="log", yscale="log")
        panel.grid(alpha=0.3)
    panel.legend(frameon=False)
    return plots.to_png(figure)


def render(panels: "Sequence[tuple[str, Float64Array, Int64Array]]") -> bytes:
    """PNG of titled surfaces (vertices `[V, 3]`, triangles `[F, 3]`) side by side, drawn from back to front under one light."""
    from matplotlib.collections import PolyCollection

    figure = plots.new_figure(4.5 * len(panels), 4.8, dpi=110)
    for (title, vertices, faces), axes in zip(panels, figure.subplots(1, len(panels), squeeze=False)[0], strict=True):
        turned = _turned(vertices)
        corners = turned[faces]
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300)
        order = np.argsort(corners[:, :, 2].mean(1))
        shade = 0.25 + 0.75 * np.clip(np.abs(normals @ (_LIGHT / np.linalg.norm(_LIGHT))), 0, 1)[order, None]
        colours = np.clip(shade * np.array([0.80, 0.82, 0.86]), 0, 1)
        axes.add_collection(PolyCollection(list(corners[order][:, :, :2]), facecolors=colours, edgecolors=colours, linewidths=0.2))
        axes.set(title=title, aspect="equal")
        axes.autoscale_view()
        axes.set_axis_off()
    return plots.to_png(figure)


def _turned(vertices: Float64Array) -> Float64Array:
    c, s, a, b = np.cos(_TURN), np.sin(_TURN), np.cos(_TILT), np.sin(_TILT)
    about = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    tilt = np.array([[1, 0, 0], [0, a, -b], [0, b, a]])
    turned: Float64Array = vertices @ (tilt @ about).T
    return turned
