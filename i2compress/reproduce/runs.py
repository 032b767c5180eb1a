"""An experiment: its signals, and every network on each of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ..errors import UsageError
from ..fit.training_loop import StepInfo
from . import shapes, signals
from .presets import KINDS, PRESETS, Experiment
from .signals import Task
from .train import Row, run, specs

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What was asked for.

    Args:
        preset: a key of PRESETS.
        inputs: media files of any kind; each experiment takes its own.
        kinds: of networks.
        steps, rate, contract: instead of the preset's.
        device: of the fits.
        seed: of everything random.
        say: told what is being done.
        on_step: called after every step.
    """

    preset: str
    inputs: tuple[Path, ...]
    device: torch.device
    kinds: tuple[str, ...] = KINDS
    steps: int | None = None
    rate: float | None = None
    contract: bool | None = None
    seed: int = 0
    say: Say = print
    on_step: Callable[[StepInfo], None] = lambda info: None


def settings(experiment: str, wish: Wish) -> Experiment:
    """The preset, with what was asked for instead."""
    chosen = PRESETS[wish.preset][experiment]
    contract = chosen.contract if wish.contract is None else wish.contract
    return replace(chosen, steps=wish.steps or chosen.steps, rate=wish.rate or chosen.rate, contract=contract)


def tasks(experiment: str, wish: Wish) -> Iterator[Task]:
    """The signals of an experiment, one after the other. Raises UsageError and SignalError."""
    size, inputs = settings(experiment, wish).size, signals.chosen(experiment, list(wish.inputs))
    if experiment in ("image", "generalisation"):
        yield from _pictures(experiment, size[0], inputs, wish)
    elif experiment == "occupancy":
        for path in inputs:
            yield shapes.occupancy(path, size[0], seed=wish.seed)
    else:
        for path in inputs:
            values, note = signals.clip(path, size[0]) if experiment == "audio" else signals.video(path, size)
            yield signals.whole(path.stem, values, unit=1.0 if experiment == "audio" else 0.25, note=note)


def _pictures(experiment: str, side: int, inputs: list[Path], wish: Wish) -> Iterator[Task]:
    camera = signals.camera(side)
    if camera is None:
        advice = 'pip install "i2compress[reproduce]"'
        if experiment == "image" and not inputs:
            raise UsageError(f"image has no picture: give some, or install scikit-image for its camera with {advice}")
        wish.say(f"camera: left out, scikit-image is not installed ({advice})")
    found = [(path.stem, signals.picture(path, side)) for path in inputs]
    if experiment == "generalisation":
        found += [("camera", camera)] if camera is not None and not found else []
        yield from (signals.halves(name, values) for name, values in [*found, ("text", signals.text(side))])
        return
    found = found if camera is None else [("camera", camera), *found]
    for name, values in found:
        yield signals.whole(name, values, unit=0.25, note=f"{values.shape[1]}x{values.shape[0]}")


@dataclass(frozen=True, kw_only=True)
class Done:
    """An experiment's rows, and a note on each signal by its name."""

    rows: list[Row]
    notes: dict[str, str]


def experiment(name: str, wish: Wish) -> Done:
    """Every kind and size of network, implicit and explicit, on every signal."""
    preset = settings(name, wish)
    rows: list[Row] = []
    notes: dict[str, str] = {}
    for task in tasks(name, wish):
        notes[task.name] = task.note
        for kind in wish.kinds:
            for network in preset.networks:
                for way, spec in specs(kind, network, task, preset).items():
                    row = run(way, spec, network, task, preset, device=wish.device, seed=wish.seed, on_step=wish.on_step)
                    rows.append(row)
                    wish.say(f"{name} {task.name}: {row.name}, {row.parameters} parameters, {row.quality:.2f}, {row.seconds:.1f} s")
    return Done(rows=rows, notes=notes)
