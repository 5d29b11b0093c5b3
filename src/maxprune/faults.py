"""What the machine does to a run, in one line: no memory left, a process that was killed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch

from maxprune.errors import DataError, MaxpruneError, OutOfMemory, first_line
from maxprune.naming import called

NO_MEMORY = ("DefaultCPUAllocator: ", "out of memory", "not enough memory")
"""Of torch's and ONNX Runtime's plain RuntimeErrors about memory, one is in each."""

WORKER = "DataLoader worker (pid"
SIGNAL = 0.5  # seconds until the signal of a process's death has surely come


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is out, on a CPU or an accelerator."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(says in str(error) for says in NO_MEMORY)


def explained(error: BaseException, doing: str = "") -> MaxpruneError | None:
    """One line in the place of an error that is no defect; None for another one.

    Args:
        error: which.
        doing: in which work, to be read behind "out of memory".

    Example:
        >>> print(explained(MemoryError(), "in training"))
        out of memory in training: lower batch, or do less at the same time; ...
    """
    if is_out_of_memory(error):
        where = f" {doing}" if doing else ""
        return OutOfMemory(
            f"out of memory{where}: lower {called('batch')}, or do less at the same time; what is "
            "finished is kept"
        )
    if isinstance(error, RuntimeError) and WORKER in str(error):
        return _of_worker(error)
    return None


def of_loader(error: Exception, name: str) -> MaxpruneError:
    """One line in the place of an error that somebody's loader raised.

    Args:
        error: which.
        name: of the loader.
    """
    if isinstance(error, ConnectionError | EOFError) or WORKER in str(error):
        with suppress(RuntimeError):  # torch raises one wherever the signal comes: here, please
            time.sleep(SIGNAL)
        return _of_worker(error)
    says = f"{name} failed: {type(error).__name__}: {first_line(error)}"
    return explained(error) or DataError(says)


def _of_worker(error: BaseException) -> DataError:
    return DataError(
        f"a process of the data loader died ({first_line(error).strip()}); it may have had too "
        "little memory: take a smaller num_workers or batch; what is finished is kept"
    )


@contextmanager
def in_one_line(doing: str = "") -> Iterator[None]:
    """What goes wrong in here is explained where that can be.

    Raises:
        OutOfMemory: memory is out.
        DataError: a process of a data loader died.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        says = explained(error, doing)
        if says is None:
            raise
        raise says from error
