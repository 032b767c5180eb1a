"""Training of what a fit starts from (docs/training.md): weights of field and context model for every rate, and an analysis network.

crops: pictures to train on. loop: what all trainings share. fits: by whole fits, the weights alone. batches: by batches, network and weights;
model: what that trains, and its loss. run: a training from beginning to end.
"""

from .batches import BatchSettings, BatchTraining
from .crops import split
from .fits import FitSettings, FitTraining
from .loop import CURVE, START, Training, TrainSettings
from .run import train

__all__ = ["CURVE", "START", "BatchSettings", "BatchTraining", "FitSettings", "FitTraining", "TrainSettings", "Training", "split", "train"]
