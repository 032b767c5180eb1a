"""Tags of sound: from the names that libraries give them to the lines that a file keeps, and back."""

from collections.abc import Mapping

WRITTEN = ("title", "copyright", "software", "artist", "comment", "date", "album", "license", "tracknumber", "genre")
_NAMES = {"track": "tracknumber"}
# What a container says about itself, which is no longer true of the file that the tags go to.
_TECHNICAL = (
    "language", "handler_name", "vendor_id", "major_brand", "minor_version", "compatible_brands", "encoder", "duration", "creation_time",
    "itunsmpb", "waveformatextensible_channel_mask", "metadata_block_picture",
)  # fmt: skip


def clean(found: Mapping[str, str]) -> dict[str, str]:
    """Tags under lower-case names, without empty ones and those that are about the container."""
    named = {_NAMES.get(name.lower(), name.lower()).replace("=", " ").replace("\n", " "): value for name, value in found.items()}
    return {name: value for name, value in named.items() if value and name not in _TECHNICAL}


def join_tags(tags: Mapping[str, str]) -> bytes | None:
    """Lines "name=value", sorted, UTF-8; None where there are none."""
    lines = [f"{name}={value}".replace("\r\n", "\n").replace("\n", "\\n") for name, value in sorted(tags.items())]
    return "\n".join(lines).encode("utf-8", "replace") or None


def parse_tags(tags: bytes | None) -> dict[str, str]:
    """Tags by name."""
    lines = (tags or b"").decode("utf-8", "replace").split("\n")
    return {name: value.replace("\\n", "\n") for name, mark, value in (line.partition("=") for line in lines) if mark}
