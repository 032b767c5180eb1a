"""A file of a wanted size or quality: what to ask of a fit, and what of the next one where the first missed.

A size is met within a fit where a kind of media can do that: pictures move lambda while they are fitted (EncodeSettings.aim), sound has a bitrate.
Another fit is made only where one missed. Videos and shapes are fitted shortly first, which says about where lambda is to be, then whole, and then
the last part of that fit is made once more under other lambdas, as often as it takes (EncodeSettings.search). What is a little too large then is only
coded once more, with fewer bits for its weights, which takes no fit. Else a fit is made again. Lambda is where a straight line through what is known
(ln lambda against ln bytes or dB) meets the target, as bench/search.py does for whole qualities.
"""

from collections.abc import Callable
from dataclasses import replace

from ..config import DEFAULT_FIELD, SQUARES, TUNES, EncodeSettings, Target
from ..errors import TargetError
from ..media.protocol import Hooks, Source
from ..media.table import medium_of
from .continued import Continued
from .goal import NEAR, Goal, first_lambda
from .tries import FITS, Attempt
from .whole import whole_fits

__all__ = ["FITS", "NEAR", "Attempt", "meet"]

FULL = "; more bits for its weights would not make it better"


def meet(settings: EncodeSettings, source: Source, attempt: Callable[[EncodeSettings], Attempt], hooks: Hooks, beside: int = 0) -> Attempt:
    """The best file that meets `settings.target`: of sizes the largest, or of least distortion where none is near; of qualities the smallest.

    Args:
        settings: how to encode; quality and lambda are found here.
        source: what is encoded.
        attempt: encodes it once.
        hooks: a fit that was told to stop ends the search.
        beside: bytes of the file that are there whatever the fit makes, such as those of tracks.

    Raises:
        TargetError: none does, and by how much.
        UsageError: a measure that this kind of media does not have.
    """
    goal = Goal(settings.target, source)
    aims = settings.field == DEFAULT_FIELD and medium_of(source.layout.kind).aims
    continues = settings.field == DEFAULT_FIELD and bool(medium_of(source.layout.kind).continues)
    settings = replace(settings, target=Target(), lam=None if aims else first_lambda(goal, source.layout, continues=continues))
    if goal.name == "psnr" and settings.tune is None and SQUARES in TUNES.get(source.layout.kind, ()):
        settings = replace(settings, tune=SQUARES)  # what is measured is what is made small
    if continues:
        tried = Continued(settings, goal, source.layout).run(attempt, hooks)
    else:
        tried = whole_fits(settings, goal, source.layout, attempt, hooks, beside if aims else None)
    meeting = [entry for entry in tried if goal.met(entry.found)]
    if not meeting:
        raise TargetError(goal.miss(min((entry.found for entry in tried), key=lambda found: abs(found - goal.limit))))
    near = any(goal.near(entry.found) for entry in meeting)
    beyond = goal.name == "size" and aims and not near and len(meeting) > 1  # more bytes are of no use to it
    best = min(
        meeting,
        key=lambda entry: (
            entry.short,
            not goal.near(entry.found),
            entry.distortion if beyond else 0.0,
            entry.strayed,
            abs(entry.found - goal.limit),
        ),
    )
    assert best.made is not None  # it was made above
    finer = any(entry.kind == "coded" and entry.share > 1 for entry in tried)
    notes = best.made.coded.notes if goal.near(best.found) else (*best.made.coded.notes, goal.said(best.found) + FULL * finer)
    fits = [entry.made.coded for entry in tried if entry.made is not None]
    steps, passes = sum(fit.steps for fit in fits), sum(fit.passes for fit in fits)
    return replace(best.made, coded=replace(best.made.coded, notes=notes, steps=steps, passes=passes))
