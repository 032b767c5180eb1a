"""Sound: see media.protocol for what each of these names is."""

from ...kinds import Kind
from ..foreign import holds
from .content import check_output, cost, describe, facts, load, outline, output_format
from .encode import encode, encode_memory, encode_seconds
from .files import FORMATS as formats
from .files import open
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

kind = Kind.AUDIO
noun = "sound"
start = "A"
options = frozenset({"bitrate", "rate", "time"})
aims = False
continues = frozenset[str]()
