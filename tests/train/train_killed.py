"""Trains until it kills itself; the test starts it again in its own process."""

import os
import signal
import sys
from pathlib import Path

from train_helpers import LONG, network, pictures

from maxprune.train import Checkpoints, Watch, train


def tick(done: int) -> None:
    """Die without any chance to clean up."""
    if done == 200:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    place = Checkpoints(Path(sys.argv[1]), every=100, key="killed")
    train(network(sparse=True), pictures(), LONG, 0, place, Watch(tick=tick))
