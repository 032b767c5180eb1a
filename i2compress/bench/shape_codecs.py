"""The codecs that the benchmark of shapes compares: what each makes of a mesh file, and the surface that comes back.

Draco keeps the triangles that it is given, so at low rates the fair anchor gives it fewer: quadric decimation (Garland and Heckbert 1997) by
fast-simplification before it. Every function is one of a module, so that other processes find it.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np

from .. import codec
from ..arrays import Float64Array, Int64Array
from ..config import EncodeSettings, View
from ..errors import SignalError
from ..media import open_source, open_writer
from ..media.shape.source import MeshSource
from .code_digest import code_digest

DRACO_BITS = (7, 8, 9, 10, 11, 12, 14)
DRACO_LEVEL = 10
KEPT_SHARES = (0.5, 0.25, 0.12, 0.06)  # of the triangles
KEPT_BITS = (8, 9, 10, 11)
FINER = 2  # i2c's surface is taken from a grid so many times finer than the file's
_WITHOUT = ("bench", "cli", "reproduce", "media.foreign", "media.image", "media.sound", "media.video")  # nothing in them shapes a shape's file


class Surface(NamedTuple):
    """Vertices `[V, 3]` and triangles `[F, 3]`."""

    vertices: Float64Array
    faces: Int64Array


class Setting(NamedTuple):
    """One point of a codec: its quality or bits, and the share of the triangles that are kept before."""

    quality: float
    kept: float = 1.0

    @property
    def name(self) -> str:
        """In tables."""
        return (f"{self.kept:g} " if self.kept < 1 else "") + f"q{self.quality:g}"


@dataclass(frozen=True, kw_only=True)
class ShapeCodec:
    """A codec of meshes.

    Args:
        extension: of its files.
        needs: modules that it needs.
        settings: its points; none where the command names them.
        encode: (path, setting, settings of i2c) to a file's bytes.
        decode: (bytes, threads) to the surface.
        prepare: imports, so that their time and memory are not the codec's.
        versions: of all that shapes its bytes.
    """

    extension: str
    needs: tuple[str, ...]
    settings: tuple[Setting, ...]
    encode: Callable[[str, Setting, EncodeSettings], bytes]
    decode: Callable[[bytes, int | None], Surface]
    prepare: Callable[[], None]
    versions: Callable[[], Mapping[str, str]]

    def missing(self) -> bool:
        """Whether a package that it needs is not installed."""
        return not all(find_spec(name) for name in self.needs)


@cache
def read_mesh(path: str) -> MeshSource:
    """A mesh file. Raises SignalError where it is none."""
    with open_source(path) as opened:
        if not isinstance(opened.source, MeshSource):
            raise SignalError(f"{path} is no mesh; give PLY, OBJ, STL, OFF or GLB")
        return opened.source


def _encode_i2c(path: str, setting: Setting, settings: EncodeSettings) -> bytes:
    with open_source(path) as opened:
        return codec.encode(opened.source, replace(settings, quality=setting.quality)).data


def _decode_i2c(data: bytes, threads: int | None) -> Surface:
    content = codec.I2File.from_bytes(data, threads=threads)
    view, file = View(resolution=FINER * max(content.layout.grid)), io.BytesIO()
    with open_writer(file, content.output(view), format="ply") as sink:
        for block in content.blocks(view):
            sink.write(block)
    with open_source(file.getvalue()) as opened:
        assert isinstance(opened.source, MeshSource)
        return Surface(*opened.source.solid.given)


def _prepare_i2c() -> None:
    from .. import fit  # noqa: F401  # torch takes seconds to import
    from ..media.shape.libraries import igl, marching_cubes, trimesh

    igl(), marching_cubes(), trimesh()


@cache
def _i2c_versions() -> Mapping[str, str]:
    packages = {name: version(name) for name in ("i2compress", "torch", "constriction", "libigl")}
    return {**packages, "sources": code_digest(_encode_i2c, _decode_i2c, without=_WITHOUT)}


def _encode_draco(path: str, setting: Setting, _: EncodeSettings) -> bytes:
    import DracoPy

    vertices, faces = read_mesh(path).solid.given
    if setting.kept < 1:
        import fast_simplification

        vertices, faces = fast_simplification.simplify(vertices.astype(np.float32), faces.astype(np.int32), target_reduction=1 - setting.kept)
    data: bytes = DracoPy.encode(
        vertices.astype(np.float32), faces.astype(np.uint32), quantization_bits=round(setting.quality), compression_level=DRACO_LEVEL
    )
    return data


def _decode_draco(data: bytes, _: int | None) -> Surface:
    import DracoPy

    found = DracoPy.decode(data)
    return Surface(np.asarray(found.points, np.float64), np.asarray(found.faces, np.int64))


def _prepare_draco() -> None:
    import DracoPy  # noqa: F401
    import fast_simplification  # noqa: F401

    from ..media.shape.libraries import igl, trimesh

    igl(), trimesh()


def _draco_versions() -> Mapping[str, str]:
    return {name: version(name) for name in ("DracoPy", "fast-simplification")}


def _draco(settings: tuple[Setting, ...]) -> ShapeCodec:
    return ShapeCodec(
        extension="drc",
        needs=("DracoPy", "fast_simplification"),
        settings=settings,
        encode=_encode_draco,
        decode=_decode_draco,
        prepare=_prepare_draco,
        versions=_draco_versions,
    )


CODECS = {
    "i2c": ShapeCodec(extension="i2", needs=(), settings=(), encode=_encode_i2c, decode=_decode_i2c, prepare=_prepare_i2c, versions=_i2c_versions),
    "draco": _draco(tuple(Setting(bits) for bits in DRACO_BITS)),
    "draco-decimated": _draco(tuple(Setting(bits, share) for share in KEPT_SHARES for bits in KEPT_BITS)),
}
