"""Video: see media.protocol for what each of these names is."""

from ...kinds import Kind
from .content import check_output, cost, describe, facts, load, outline, output_format
from .encode import encode, encode_memory, encode_seconds
from .files import FORMATS as formats
from .files import holds, open
from .score import score
from .sniff import sniff
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

kind = Kind.VIDEO
noun = "a video"
start = "V"
options = frozenset({"scale", "size", "max_size", "crop", "time", "frames", "fps", "no_audio"})
aims = False
continues = frozenset({"down", "up"})
