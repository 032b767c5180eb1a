"""A training from its beginning, or from where it was left, to its end."""

from collections.abc import Callable
from pathlib import Path

import torch

from ..errors import OutputExistsError, UsageError
from ..field.priors import read_start, shipped
from ..fit.training_loop import StepInfo
from .batches import BatchSettings, BatchTraining
from .crops import Crops, held_out_crops
from .fits import FitSettings, FitTraining
from .loop import CHECKPOINT, Training

HELD_OUT_CROPS = {BatchSettings: 12, FitSettings: 4}  # those are guessed, these are fitted, which takes much longer


def train(
    paths: tuple[list[Path], list[Path]],
    settings: BatchSettings | FitSettings,
    folder: Path,
    *,
    device: torch.device,
    begin: str | None = None,
    resume: bool = False,
    on_step: Callable[[StepInfo], None] | None = None,
    say: Callable[[dict[str, float]], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Training:
    """Train on the first of `paths` and measure on the second, into `folder`; for the rest see Training.

    Args:
        paths: photographs to train on, and those held out.
        settings: how, and by what.
        folder: of checkpoint, start and curve; made if need be.
        device: to train on.
        begin: the file of a start to begin with, or "shipped"; None for nothing.
        resume: go on from the folder's checkpoint.
        on_step, say, stop: called after every step, with every point of the curve, and asked before every step.

    Raises:
        OutputExistsError: the folder holds a checkpoint, and not `resume`.
        UsageError: `resume` without one; no photographs; a start that is not there.
    """
    checkpoint = folder / CHECKPOINT
    if checkpoint.exists() and not resume:
        raise OutputExistsError(f"{checkpoint} exists; go on from it with --resume, or name another folder")
    if resume and not checkpoint.exists():
        raise UsageError(f"{checkpoint} is not there to go on from; leave --resume out")
    start = None
    if begin is not None:
        start = shipped() if begin == "shipped" else read_start(Path(begin)) if Path(begin).is_file() else None
        if start is None:
            raise UsageError(f"there is no start {begin!r}; expected the file of one, or 'shipped' where one ships")
    chosen, held = paths
    most = HELD_OUT_CROPS[type(settings)]
    training: Training
    if isinstance(settings, BatchSettings):
        crops = Crops(chosen, side=settings.side, batch=settings.batch, seed=settings.seed)
        training = BatchTraining(crops, held_out_crops(held, 2 * settings.side, most), settings, folder, device, start=start)
    else:
        crops = Crops(chosen, side=settings.side, batch=1, seed=settings.seed)
        training = FitTraining(crops, held_out_crops(held, settings.side, most), settings, folder, device, start=start)
    if resume:
        training.resume()
    training.run(on_step, say, stop)
    return training
