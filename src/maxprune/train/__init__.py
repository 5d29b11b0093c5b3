"""Training: the loop, the schedules, checkpoints."""

from maxprune.data.order import derive
from maxprune.train.checkpoint import Progress
from maxprune.train.config import PAPER, Training
from maxprune.train.fitting import Fitting
from maxprune.train.job import Watch
from maxprune.train.loop import Checkpoints, train
from maxprune.train.margin import MarginAdam, MarginFitting
from maxprune.train.teaching import Teacher

__all__ = [
    "PAPER",
    "Checkpoints",
    "Fitting",
    "MarginAdam",
    "MarginFitting",
    "Progress",
    "Teacher",
    "Training",
    "Watch",
    "derive",
    "train",
]
