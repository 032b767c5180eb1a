"""A waveform in a coordinate field: sound that is one plane, at its own and at other sampling rates.

Upwards the field is evaluated at the new times. Downwards its own samples are reduced by Lanczos-3, so that what the new
rate cannot hold is gone. Output sample j at rate f' lies at (j + 1/2) f / f' - 1/2 in samples of the source, as in coords.
"""

import math
from collections.abc import Iterator

import numpy as np

from ... import container
from ...arrays import Float32Array
from ...config import EncodeSettings, View
from ...errors import MalformedError, SignalError
from ...header import MAX_AXIS
from ...kinds import Kind
from ...planes import MAX_SAMPLES, PlaneJob, code_tolerance, open_plane
from ...planes.coordinate import file_spec, fit_field
from ...render.blocks import UNSCALED, BlockSolver
from ...render.coordinate import CoordinateRenderer, CoordinateSource
from ...render.pyramid import Range
from ...render.resample import Lanczos
from ...render.span import Span
from ...signal import Layout, Metadata
from ..protocol import Coded, Hooks, Source
from . import waveform_chunk
from .view import output_layout, output_span, source_span

INPUT_SCALE = (25000, 308_207)  # (Implicit)^2's, and the samples of the sound that it is for
_TIME = 2  # which of the three axes of a block is time


def encode(source: Source, settings: EncodeSettings, hooks: Hooks) -> Coded:
    """See Medium: the whole sound in one coordinate field."""
    layout = source.layout
    if layout.samples > min(MAX_AXIS, MAX_SAMPLES):
        raise SignalError(f"waveform has {layout.samples} samples; expected at most {MAX_AXIS} in a coordinate field: cut it, or leave --field out")
    job = PlaneJob(
        values=np.ascontiguousarray(source.read(0, layout.samples), np.float32),
        kind=Kind.AUDIO,
        bit_depth=min(layout.bit_depth, 16),
        settings=settings,
        tolerance=code_tolerance(layout.bit_depth),
        on_step=hooks.on_step,
        stop=hooks.stop,
    )
    fitted = fit_field(job, file_spec(job.grid, job.channels, settings, scale=INPUT_SCALE))
    tags = None if settings.strip else source.metadata.tags
    metadata = {**({} if tags is None else {"tags": tags}), waveform_chunk.NAME: waveform_chunk.blob(layout)}
    content = container.Container(header=fitted.content.header, weights=fitted.content.weights, latents=(), metadata=metadata)
    return Coded(
        data=container.write(content), steps=fitted.steps, passes=fitted.passes, rate_weight=settings.rate_weight, converged=fitted.converged
    )


class Waveform:
    """A waveform that was opened; see media.protocol.Content. `plane` holds its weights."""

    complete = True

    def __init__(self, content: container.Container, *, threads: int | None) -> None:
        self.layout = waveform_chunk.layout_of(content.header, content.metadata)
        self.metadata = Metadata(tags=content.metadata.get("tags"))
        self.plane = open_plane(content, threads=threads)
        if not isinstance(self.plane.renderer, CoordinateRenderer):
            raise MalformedError("file holds sound in a pyramid without segments; expected a coordinate field: the file was written wrongly")
        self._sampler = Sampler(self.plane.renderer, self.layout)

    def output(self, view: View) -> Layout:
        """See Content."""
        return output_layout(self.layout, self._sampler.span(view), view)

    def blocks(self, view: View) -> Iterator[Float32Array]:
        """See Content: samples `[n, C]`, not clipped."""
        return self._sampler.blocks(view)


class Sampler:
    """Samples of a coordinate field of one axis at any rate, a stretch at a time.

    Args:
        renderer: of the field.
        layout: of the source.
    """

    def __init__(self, renderer: CoordinateRenderer, layout: Layout) -> None:
        self._renderer, self._layout, self._rate = renderer, layout, layout.rate

    def span(self, view: View) -> Range:
        """The output samples first .. last of a view, counted at its rate from the start of the waveform: those inside the part asked for.

        Raises:
            UsageError: a time at which there is no sample.
        """
        first, last = (self._output(edge, view) for edge in source_span(self._layout, view))
        # The shortest sound has one sample at the lowest rate.
        return (0, max(1, last)) if view.time is None else output_span(first, last, view)

    def blocks(self, view: View) -> Iterator[Float32Array]:
        """The samples of a view, not clipped, `[n, C]`, in memory that does not grow with its length. Raises UsageError as `span`."""
        outputs = self.span(view)
        return self._reduced(view, outputs) if (view.rate or self._rate) < self._rate else self._evaluated(view, outputs)

    def _output(self, edge: int, view: View) -> int:
        """The first output sample that lies at or after the start of source sample `edge`: ceil(edge f' / f - 1/2)."""
        return -((self._rate - 2 * edge * (view.rate or self._rate)) // (2 * self._rate))

    def _evaluated(self, view: View, outputs: Range) -> Iterator[Float32Array]:
        samples = self._layout.samples
        source = self._renderer.coordinates
        if view.rate not in (None, self._rate):
            source = CoordinateSource(self._renderer.spec, source.network, (self._output(samples, view),), (samples * view.rate / self._rate,))
        for band in self._solved(source, outputs):
            yield band[0, 0]

    def _reduced(self, view: View, outputs: Range) -> Iterator[Float32Array]:
        # The span is as many whole periods of the two rates as it takes, and may be longer than the sound: its ratio is theirs exactly.
        wanted = view.rate or self._rate
        divisor = math.gcd(self._rate, wanted)
        periods = -(-outputs[1] * divisor // wanted)
        span = Span(start=0, size=periods * self._rate // divisor, out=periods * wanted // divisor)
        lanczos = Lanczos(span=span, samples=self._layout.samples)
        region = lanczos.first(outputs[0]), lanczos.last(outputs[1] - 1)
        for band in lanczos.stream(self._solved(self._renderer.coordinates, region), _TIME, region[0], outputs):
            yield band[0, 0]

    def _solved(self, source: CoordinateSource, region: Range) -> Iterator[Float32Array]:
        solver = BlockSolver(source, channels=self._layout.channels, threads=self._renderer.threads)
        return solver.bands(((0, 1), (0, 1), region), UNSCALED, _TIME)
