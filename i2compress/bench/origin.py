"""The former name of `provenance`, for the one importer outside this folder; goes as soon as that follows."""

from .provenance import metadata as metadata
