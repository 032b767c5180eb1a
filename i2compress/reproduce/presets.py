"""Every number of every experiment, in one place. `full` has the sizes of the authors' configurations, for a GPU; `quick` runs
the same code in minutes on two CPU cores, with pictures, clips and networks that are smaller in proportion."""

from dataclasses import dataclass
from typing import NamedTuple


class Network(NamedTuple):
    """Layers inside the implicit layer, and its channels."""

    layers: int
    width: int

    @property
    def name(self) -> str:
        """As the paper writes it: 1L256D."""
        return f"{self.layers}L{self.width}D"


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One experiment's settings.

    Args:
        networks: sizes of the implicit networks; explicit ones have the same layers and the nearest number of parameters.
        size: what of the signal is taken: side of a square picture; samples of a clip; frames, height and width of a video;
            points that a shape is sampled at, for training and for each test. A zero means all.
        steps: Adam steps.
        rate: learning rate.
        input_scale: of the first layer; half of it for siren on pictures.
        contract: spectral normalisation of the implicit networks.
        batch: points of a step; None for all.
        reuse: whether z* is kept from step to step.
        checkpoints: how often the test points are evaluated.
    """

    networks: tuple[Network, ...]
    size: tuple[int, ...]
    steps: int
    input_scale: float
    contract: bool
    rate: float = 1e-3
    batch: int | None = None
    reuse: bool = True
    checkpoints: int = 0


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What memory and speed are measured on.

    Args:
        points: of a step.
        width: channels.
        iterations: solver iterations and unrolled applications.
        depths: layers of explicit stacks.
        repeats: steps that are timed.
    """

    points: int
    width: int
    iterations: tuple[int, ...] = (1, 3, 10, 30, 100)
    depths: tuple[int, ...] = (1, 4, 8, 16)
    repeats: int = 15


KINDS = ("siren", "fourier", "gabor")
_SMALL = (Network(1, 32), Network(1, 64), Network(4, 32))  # an eighth of the paper's, as are the signals
_LARGE = (Network(1, 256), Network(1, 512), Network(4, 256))
_HUGE = (Network(1, 1024), Network(1, 2048), Network(4, 1024))

PRESETS: dict[str, dict[str, Experiment]] = {
    "quick": {
        "image": Experiment(networks=_SMALL, size=(64,), steps=1000, input_scale=32, contract=True),
        "generalisation": Experiment(networks=_SMALL[1:2], size=(128,), steps=400, input_scale=64, contract=True, checkpoints=8),
        "audio": Experiment(networks=_SMALL, size=(6000,), steps=400, input_scale=500, contract=False),
        "video": Experiment(networks=_SMALL[1:2], size=(8, 34, 80), steps=300, input_scale=16, contract=False, batch=8192),
        "occupancy": Experiment(
            networks=_SMALL[1:2], size=(2**16,), steps=200, input_scale=16, contract=True, rate=2e-3, batch=4096, reuse=False, checkpoints=5
        ),
    },
    "full": {
        "image": Experiment(networks=_LARGE, size=(512,), steps=5000, input_scale=256, contract=True),
        "generalisation": Experiment(networks=_LARGE, size=(512,), steps=2000, input_scale=256, contract=True, checkpoints=40),
        "audio": Experiment(networks=_LARGE, size=(0,), steps=3000, input_scale=25000, contract=False),
        "video": Experiment(networks=_HUGE, size=(0, 0, 0), steps=10000, input_scale=128, contract=False, batch=2**16),
        # The authors' shapes lie in [0, 1]^3, ours in [-1, 1]^3: 128 here is their 256.
        "occupancy": Experiment(
            networks=_LARGE, size=(2**22,), steps=10000, input_scale=128, contract=True, rate=5e-4, batch=50000, reuse=False, checkpoints=20
        ),
    },
}
COSTS = {"quick": Cost(points=4096, width=256), "full": Cost(points=2**18, width=256)}
EXPERIMENTS = ("image", "generalisation", "audio", "video", "occupancy", "memory", "speed")
