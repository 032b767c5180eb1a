"""JSON as every reader takes it: numbers that are not finite, which JSON has no word for, are null."""

import json
import math
from collections.abc import Mapping
from typing import TypeAlias

Json: TypeAlias = str | int | float | bool | list["Json"] | dict[str, "Json"] | None


def finite(value: object) -> object:
    """The same value with null for each number that is not finite, however deep it lies."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(inner) for key, inner in value.items()}
    return [finite(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def dumps(value: object, *, indent: int | None = None) -> str:
    """The value as JSON text."""
    return json.dumps(finite(value), indent=indent, allow_nan=False)
