"""A fit whose last part is made once more under another lambda, or only coded once more: what the first leaves for that in a folder.

The latents stay as they are. To scale them with the square root of lambda, as steering does earlier, costs more than it gains here: they are nearly
rounded, and what lies between two integers then has to be found anew.
"""

import json
import math
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import torch

from ..config import Search
from ..field.sparse_spec import SparseSpec
from ..field.spec import PyramidSpec
from .problem import FittedPyramid, Problem
from .quantise import Quantised
from .silent import silent_grids

if TYPE_CHECKING:
    from .pyramid import PyramidFit

STATE, COURSE = "state.pt", "course.json"  # the second is there once both are


class End(NamedTuple):
    """What a fit has found, the exponents of its weights' steps, and the bits in which its weights are to be coded now."""

    fitted: FittedPyramid
    exponents: dict[str, int]
    budget: float


Spec = TypeVar("Spec", PyramidSpec, SparseSpec)


def leave(run: "PyramidFit", search: Search) -> None:
    """Write the state after the step that is being made; one that an interrupted run of the same fit has left is the same."""
    folder = Path(search.folder)
    if (folder / COURSE).exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({**run.state(), "best": None}, folder / STATE)
    course = {
        "done": run.done + 1,
        "steps": run.schedule.steps,
        "elapsed": time.monotonic() - run.began,
        "time_limit": run.time_limit,
        "step_code": run.problem.spec.step_code,
    }
    (folder / "course.part").write_text(json.dumps(course))
    os.replace(folder / "course.part", folder / COURSE)


def is_last_part(search: Search | None) -> bool:
    """Whether a fit is to begin at a state that is there. A whole fit that its user or the time has ended soon has left none."""
    return search is not None and search.last_part and (Path(search.folder) / COURSE).exists()


def spec_left(spec: Spec, search: Search | None) -> Spec:
    """The sizes of the field of a fit: where it is a last part, a latent of 1 is worth what it was in the whole fit, whose lambda said it."""
    return replace(spec, step_code=_course(search)["step_code"]) if search is not None and is_last_part(search) else spec


def take_schedule(problem: Problem, search: Search) -> None:
    """Give a problem the schedule of the whole fit, as that was once its part on the halved signal had been made."""
    schedules, course = problem.schedule.with_coarse(problem.spec), _course(search)
    schedule = problem.schedule if schedules is None or problem.start.latents else schedules[1]
    problem.schedule = replace(schedule, steps=course["steps"], time_limit=course["time_limit"], coarse=None, candidates=1)


def begin(run: "PyramidFit", search: Search) -> None:
    """Have a fit begin at the state; the steps before it are none of its own."""
    course = _course(search)
    run.restore(torch.load(Path(search.folder) / STATE, weights_only=True, map_location="cpu"))
    run.done, run.began, run.beside = course["done"], time.monotonic() - course["elapsed"], -course["done"]


def leave_end(problem: Problem, fitted: FittedPyramid, quantised: Quantised) -> None:
    """Write what a whole fit or a last part has found, where it is one of a search: latents, weights that can be rounded anew, and their steps."""
    search = problem.search
    if search is None or search.share < 1:
        return
    weights = fitted.weights
    if quantised.moved:
        weights = {name: problem.prior[name] + group.symbols * 2.0**-group.exponent for name, group in quantised.groups.items()}
    end = {
        "weights": {name: torch.from_numpy(values) for name, values in weights.items()},
        "exponents": {name: group.exponent for name, group in quantised.groups.items()},
        "bits": quantised.bits,
        "latents": [torch.from_numpy(grid) for grid in fitted.latents],
    }
    place = _end(problem, search)
    place.parent.mkdir(parents=True, exist_ok=True)
    torch.save(end, place.with_suffix(".part"))
    os.replace(place.with_suffix(".part"), place)


def end_left(problem: Problem) -> End | None:
    """What the fit found that is only to be coded once more; None where a fit is to be made, or none has come to its end."""
    search = problem.search
    if search is None or not search.recoded or not (place := _end(problem, search)).exists():
        return None
    end = torch.load(place, weights_only=True, map_location="cpu")
    problem.silent = silent_grids(end["latents"])
    weights, latents = {name: tensor.numpy() for name, tensor in end["weights"].items()}, [grid.numpy() for grid in end["latents"]]
    fitted = FittedPyramid(weights=weights, latents=latents, loss=math.nan, steps=0)
    return End(fitted, end["exponents"], search.weights * end["bits"])


def _end(problem: Problem, search: Search) -> Path:
    """Where it is: last parts of one whole fit differ in lambda, and from it."""
    return Path(search.folder) / f"end-{problem.lam:.9g}.pt"


def _course(search: Search) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(search.folder) / COURSE).read_text())
    return found
