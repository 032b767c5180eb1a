"""Mesh files in: vertices and triangles, whatever the format, and what of them is not a surface."""

import io
from typing import Any, NamedTuple

import numpy as np

from ...arrays import Float64Array, Int64Array
from ...errors import I2Error, ResourceError, SignalError
from ...kinds import Kind
from ..protocol import Format
from .cloud import OrientedCloud, oriented, surface_of
from .colours import Colours, PointColours, TriangleColours
from .libraries import trimesh

_DEPTHS = (16,)
_COLOURLESS = ("stl", "off")
FORMATS = tuple(
    Format(name=name, kind=Kind.SHAPE, extensions=(f".{name}",), channels=(1,) if name in _COLOURLESS else (1, 4), depths=_DEPTHS)
    for name in ("ply", "obj", "stl", "glb", "off", "npz")
)


class Triangles(NamedTuple):
    """Vertices `[V, 3]`, triangles `[F, 3]`, whole sentences on what of the file is not coded, its colours where it has some, and the
    points that the triangles were made of where it has none itself."""

    vertices: Float64Array
    faces: Int64Array
    notes: list[str]
    colours: Colours | None = None
    cloud: OrientedCloud | None = None


def read_triangles(data: bytes, form: str, name: str) -> Triangles:
    """The triangles in a mesh file of that format, of all its parts together.

    Raises:
        SignalError: damaged, or without triangles.
        UsageError: trimesh is missing.
    """
    library = trimesh()
    if not data:
        raise SignalError(f"{name} is empty; copy it again")
    try:
        loaded = library.load(io.BytesIO(data), file_type=form, process=False)
        parts = [loaded] if hasattr(loaded, "faces") or not hasattr(loaded, "geometry") else loaded.dump()
        meshes = [part for part in parts if len(getattr(part, "faces", ())) and len(part.vertices)]
        clouds = [part for part in parts if not len(getattr(part, "faces", ())) and len(getattr(part, "vertices", ()))]
        offsets = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
        vertices = np.concatenate([np.zeros((0, 3)), *(np.asarray(mesh.vertices, np.float64) for mesh in meshes)])
        faces = np.concatenate([np.zeros((0, 3), np.int64), *(np.asarray(m.faces, np.int64) + o for m, o in zip(meshes, offsets, strict=False))])
        corners = [_corner_colours(mesh) for mesh in meshes]
        textured = any(_textured(mesh) for mesh in meshes)
    except I2Error:
        raise
    except MemoryError as error:
        raise ResourceError(f"{name}: not enough memory for the mesh; free some, or simplify it first") from error
    except Exception as error:  # readers of other people's files raise anything; none of it is a bug of ours to trace
        raise SignalError(f"{name}: the mesh cannot be read ({' '.join(str(error).split()) or type(error).__name__}); copy it again") from error
    if not len(faces) and clouds:
        return _of_points(clouds, name)
    if not len(faces):
        raise SignalError(f"{name} has no triangles; give a mesh of a surface")
    notes = ["the surface is coded, and not its vertices, their order, their connections or their texture coordinates"]
    painted = [part for part in corners if part is not None]
    notes += ["its materials and textures are not coded"] if textured else []
    if not painted:
        return Triangles(vertices, faces, notes)
    if any((part[..., 3] < 1).any() for part in painted):
        notes.append("its opacity is not coded, only its colours")
    if len(painted) < len(meshes):
        notes.append("parts of it have no colours, and are coded as gray")
    gray = [np.full((len(mesh.faces), 3, 4), 0.5) if part is None else part for mesh, part in zip(meshes, corners, strict=True)]
    return Triangles(vertices, faces, notes, TriangleColours(vertices, faces, np.concatenate(gray)[..., :3]))


def _of_points(clouds: list[Any], name: str) -> Triangles:
    points = np.concatenate([np.asarray(cloud.vertices, np.float64) for cloud in clouds])
    normals = _normals(clouds)
    if normals is None:
        raise SignalError(
            f"{name} holds {len(points)} points and neither triangles nor normals; give it normals (nx, ny, nz), or make a surface of it"
        )
    cloud = oriented(points, normals, name)
    vertices, faces = surface_of(cloud, name)
    notes = [f"{len(points)} points with normals were joined to a surface of {len(faces)} triangles, and that is what figures compare with"]
    painted = [np.asarray(getattr(cloud, "colors", ()), np.float64) for cloud in clouds]
    if any(len(part) != len(cloud.vertices) for part, cloud in zip(painted, clouds, strict=True)):
        return Triangles(vertices, faces, notes, cloud=cloud)
    return Triangles(vertices, faces, notes, PointColours(points, np.concatenate(painted)[:, :3] / 255), cloud)


def _normals(clouds: list[Any]) -> Float64Array | None:
    """`[N, 3]` of the points of PLY files, which trimesh keeps as it found them; None where one has none."""
    found = []
    for cloud in clouds:
        data = cloud.metadata.get("_ply_raw", {}).get("vertex", {}).get("data")
        names = getattr(getattr(data, "dtype", None), "names", None) or (data if isinstance(data, dict) else ())
        if data is None or not {"nx", "ny", "nz"} <= set(names):
            return None
        found.append(np.column_stack([np.asarray(data[key], np.float64).ravel() for key in ("nx", "ny", "nz")]))
    return np.concatenate(found)


def _corner_colours(mesh: Any) -> Float64Array | None:
    """`[F, 3, 4]` in [0, 1], of each corner of each triangle; None where it has no colours of vertices or triangles."""
    kind = getattr(mesh.visual, "kind", None)
    if kind == "vertex":
        found: Float64Array = np.asarray(mesh.visual.vertex_colors, np.float64)[mesh.faces] / 255
        return found
    if kind == "face":
        return np.repeat(np.asarray(mesh.visual.face_colors, np.float64)[:, None], 3, axis=1) / 255
    return None


def _textured(mesh: Any) -> bool:
    return getattr(mesh.visual, "kind", None) == "texture"
