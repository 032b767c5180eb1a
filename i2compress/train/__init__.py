"""Training of what a fit starts from: weights of field and context model for every rate, and the analysis network (docs/training.md).

crops: pictures of a batch. model: what is trained, and its loss. run: the loop, its checkpoints and its held-out curve.
"""

from .crops import split
from .run import CURVE, START, Training, TrainSettings, train

__all__ = ["CURVE", "START", "TrainSettings", "Training", "split", "train"]
