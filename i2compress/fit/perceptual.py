"""Distortions that are made of what people see, and the table of all distortions of fields on grids.

A measure that is minimised is exploited where it is blind: SSIMULACRA 2 hardly sees fine colour, or faint bands across flat areas. So each
of these is a sum: of the squared error, which is blind to nothing, and of a structural measure or two, which are blind to different things.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ..arrays import Float32Array
from ..config import SQUARES
from ..field.layer_kernel import compiles
from .distortion import Distortion, SquaredError
from .ms_ssim import MsSsim
from .ssimulacra2 import Ssimulacra2
from .windows import Part, Window, cut

BACKDROPS = (0.1, 0.9)  # grays behind what is transparent, those of SSIMULACRA 2
SMALLEST = 16  # samples a side of a picture that has structure to speak of; smaller ones have their squared error alone
KEPT_SAMPLES = 1 << 22  # of sources whose maps are kept on a CPU, in all: beyond, they are computed again. Recorded steps read them (fit.graphs)

PROBES, PROBE = 4, 0.02  # random errors of that size, from which the curvature is taken
SMOOTH = 9  # samples a side of the square that it is a mean over
LEAST_CURVATURE = 0.05


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a distortion is the sum of, each times its weight. The scale is such that the sum is about as large as the mean squared error.

    Args:
        squares: the mean squared error.
        ssimulacra2: 100 less SSIMULACRA 2.
        ms_ssim: 1 less MS-SSIM, the mean over red, green and blue.
        finest: the finest scale of MS-SSIM that counts. Without the first, which matters least, it takes a fifth of the time.
    """

    squares: float
    ssimulacra2: float = 0.0
    ms_ssim: float = 0.0
    finest: int = 0


SSIM = Recipe(squares=0.3, ms_ssim=7e-3)
VISUAL = Recipe(squares=0.5, ssimulacra2=2.8e-6, ms_ssim=7e-3, finest=1)


class Perceptual:
    """A recipe's distortion of a picture: gray, RGB, and each with opacity, as sRGB whatever its profile says.

    Args:
        values: `[H, W, 1..4]` float32 in [0, 1], of the whole picture.
        importance: weights of the squared errors, of the shape of `values`; None for 1.
        device: of all tensors.
        recipe: what it is the sum of.
    """

    is_error = False
    reach = 0

    def __init__(self, values: Float32Array, importance: Float32Array | None = None, *, device: torch.device, recipe: Recipe) -> None:
        self._squares = SquaredError(values, importance, device=device)
        self._recipe = recipe
        self._kept: dict[tuple[tuple[int, int], ...], tuple[bool, list[_Measures]]] = {}

    def __call__(self, output: Tensor, window: Window, held: Sequence[Tensor] | None = None) -> Tensor:
        """See Distortion."""
        opaque, measures = self._measures(window.core[0])
        own = None if held is None else held[: len(self._squares.held(window))]
        total = self._recipe.squares * self._squares(output, window, own)
        if measures:
            pictures = _pictures(cut(output, window.inner[0]).squeeze(0), opaque)
            known = iter(() if own is None or held is None else held[len(own) :])
            parts = [
                measure(picture, None if held is None else list(islice(known, len(measure.held))))
                for measure, picture in zip(measures, pictures, strict=True)
            ]
            total = total + torch.stack(parts).mean()
        return total

    def held(self, window: Window) -> list[Tensor]:
        """See Distortion."""
        return [*self._squares.held(window), *(tensor for measure in self._measures(window.core[0])[1] for tensor in measure.held)]

    def variant(self, window: Window) -> Hashable:
        """See Distortion."""
        opaque, measures = self._measures(window.core[0])
        return opaque, len(measures)

    def share(self, window: Window) -> float:
        """See Distortion."""
        return self._squares.share(window)

    def _measures(self, core: Part) -> "tuple[bool, list[_Measures]]":
        """Whether the core is opaque, and its measures, for each backdrop; none of a core that is too small."""
        key = tuple((part.start, part.stop) for part in core)
        if key not in self._kept:
            source = self._squares.source(core)
            opaque = len(source) in (1, 3) or float(source[-1].min()) >= 1
            found = [_Measures(picture, self._recipe) for picture in _pictures(source, opaque)] if min(source.shape[1:]) >= SMALLEST else []
            kept = sum((bottom - top) * (right - left) for (top, bottom), (left, right) in self._kept)
            if kept + source[0].numel() > KEPT_SAMPLES and compiles(source.device):
                self._kept.clear()
            self._kept[key] = opaque, found
        return self._kept[key]

    def halved(self) -> SquaredError:
        """See Distortion: the squared error alone, as what is seen of details waits for them."""
        return self._squares.halved()

    def residual(self, values: Tensor, part: Part) -> Tensor:
        """See Distortion."""
        return self._squares.residual(values, part)

    def curvature(self, window: Window, part: Part) -> Tensor:
        """See Distortion: what the slope says at random small errors, which is the diagonal of the Gauss-Newton matrix on average."""
        whole = window.whole[0]
        seen = replace(window, core=(whole, *window.core[1:]), inner=(tuple(slice(0, p.stop - p.start) for p in whole), *window.inner[1:]))
        source = self._squares.source(whole)[None]
        generator, total = torch.Generator().manual_seed(0), torch.zeros_like(source)
        for _ in range(PROBES):
            signs = (torch.randint(0, 2, source.shape, generator=generator) * 2 - 1).to(source)
            with torch.enable_grad():
                output = (source + PROBE * signs).requires_grad_()
                (slope,) = torch.autograd.grad(self(output, seen), output)
            total += slope * signs * (source.numel() / (PROBE * PROBES))
        smooth = avg_pool2d(total, SMOOTH, 1, SMOOTH // 2, count_include_pad=False)
        return cut(smooth.clamp(min=LEAST_CURVATURE), part)


class _Measures:
    """The structural measures of a recipe against one source `[3, H, W]`, a weighed sum of them."""

    def __init__(self, source: Tensor, recipe: Recipe) -> None:
        self._recipe = recipe
        self._ssimulacra2 = Ssimulacra2(source) if recipe.ssimulacra2 else None
        self._ms_ssim = MsSsim(source, first=recipe.finest) if recipe.ms_ssim else None

        self._own = [measure for measure in (self._ssimulacra2, self._ms_ssim) if measure is not None]

    @property
    def held(self) -> list[Tensor]:
        """What is read of the source."""
        return [tensor for measure in self._own for reference in measure.reference for tensor in reference[:2]]

    def __call__(self, picture: Tensor, held: Sequence[Tensor] | None = None) -> Tensor:
        """Of a picture; `held` is that of another source of its size."""
        total, known = picture.new_zeros(()), None if held is None else iter(held)
        if self._ssimulacra2 is not None:
            total = total + self._recipe.ssimulacra2 * (100 - self._ssimulacra2(picture, known))
        if self._ms_ssim is not None:
            total = total + self._recipe.ms_ssim * (1 - self._ms_ssim(picture, known))
        return total


def _pictures(values: Tensor, opaque: bool) -> list[Tensor]:
    """What people see of values `[1..4, H, W]`: RGB `[3, H, W]`, in front of each backdrop where the source is not opaque."""
    channels = len(values)
    colour = values[: channels - 1] if channels in (2, 4) else values
    if channels < 3:
        colour = colour.expand(3, -1, -1)
    if opaque:
        return [colour]
    opacity = values[-1:]
    return [colour * opacity + (1 - opacity) * backdrop for backdrop in BACKDROPS]


DISTORTIONS: Mapping[str, Callable[..., Distortion]] = {
    SQUARES: SquaredError,
    "ssim": partial(Perceptual, recipe=SSIM),
    "visual": partial(Perceptual, recipe=VISUAL),
}
"""By tune, but for that of texture, whose fit is that of "visual": made of the values, their importance and a device; see SquaredError."""
