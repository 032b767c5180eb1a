"""The loop of every fit: its clock, its end, its reports, and the best state seen, which is what comes out."""

import io
import logging
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch

from ..checkpoints import next_place
from ..metrics import psnr

logger = logging.getLogger(__name__)

KEEP_FROM = 0.6  # the share of a fit after which states are compared
CHECKS = 40  # how often they would be compared in a whole fit

TAIL_STEPS = 20  # that the search for the weights' steps, the coding and the check take, beside one for each window
CODED_STEPS, CODED_SECONDS = 9, 0.6  # those of them that the coding and the check take, and what these take of any signal
LEAST_STEPS = 2  # whatever the time limit
MOST_RESERVED = 0.6  # share of a time limit for what follows the fit
MOST_OPTIONAL = 0.2  # share of a time limit for what is left out where it would take longer
DECIDED_AFTER = 20  # steps, whether it is

State = TypeVar("State")


@dataclass(frozen=True, kw_only=True)
class StepInfo:
    """Where an encode stands.

    Args:
        phase: "compile" (once, before the first fit after an install; of no steps), "motion" (of videos, how parts of
            frames move), "fit", "quantise" or "verify".
        step: steps done, of `steps`.
        steps: steps in all; an estimate under a time limit.
        loss: D + lambda R of the last step.
        psnr: dB, of the last step; nan where something else than the squared error is made small.
        bpp: bits a sample of the latents, of the last step; nan where there are none.
        elapsed: seconds since the fit began.
        eta: seconds to its end, estimated.
        after: seconds of what follows the fit, estimated.
    """

    phase: str
    step: int
    steps: int
    loss: float
    psnr: float
    bpp: float
    elapsed: float
    eta: float
    after: float = 0.0


class TrainingLoop(ABC, Generic[State]):
    """Makes steps until the fit is over, and keeps the best state.

    Args:
        total: steps in all.
        time_limit: seconds after which the fit and what follows it are to be done; None for none.
        tail: what follows the fit (weight steps, entropy coding, a decode) costs about so many steps.
        optional: what follows where there is time for it costs about so many more.
        on_step: called after every step.
        stop: asked before every step; True ends the fit.
    """

    def __init__(
        self,
        total: int,
        *,
        time_limit: float | None,
        tail: int = 0,
        optional: int = 0,
        on_step: Callable[[StepInfo], None] | None,
        stop: Callable[[], bool] | None,
    ) -> None:
        self.total, self.time_limit, self.tail, self.optional = total, time_limit, tail, optional
        self.on_step, self.stop = on_step, stop
        self.best: State | None = None
        self.best_loss = math.inf
        self.keep_from = KEEP_FROM
        self.began = time.monotonic()
        self.done = 0
        self._place, self._begun, self._first = next_place(), False, 0.0
        self._has_time: bool | None = True if time_limit is None else None
        self.counts_first = True  # whether the first step, which loads what is compiled, is in the time limit

    @abstractmethod
    def step(self, share: float) -> None:
        """One step, `share` of the fit being done."""

    @abstractmethod
    def measure(self) -> tuple[float, Callable[[], State]]:
        """The loss of the state as it would be written, and how to copy it."""

    def progress(self) -> float:
        """Share of the fit that is done, by steps or by time, whichever is further."""
        return max(self.done / self.total, self._elapsed_share())

    def _elapsed_share(self) -> float:
        """Share of the time limit that is gone, the time for the tail left out; 0 without a limit."""
        if self.time_limit is None or self.done < LEAST_STEPS:
            return 0.0
        elapsed = time.monotonic() - self.began - (0.0 if self.counts_first else self._first)
        step = elapsed / self.done if self.done >= 5 else 0.0  # the first ones are not typical
        reserve = min(self.tail * step + CODED_SECONDS, MOST_RESERVED * self.time_limit) if self.tail else 0.0
        if self.has_time():
            reserve += self.optional * step
        return elapsed / (self.time_limit - reserve)

    @property
    def until(self) -> float:
        """The time.monotonic() at which the search for the weights' steps is to end, so that the coding and the check are done in time."""
        if self.time_limit is None:
            return math.inf
        step = (time.monotonic() - self.began) / max(self.done, 1)
        return self.began + self.time_limit - min(CODED_STEPS * step + CODED_SECONDS, MOST_RESERVED * self.time_limit)

    def has_time(self) -> bool:
        """Whether what is optional takes a small part of the time limit; decided once, by the speed of the first steps."""
        if self._has_time is None and self.done >= DECIDED_AFTER:
            assert self.time_limit is not None
            step = (time.monotonic() - self.began) / self.done
            self._has_time = self.optional * step <= MOST_OPTIONAL * self.time_limit
        return bool(self._has_time)

    def advance(self, until: float) -> None:
        """Steps until that share of the fit is done."""
        check = max(5, self.total // CHECKS)
        self._resume()
        while (share := self.progress()) < until and not (self.stop is not None and self.stop()):
            self.step(share)
            self.done += 1
            if self.done == 1:
                self._first = time.monotonic() - self.began
            if share >= self.keep_from and self.done % check == 0:
                self.keep()
            if self._place is not None and self._place.due:
                self._place.write(self._packed())
        if self._place is not None and self._place.long:  # what follows need not come here again
            self._place.write(self._packed())

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the fit depends on, of tensors and plain values; nothing of it is copied."""
        raise NotImplementedError

    def restore(self, state: dict[str, Any]) -> None:
        """Undoes `state`."""
        raise NotImplementedError

    def _packed(self) -> bytes:
        file = io.BytesIO()
        own = {"done": self.done, "total": self.total, "best_loss": self.best_loss, "elapsed": time.monotonic() - self.began, "time": self._has_time}
        torch.save({"loop": own, "fit": self.state()}, file)
        return file.getvalue()

    def _resume(self) -> None:
        """Goes on from the state that an interrupted run has left, once."""
        data = None if self._begun or self._place is None else self._place.read()
        self._begun = True
        if data is None:
            return
        try:
            found = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
        except Exception:  # damaged, or of another version of torch: the fit begins anew
            logger.info("a state that cannot be read is left alone")
            return
        own = found["loop"]
        self.restore(found["fit"])
        self.done, self.best_loss, self._has_time = own["done"], own["best_loss"], own["time"]
        self.began = time.monotonic() - own["elapsed"]
        logger.info("goes on from step %d of %d", self.done, self.total)

    def begins_again(self) -> None:
        """What is made from here on has states of its own: the first run, when it is gone on with, ends as it did."""
        self._place, self._begun = next_place(), False

    def keep(self) -> None:
        """Compare the state with the best one; the first one is kept whatever its loss."""
        loss, copy = self.measure()
        logger.debug("step %d: loss %.4g", self.done, loss)
        if self.best is None or loss < self.best_loss:
            self.best, self.best_loss = copy(), loss

    def report(self, share: float, *, loss: float, error: float, rate: float) -> None:
        """Tell `on_step` of the step that is being made: its loss, mean squared error (nan where it is not known) and bits a sample."""
        if self.on_step is None:
            return
        elapsed = time.monotonic() - self.began
        share, made = max(share, (self.done + 1) / self.total), self.done + 1
        step = (elapsed - self._first) / (made - 1) if made > 1 else elapsed  # the first one compiles or loads loops, and is not typical
        self.on_step(
            StepInfo(
                phase="fit",
                step=made,
                steps=max(made, round(made / share)),
                loss=loss,
                psnr=psnr(error) if math.isfinite(error) else math.nan,
                bpp=rate,
                elapsed=elapsed,
                eta=made * (1 / share - 1) * step if self.time_limit is None else elapsed * (1 / share - 1),
                after=(self.tail + (self.optional if self.has_time() else 0)) * step,
            )
        )
