"""What an .i2 file was made from and how, in 16 bytes: enough to tell whether making it again would make anything else."""

import dataclasses
import hashlib
import json
from typing import BinaryIO

from .config import EncodeSettings
from .container import ORIGIN_SIZE

PART = ORIGIN_SIZE // 2  # bytes of each of the two hashes
# Settings that say where the work is done, or that others decide.
ELSEWHERE = frozenset({"device", "threads", "halvings", "aim", "search", "jobs"})
LATER = frozenset({"max_memory", "no_audio", "surface"})  # settings of later: not said where not given, so that older files stay up to date


def source_digest(source: BinaryIO | bytes) -> bytes:
    """The first bytes of the SHA-256 of a source's bytes; a file is read from where it stands to its end."""
    digest = hashlib.sha256()
    if isinstance(source, bytes):
        digest.update(source)
    else:
        while block := source.read(1 << 20):
            digest.update(block)
    return digest.digest()[:PART]


def settings_digest(settings: EncodeSettings) -> bytes:
    """The first bytes of the SHA-256 of all settings that shape a file."""
    found = dataclasses.asdict(settings).items()
    given = {key: value for key, value in found if key not in ELSEWHERE and not (key in LATER and value in (None, False))}
    return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).digest()[:PART]


def origin_of(source: BinaryIO | bytes, settings: EncodeSettings) -> bytes:
    """Both together, as a file holds them."""
    return source_digest(source) + settings_digest(settings)
