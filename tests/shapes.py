"""Small meshes made by code."""

import numpy as np
import numpy.typing as npt

Mesh = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]


def box(low: tuple[float, float, float] = (0, 0, 0), high: tuple[float, float, float] = (1, 1, 1)) -> Mesh:
    """A closed box of twelve triangles that face outwards."""
    corners = np.array([[(low, high)[bit][axis] for axis, bit in enumerate(bits)] for bits in np.ndindex(2, 2, 2)], np.float64)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    return corners, np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))], np.int64)


def sphere(radius: float = 1.0, rings: int = 24) -> Mesh:
    """A closed ball of `rings` rings of twice as many quads, as triangles that face outwards."""
    theta, phi = np.linspace(0, np.pi, rings + 1)[1:-1], np.linspace(0, 2 * np.pi, 2 * rings, endpoint=False)
    t, p = np.meshgrid(theta, phi, indexing="ij")
    middle = np.stack([np.sin(t) * np.cos(p), np.sin(t) * np.sin(p), np.cos(t)], -1).reshape(-1, 3)
    count, last = 2 * rings, len(middle)
    faces = []
    for k in range(count):
        after = (k + 1) % count
        faces.append((last, k, after))
        faces.append((last + 1, last - count + after, last - count + k))
        for row in range(rings - 2):
            a, b, c, d = row * count + k, row * count + after, (row + 1) * count + k, (row + 1) * count + after
            faces += [(a, c, b), (b, c, d)]
    return radius * np.concatenate([middle, [[0, 0, 1], [0, 0, -1]]]), np.array(faces, np.int64)


def join(*meshes: Mesh) -> Mesh:
    """Several meshes as one."""
    offsets = np.cumsum([0, *(len(vertices) for vertices, _ in meshes)])
    return np.concatenate([v for v, _ in meshes]), np.concatenate([f + o for (_, f), o in zip(meshes, offsets, strict=False)])


def ply(mesh: Mesh, colours: npt.NDArray[np.float64] | None = None) -> bytes:
    """A text PLY file; `colours` of its vertices, `[V, 3]` in 0..255."""
    vertices, faces = mesh
    head = f"ply\nformat ascii 1.0\nelement vertex {len(vertices)}\nproperty float x\nproperty float y\nproperty float z\n"
    head += "".join(f"property uchar {name}\n" for name in ("red", "green", "blue") if colours is not None)
    head += f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    rows = vertices if colours is None else np.column_stack([vertices, colours])
    lines = [" ".join(f"{value:.9g}" for value in row) for row in rows] + [f"3 {a} {b} {c}" for a, b, c in faces]
    return (head + "\n".join(lines) + "\n").encode()


def cloud(points: npt.NDArray[np.float64], normals: npt.NDArray[np.float64], colours: npt.NDArray[np.float64] | None = None) -> bytes:
    """A text PLY file of points with normals, and red, green and blue in 0..255."""
    names = [f"float {name}" for name in ("x", "y", "z", "nx", "ny", "nz")]
    names += [f"uchar {name}" for name in ("red", "green", "blue") if colours is not None]
    rows = np.column_stack([points, normals] if colours is None else [points, normals, colours])
    head = "".join(f"property {name}\n" for name in names)
    body = "\n".join(" ".join(f"{value:.7g}" for value in row) for row in rows)
    return f"ply\nformat ascii 1.0\nelement vertex {len(points)}\n{head}end_header\n{body}\n".encode()


def volume(mesh: Mesh) -> float:
    """Of a closed mesh, positive where it faces outwards (divergence theorem)."""
    a, b, c = (mesh[0][mesh[1][:, k]] for k in range(3))
    return float((a * np.cross(b, c)).sum() / 6)
