"""The command line in several processes that torchrun has started: one speaks for all."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence

from maxprune.errors import MaxpruneError, UsageError, first_line

PATIENCE = 5.0  # seconds in which the first process may say what is wrong, for all


@contextlib.contextmanager
def together(asked: Sequence[str], able: set[str]) -> Iterator[None]:
    """Share the work of a command with the other processes, where torchrun has started several.

    Args:
        asked: the arguments of the command line.
        able: the commands that several processes can do together.

    Raises:
        UsageError: this one is for one process.
        MaxpruneError: another process has ended.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        yield
        return
    if not able & {*asked[:1]} or tuple(asked[:2]) == ("reproduce", "runtime"):
        what = " ".join(asked[:2]) or "this"
        raise UsageError(f"{what} is for one process: start it without torchrun")
    from maxprune.distributed import launched

    try:
        with launched():
            yield
    except RuntimeError as error:
        if not _is_lost(error):
            raise
        raise MaxpruneError(f"another process has ended ({first_line(error)})") from error


def _is_lost(error: RuntimeError) -> bool:
    """Whether it is what torch says where another process does not answer."""
    import torch.distributed as dist

    return isinstance(error, dist.DistError) or "gloo" in str(error)


def rank() -> int:
    """The number of this process among those of torchrun; 0 for one alone."""
    text = os.environ.get("RANK", "0")
    return int(text) if os.environ.get("WORLD_SIZE", "1") != "1" and text.isdecimal() else 0


def in_turn(message: str) -> str:
    """A message of this process, which waits where the first one is likely to say the same.

    When the first one has said it torchrun ends the others, which then say nothing.
    """
    if not rank():
        return message
    time.sleep(PATIENCE)
    return f"process {rank()}: {message}"
