"""JSON that every reader takes: numbers that are not finite, which JSON has no word for, are null."""

import json
import math
from collections.abc import Mapping


def dumps(value: object) -> str:
    """The value as indented JSON, with a line break at the end."""
    return json.dumps(finite(value), indent=1, allow_nan=False) + "\n"


def finite(value: object) -> object:
    """The value, None in place of every number in it that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(part) for key, part in value.items()}
    return [finite(part) for part in value] if isinstance(value, list | tuple) else value
