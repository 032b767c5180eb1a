"""What the server of measuring processes imports once: every quick codec with its plugins, which costs each process a tenth of a second otherwise."""

from contextlib import suppress

from .run import BENCHMARKS

for _benchmark in BENCHMARKS.values():
    for _codec in _benchmark.codecs.values():
        if not _codec.fitted:  # torch would be in every process, and may not be forked once it has run
            with suppress(ImportError):  # a plugin that is not installed
                _codec.prepare()
