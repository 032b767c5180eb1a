"""A waveform in a coordinate field at its own and at other sampling rates.

Upwards the field is evaluated at the new times. Downwards its own samples are reduced by Lanczos-3, so that what the new
rate cannot hold is gone. Output sample j at rate f' lies at (j + 1/2) f / f' - 1/2 in samples of the source, as in coords.
"""

import math
from collections.abc import Iterator

from ..config import View
from ..field.coordinate_file import CoordinateFile
from ..field.spec import Arrays
from .banded import FloatArray
from .blocks import UNSCALED, BlockSolver
from .coordinate import CoordinateRenderer, CoordinateSource
from .pyramid import Range
from .resample import Lanczos
from .view import Span, output_span, sound_span

_TIME = 2  # of the three axes of a block


class WaveformRenderer(CoordinateRenderer):
    """Samples of a waveform, a stretch at a time; see GridRenderer.

    Args:
        spec: sizes of the field, of one axis.
        weights: its tensors, as the file has them, float64.
        gain, offset: a value is offset + gain * Phi.
        rate: of the source, in Hz.
        threads: blocks computed at a time, at least 1. The result does not depend on it.
    """

    def __init__(self, spec: CoordinateFile, weights: Arrays, *, gain: float, offset: float, rate: int, threads: int = 1) -> None:
        super().__init__(spec, weights, gain=gain, offset=offset, threads=threads)
        self._spec, self._rate = spec, rate

    def span(self, view: View) -> Range:
        """The output samples first .. last of a view, counted at its rate from the start of the waveform: those inside the part asked for.

        Raises:
            UsageError: a view of pictures, or a time at which there is no sample.
        """
        first, last = (self._output(edge, view) for edge in sound_span(self._spec.grid[0], self._rate, view))
        # The shortest sound has one sample at the lowest rate.
        return (0, max(1, last)) if view.time is None else output_span(first, last, view)

    def shape(self, view: View) -> tuple[int, ...]:
        """See GridRenderer."""
        first, last = self.span(view)
        return (last - first,)

    def bands(self, view: View) -> Iterator[FloatArray]:
        """The samples of a view, not clipped, `[n, D]`, in memory that does not grow with its length. Raises UsageError as `span`."""
        outputs = self.span(view)
        return self._reduced(view, outputs) if (view.rate or self._rate) < self._rate else self._evaluated(view, outputs)

    def _output(self, edge: int, view: View) -> int:
        """The first output sample that lies at or after the start of source sample `edge`: ceil(edge f' / f - 1/2)."""
        return -((self._rate - 2 * edge * (view.rate or self._rate)) // (2 * self._rate))

    def _evaluated(self, view: View, outputs: Range) -> Iterator[FloatArray]:
        samples = self._spec.grid[0]
        source = self._coordinates
        if view.rate not in (None, self._rate):
            source = CoordinateSource(self._spec, source.network, (self._output(samples, view),), (samples * view.rate / self._rate,))
        for band in self._solved(source, outputs):
            yield band[0, 0]

    def _reduced(self, view: View, outputs: Range) -> Iterator[FloatArray]:
        # The span is as many whole periods of the two rates as it takes, and may be longer than the sound: its ratio is theirs exactly.
        wanted = view.rate or self._rate
        divisor = math.gcd(self._rate, wanted)
        periods = -(-outputs[1] * divisor // wanted)
        span = Span(start=0, size=periods * self._rate // divisor, out=periods * wanted // divisor)
        lanczos = Lanczos(span=span, samples=self._spec.grid[0])
        region = lanczos.first(outputs[0]), lanczos.last(outputs[1] - 1)
        for band in lanczos.stream(self._solved(self._coordinates, region), _TIME, region[0], outputs):
            yield band[0, 0]

    def _solved(self, source: CoordinateSource, region: Range) -> Iterator[FloatArray]:
        solver = BlockSolver(source, channels=self._spec.channels, threads=self._threads)
        return solver.bands(((0, 1), (0, 1), region), UNSCALED, _TIME)
