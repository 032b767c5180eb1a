"""A second decoder of coordinate fields, written from section 14 of docs/format.md alone: float64, one formula at a time."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from reference_decoder import RangeDecoder, chunks, varint

Array = npt.NDArray[np.float64]


@dataclass
class Network:
    """Header and weights of a file."""

    kind: str
    explicit: bool
    grid: tuple[int, ...]
    bit_depth: int
    layers: int
    iterations: int
    slope: float
    occupancy: bool
    t: dict[str, Array]


def read(data: bytes) -> Network:
    """Sections 3, 4, 6.3 and 14.1 to 14.3."""
    (letter, payload), *rest = [(letter, payload) for letter, payload in chunks(data) if letter != "G"]
    assert letter == "H"
    shape, at, numbers = payload[0], 2, []
    while at < len(payload):
        number, at = varint(payload, at)
        numbers.append(number)
    d, channels = (shape >> 2 & 3) + 1, (shape >> 5) + 1
    field, prior, streams, count, *params = numbers[d:]
    assert 2 <= field <= 7 and prior == streams == 0 and count == len(params)
    width, layers, iterations, flags, scale, _, *slope = params
    assert len(slope) < 2 and (slope or not flags & 4) and (not slope or (payload[0] & 3 == 3 and channels == 1))
    slope_of = 2.0 ** ((slope[0] - 64) / 8) if slope else 0.5  # of a sample of distance, section 16.1
    kind, explicit = ("siren", "fourier", "gabor")[(field - 2) // 2], bool(field % 2)
    table = tensors(kind, explicit, d, channels, width, layers, scale)
    values = weights(dict(rest)["W"], table, kind == "gabor", 3 / (layers + 1))
    if flags & 1:
        assert np.prod([np.linalg.svd(a)[1][0] for a in values["A"]]) <= 0.995
    return Network(kind, explicit, tuple(numbers[:d]), 16 if shape >> 4 & 1 else 8, layers, iterations, slope_of, bool(flags & 4), values)


Table = list[tuple[str, tuple[int, ...], list[float]]]  # name, shape, bound of each row along the first axis


def tensors(kind: str, explicit: bool, d: int, channels: int, width: int, layers: int, scale: int) -> Table:
    """Section 14.1."""
    n, root = layers + 1, 1 / math.sqrt(width)
    if kind == "siren" and explicit:
        table: Table = [("B", (1, width, d), [scale / d]), ("c", (n, width), [scale / math.sqrt(d), *[30 * root] * layers])]
        table += [("A", (layers, width, width), [math.sqrt(6 / width)] * layers)]
        return [*table, ("W", (channels, width), [math.sqrt(6 / width) / 30] * channels), ("b", (channels,), [])]
    matrix = root if explicit else 0.8125 * root
    table = [("B", (n, width, d), [scale / math.sqrt(d * n)] * n), ("c", (n, width), [math.pi] * n), ("A", (layers, width, width), [matrix] * layers)]
    if kind != "siren":
        table += [("a", (layers, width), [root] * layers)]
    if kind == "gabor":
        table += [("mu", (n, width, d), [1.0] * n), ("gamma", (n, width), [3 / n] * n)]
    return [*table, ("W", (channels, width), [root] * channels), ("b", (channels,), [])]


def weights(payload: bytes, table: Table, gabor: bool, gamma: float) -> dict[str, Array]:
    """Sections 14.2 and 6.3."""
    state, priors = 1, {}
    for name, shape, bounds in table:
        value = np.zeros(shape)
        for at in np.ndindex(shape if bounds else ()):
            if bounds:
                state = (1664525 * state + 1013904223) % 2**32
                value[at] = bounds[at[0]] * ((state >> 8) / 2**23 - 1) + (gamma if name == "gamma" else 0.0)
        priors[name] = value
    if gabor:
        priors["B"] = priors["B"] * np.sqrt(priors["gamma"])[:, :, None]
    decoder, exponent, rank, found = RangeDecoder(payload), 8, 20, {}
    for name, shape, _ in table:
        exponent, rank = decoder.read(32 * exponent, 48), decoder.read(32 * rank, 56)
        q = np.array([decoder.read(0, 2 * rank) for _ in range(math.prod(shape))], np.float64).reshape(shape)
        found[name] = np.floor(4096 * priors[name] + 0.5) / 4096 + q * 2.0**-exponent
    return found


def values(network: Network, scale: int = 1) -> Array:
    """Sections 14.4 and 14.5: Phi at an integer scale, `[*grid, D]`."""
    axes = [[(2 * ((j + 0.5) / scale - 0.5) + 1) / m - 1 for j in range(m * scale)] for m in network.grid]
    points = np.stack(np.meshgrid(*map(np.array, axes), indexing="ij"), -1).reshape(-1, len(axes))
    t, layers = network.t, range(1, network.layers + 1)
    siren = network.kind == "siren"

    def p(layer: int) -> Array:
        if layer and siren and network.explicit:
            return np.broadcast_to(t["c"][layer], (len(points), t["c"].shape[1]))
        phase: Array = points @ t["B"][layer].T + t["c"][layer]
        return phase

    def g(layer: int) -> Array:
        filtered: Array = np.sin(p(layer))
        if network.kind == "gabor":
            distance = ((points[:, None] - t["mu"][layer]) ** 2).sum(-1)
            filtered = filtered * np.exp(-np.maximum(t["gamma"][layer], 0) * distance / 2)
        return filtered

    z: Array = np.zeros((len(points), t["c"].shape[1]))
    for _ in range(network.iterations):
        z = z + g(0)
        for layer in layers:
            moved = z @ t["A"][layer - 1].T
            z = np.sin(moved + p(layer)) if siren else (moved + t["a"][layer - 1]) * g(layer)
    phi: Array = z @ t["W"].T + t["b"]
    return phi.reshape(*(m * scale for m in network.grid), -1)


def picture(network: Network, scale: int = 1) -> npt.NDArray[np.int64]:
    """Code values of an image at an integer scale, `[H, W, D]`."""
    top = 2**network.bit_depth - 1
    return np.array(np.floor(np.clip((1 + values(network, scale)) / 2, 0, 1) * top + 0.5), np.int64)
