"""The rate model in floats, for training: the same network as coding.context_model, in torch, and the relaxed quantiser."""

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..arrays import FloatingArray, Shape
from ..coding.context_model import ACTIVATION_BITS, FEATURES, INPUT_LIMIT, NETWORK, middles
from ..coding.wavefront import causal_offsets
from ..field.layer_kernel import compiles, suits
from ..field.spec import PyramidSpec
from .batched import apart, together
from .network_bits import GridInputs, Neighbours, network_bits
from .numbers import Number
from .pairs import doubled
from .windows import Part, Window, cut


class ContextModel(nn.Module):
    """Mean and log2 scale of every latent from its causal neighbours and the coarser grids; see coding.context_model."""

    def __init__(self, spec: PyramidSpec, values: Mapping[str, FloatingArray]) -> None:
        super().__init__()
        self.spec = spec
        self.offsets = causal_offsets(spec.axes, spec.neighbours)
        self._neighbours = Neighbours(self.offsets)
        self._frames: dict[tuple[int, ...], Tensor] = {}  # of grids that are seen by still ones, by where they are
        self._columns: dict[tuple[int, ...], Tensor] = {}  # by the grids that are wanted: where the elements of their maps are, see _matrices
        self._known_places: dict[tuple[int, Shape], Tensor] = {}
        self.tensors = nn.ParameterDict({name: nn.Parameter(torch.tensor(values[name], dtype=torch.float32)) for name in spec.context.tensors})

    def forward(self, latents: Sequence[Tensor], window: Window | None = None, silent: Collection[int] = ()) -> Tensor:
        """Bits of all latents, a scalar; of those in the window's core only, where given.

        Args:
            latents: `[1, 1, *grid_l]`, finest first; those of the window.
            window: None for the whole signal.
            silent: grids that are left out, fewer than there are.
        """
        return network_bits(self._neighbours, [self.tensors[name] for name in NETWORK], self.grids(latents, window, silent))

    def grids(self, latents: Sequence[Tensor], window: Window | None = None, silent: Collection[int] = ()) -> list[GridInputs]:
        """What the network reads of each grid of the latents that is not left out; arguments as in `forward`."""
        numbers = [number for number in range(len(latents)) if number not in silent]
        features = self._features([number for number in numbers if number < self.spec.context.maps], latents, window)
        coded = [latents[number] for number in numbers]
        seen = apart([self.spec.context.reads.relaxed(values) for values in together(coded)], coded)
        triples = zip(numbers, coded, seen, strict=True)
        return [self._grid(values, near, number, features.get(number), window) for number, values, near in triples]

    def grid(self, latents: Sequence[Tensor], number: int, window: Window | None = None) -> GridInputs:
        """What the network reads of one of them."""
        wanted = [number] if number < self.spec.context.maps else []
        seen = self.spec.context.reads.relaxed(latents[number])
        return self._grid(latents[number], seen, number, self._features(wanted, latents, window).get(number), window)

    def _grid(self, values: Tensor, seen: Tensor, number: int, features: Tensor | None, window: Window | None) -> GridInputs:
        core = (slice(None),) * self.spec.axes if window is None else window.inner[number]
        target = _plane(cut(values, core))
        reach = [max(abs(o[axis]) for o in self.offsets) for axis in range(self.spec.axes)]
        return GridInputs(
            seen=_plane(F.pad(seen, [side for r in reversed(reach) for side in (r, r)])),
            features=target.new_zeros(FEATURES, *target.shape) if features is None else features,
            places=self._places(values, number, core),
            target=target,
            begin=[part.start or 0 for part in core],
        )

    def _places(self, latents: Tensor, level: int, core: tuple[slice, ...]) -> Tensor | None:
        """`[P, *core]` where the context model reads places."""
        places = self.spec.context.reads.places
        if places is None:
            return None
        shape = tuple(latents.shape[2:])
        if (level, shape) not in self._known_places:
            found = torch.from_numpy(places(np.arange(latents.numel()), shape, level) / (1 << ACTIVATION_BITS))
            self._known_places[level, shape] = found.to(latents).reshape(-1, *shape)
        return cut(self._known_places[level, shape], core)

    def _features(self, wanted: Sequence[int], latents: Sequence[Tensor], window: Window | None) -> dict[int, Tensor]:
        """`[F, *core]` by grid, of those `wanted`, ascending, which have maps: M_g times the grids after it at the same place."""
        still, clamped = self.spec.context.still, self._clamped(latents) if wanted else []
        moving, lasting = ([number for number in wanted if (number in still) == lasts] for lasts in (False, True))
        return self._chain(moving, clamped, window, lasting=False) | self._chain(lasting, clamped, window, lasting=True)

    def _chain(self, wanted: Sequence[int], clamped: Sequence[Tensor], window: Window | None, *, lasting: bool) -> dict[int, Tensor]:
        """Those of still grids, at whose few frames all others are seen too, or of grids none of which is still.

        All maps at once, level after level from the coarsest: what they make of a level is one product, and goes on upsampled.
        """
        found: dict[int, Tensor] = {}
        if not wanted:
            return found
        matrices = self._matrices(tuple(wanted))
        levels, first = self.spec.grid_levels, wanted[0]
        total: Tensor | None = None
        place: Part = ()
        for level in reversed(range(levels[first], self.spec.levels)):
            here = [number for number, other in enumerate(levels) if other == level]
            rows = sum(levels[number] <= level for number in wanted)  # maps of this level's grids and of finer ones
            parts = [_whole(clamped, window, number) for number in here]
            above, place = place, parts[0] if not lasting else (_whole(clamped, window, first)[0], *parts[0][1:])
            if total is not None:
                doublings = self._doublings(here)
                total = _nearest(total[: rows * FEATURES], above, place, doublings if not lasting else (0, *doublings[1:]))
            if here[-1] > first:
                seen = [self._timed(clamped[number].squeeze(0), number, part, place, lasting) for number, part in zip(here, parts, strict=True)]
                values = torch.cat(seen)
                columns = matrices[:rows, :, here[0] : here[-1] + 1].reshape(-1, len(here))
                own = (columns @ values.flatten(1)).view(-1, *values.shape[1:])
                total = own if total is None else total + own
            assert total is not None
            for number in here:
                if number in wanted:
                    core = (slice(None),) * self.spec.axes if window is None else window.inner[number]
                    found[number] = cut(total[wanted.index(number) * FEATURES :][:FEATURES], core)
        return found

    def _timed(self, values: Tensor, number: int, part: Part, place: Part, lasting: bool) -> Tensor:
        """A grid's values `[1, *grid]` at the frames of `place`: those of its level, or of still grids, whose middle frames are seen there."""
        spec = self.spec.context
        if (number in spec.still) == lasting:
            return values
        span, begin = spec.lasting[number], part[0].start
        if not lasting:  # not by indices: their gradients would be summed in no certain order on a GPU
            return values.repeat_interleave(1 << span, 1).narrow(1, place[0].start - (begin << span), place[0].stop - place[0].start)
        key = (number, begin, values.shape[1], place[0].start, place[0].stop)
        if key not in self._frames:
            at = middles(np.arange(place[0].start, place[0].stop), span) - begin
            self._frames[key] = torch.from_numpy(at.clip(0, values.shape[1] - 1)).to(values.device)
        return values.index_select(1, self._frames[key])

    def _matrices(self, wanted: tuple[int, ...]) -> Tensor:
        """`[wanted, F, G]`: the maps, columns for all grids, zeros for those that are not after the map's own."""
        grids = self.spec.context.grids
        own = [self.tensors[f"m{number}"] for number in wanted]
        if compiles(own[0].device):
            return torch.stack([F.pad(matrix, (number + 1, 0)) for number, matrix in zip(wanted, own, strict=True)])
        if wanted not in self._columns:
            numbers, first = np.full((len(wanted), FEATURES, grids), sum(matrix.numel() for matrix in own)), 0
            for row, number in enumerate(wanted):
                numbers[row, :, number + 1 :] = np.arange(first, first + own[row].numel()).reshape(FEATURES, -1)
                first += own[row].numel()
            self._columns[wanted] = torch.from_numpy(numbers.ravel()).to(own[0].device)
        values = torch.cat([*(matrix.reshape(-1) for matrix in own), own[0].new_zeros(1)])
        return values.index_select(0, self._columns[wanted]).view(len(wanted), FEATURES, grids)

    def _clamped(self, latents: Sequence[Tensor]) -> list[Tensor]:
        return apart([values.clamp(-INPUT_LIMIT, INPUT_LIMIT) for values in together(latents)], latents)

    def _doublings(self, grids: Sequence[int]) -> Shape:
        """How often each axis halves from the level of those grids to the next coarser one: once or not at all."""
        shifts = self.spec.shifts
        return tuple(after - before for before, after in zip(shifts[grids[0]], shifts[grids[-1] + 1], strict=True))


def _whole(latents: Sequence[Tensor], window: Window | None, number: int) -> Part:
    """What is seen of a grid."""
    return tuple(slice(0, size) for size in latents[number].shape[2:]) if window is None else window.whole[number]


def _plane(values: Tensor) -> Tensor:
    """`[*grid]` of latents `[1, 1, *grid]`."""
    return values.squeeze(0).squeeze(0)


def _nearest(values: Tensor, coarse: Part, fine: Part, doublings: Shape) -> Tensor:
    """The part `fine` of a grid, from the part `coarse` of the next coarser one: nearest upsampling by two (or none) of each axis after the first."""
    if doublings == (1, 1) and suits((values,)):
        top, left = (here.start - 2 * above.start for above, here in zip(coarse, fine, strict=True))
        return doubled(values, (top, left), (fine[0].stop - fine[0].start, fine[1].stop - fine[1].start))
    for axis, (above, here, doubling) in enumerate(zip(coarse, fine, doublings, strict=True), 1):
        if doubling:
            values = values.repeat_interleave(2, axis)
        values = values.narrow(axis, here.start - (above.start << doubling), here.stop - here.start)
    return values


def soft_round(x: Tensor, temperature: Number, stretch: Number | None = None) -> Tensor:
    """Differentiable rounding: the identity for large temperatures, rounding for small (Agustsson and Theis 2020, eq. 14); see stretch_of."""
    low = torch.floor(x)
    return low + 0.5 + torch.tanh((x - low - 0.5) / temperature) * (stretch_of(float(temperature)) if stretch is None else stretch)


def stretch_of(temperature: float) -> float:
    """What a soft rounding of that temperature multiplies with so that integers stay where they are."""
    return 0.5 / math.tanh(0.5 / temperature)


def relaxed(y: Tensor, temperature: Number, noise: Number, generator: torch.Generator, stretch: Number | None = None) -> Tensor:
    """A latent as the fit sees it: soft rounding, Gaussian noise of standard deviation `noise`, soft rounding."""
    eps = torch.randn(y.shape, generator=generator, device=y.device) * noise
    return soft_round(soft_round(y, temperature, stretch) + eps, temperature, stretch)
