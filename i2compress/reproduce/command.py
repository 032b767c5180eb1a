"""What `i2c reproduce` does, without a word about the command line."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from . import cost, report
from .presets import COSTS, EXPERIMENTS
from .report import Cells
from .runs import Wish, experiment, settings

UNITS = {"occupancy": "IoU"}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """An experiment's tables by title, and the files that were written."""

    name: str
    tables: dict[str, Cells]
    files: list[Path]


def reproduce(name: str, wish: Wish, folder: Path) -> Iterator[Outcome]:
    """Run one experiment, or all of them for "all", and write each one's results as it ends."""
    for each in EXPERIMENTS if name == "all" else (name,):
        yield _COSTS[each](wish, folder) if each in _COSTS else _fits(each, wish, folder)


def _fits(name: str, wish: Wish, folder: Path) -> Outcome:
    unit = UNITS.get(name, "dB")
    done = experiment(name, wish)
    notes = "; ".join(f"{signal}: {note}" for signal, note in done.notes.items())
    tables = {f"{name}, {wish.preset} ({notes})": report.rows_table(done, unit=unit), "Implicit beside explicit": report.pairs_table(done, unit=unit)}
    data = {"settings": asdict(settings(name, wish)), **report.data_of(done)}
    return Outcome(name=name, tables=tables, files=report.write(folder, name, wish.preset, tables, data, report.curves(done, unit=unit)))


def _memory(wish: Wish, folder: Path) -> Outcome:
    preset = COSTS[wish.preset]
    found = cost.memory(preset, wish.device, wish.say)
    tables = {f"memory, {wish.preset} ({preset.points} points, {preset.width} channels)": report.memory_table(found)}
    data: dict[str, object] = {"settings": asdict(preset), "memory": [asdict(part) for part in found]}
    return Outcome(name="memory", tables=tables, files=report.write(folder, "memory", wish.preset, tables, data, report.memory_plot(found)))


def _speed(wish: Wish, folder: Path) -> Outcome:
    preset = COSTS[wish.preset]
    found = [part for kind in wish.kinds for part in cost.speed(kind, preset, wish.device)]
    tables = {f"speed, {wish.preset} (one layer, {preset.points} points, {preset.width} channels)": report.speed_table(found)}
    data: dict[str, object] = {"settings": asdict(preset), "speed": [asdict(part) for part in found]}
    return Outcome(name="speed", tables=tables, files=report.write(folder, "speed", wish.preset, tables, data, {}))


_COSTS = {"memory": _memory, "speed": _speed}
