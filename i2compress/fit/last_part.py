"""A fit whose last part is made once more under another lambda, by another fit of the same problem: what the first leaves for that in a folder.

The latents stay as they are. To scale them with the square root of lambda, as steering does earlier, costs more than it gains here: they are nearly
rounded, and what lies between two integers then has to be found anew.
"""

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from ..config import Search
from ..field.sparse_spec import SparseSpec
from ..field.spec import PyramidSpec
from .problem import Problem

if TYPE_CHECKING:
    from .pyramid import PyramidFit

STATE, COURSE = "state.pt", "course.json"  # the second is there once both are

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


def _course(search: Search) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(search.folder) / COURSE).read_text())
    return found
