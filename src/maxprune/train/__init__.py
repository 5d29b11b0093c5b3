"""Training: the loop, the schedule, checkpoints."""

from maxprune.train.checkpoint import Progress
from maxprune.train.config import PAPER, Training
from maxprune.train.loop import Checkpoints, Watch, train
from maxprune.train.order import derive

__all__ = ["PAPER", "Checkpoints", "Progress", "Training", "Watch", "derive", "train"]
