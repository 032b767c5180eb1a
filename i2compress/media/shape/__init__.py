"""Shapes: see media.protocol for what each of these names is."""

from ...kinds import Kind
from ..foreign import holds
from .content import check_output, cost, describe, facts, load, outline, output_format
from .encode import encode, encode_memory, encode_seconds
from .files import FORMATS as formats
from .score import score
from .sniff import is_shape as sniff
from .source import open
from .write import create

__all__ = [
    "aims",
    "check_output",
    "continues",
    "cost",
    "create",
    "describe",
    "encode",
    "encode_memory",
    "encode_seconds",
    "facts",
    "formats",
    "holds",
    "kind",
    "load",
    "noun",
    "open",
    "options",
    "outline",
    "output_format",
    "score",
    "sniff",
    "start",
]

kind = Kind.SHAPE
noun = "a shape"
start = "G"
options = frozenset({"grid", "surface", "resolution", "box", "normals"})
aims = False
continues = frozenset({"down"})
