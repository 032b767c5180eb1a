"""What a mesh file is, from its first bytes."""

import re

import numpy as np

_STL_HEADER, _STL_TRIANGLE = 84, 50
_OBJ_LINE = re.compile(rb"(v|vt|vn|f|o|g|s|l|usemtl|mtllib)\s+\S|#|\s*$")


def sniff(head: bytes) -> str | None:
    """The name of the format of a file that begins like that, one of files.FORMATS; None where it is no shape that can be read."""
    if re.match(rb"ply\r?\n", head):
        return "ply"
    if re.match(rb"\s*(ST)?C?N?OFF\b", head):
        return "off"
    if head[:4] == b"glTF":
        return "glb"
    if head[:4] == b"PK\3\4" and b"distance.npy" in head[:64]:
        return "npz"
    if re.match(rb"\s*solid\b", head) and b"facet" in head:
        return "stl"
    return "stl" if _is_binary_stl(head) else "obj" if _is_obj(head) else None


def is_shape(head: bytes) -> bool:
    """See Medium."""
    return sniff(head) is not None


def _is_binary_stl(head: bytes) -> bool:
    """It has no signature: its count and its first triangles must make sense."""
    if len(head) < _STL_HEADER + _STL_TRIANGLE or not int.from_bytes(head[80:84], "little"):
        return False
    count = min((len(head) - _STL_HEADER) // _STL_TRIANGLE, int.from_bytes(head[80:84], "little"))
    rows = np.frombuffer(head, np.uint8, count * _STL_TRIANGLE, _STL_HEADER).reshape(count, _STL_TRIANGLE)
    numbers = rows[:, :48].copy().view("<f4")
    with np.errstate(all="ignore"):
        length = np.linalg.norm(numbers[:, :3].astype(np.float64), axis=1)
        sensible = np.isfinite(numbers).all() and (np.abs(numbers) < 1e12).all()
        return bool(sensible and ((np.abs(length - 1) < 0.01) | (length == 0)).all() and np.ptp(numbers[:, 3:]) > 0)


def _is_obj(head: bytes) -> bool:
    """Text whose whole lines are all those of an OBJ, with at least one vertex."""
    lines = head.split(b"\n")
    lines = lines[:-1] if len(lines) > 1 else lines
    return any(re.match(rb"v\s+[-+.\d]", line) for line in lines) and all(_OBJ_LINE.match(line) for line in lines)
