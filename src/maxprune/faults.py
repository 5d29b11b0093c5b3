"""What the machine does to a run, in one line: no memory left, a process that was killed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import active_children
from multiprocessing.connection import wait
from typing import Any

import torch

from maxprune.errors import DataError, MaxpruneError, OutOfMemory, first_line
from maxprune.naming import called

NO_MEMORY = ("DefaultCPUAllocator: ", "out of memory", "not enough memory")
"""Of torch's and ONNX Runtime's plain RuntimeErrors about memory, one is in each."""

WORKER = "DataLoader worker (pid"
DYING = 1.0  # seconds in which a process that let its pipes go is surely dead


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
        _bury()
        return _of_worker(error)
    says = f"{name} failed: {type(error).__name__}: {first_line(error)}"
    return explained(error) or DataError(says)


def end_workers(batches: Iterator[Any]) -> None:
    """Ends the processes of a DataLoader's iterator that nobody wants any more.

    One that dies just then would raise torch's error within `__del__`, where Python can only print
    it; nothing of what it did is wanted. Processes that stay for the next pass do.

    Args:
        batches: the iterator, or any other one.
    """
    end = getattr(batches, "_shutdown_workers", None)
    if end is not None and not getattr(batches, "_persistent_workers", False):
        with suppress(RuntimeError):
            end()


def _bury() -> None:
    """Waits for a process that is dying.

    Torch raises an error wherever the signal of its death comes, which shall be here, and none
    for a process that was waited for.
    """
    with suppress(RuntimeError):
        children = {child.sentinel: child for child in active_children()}
        for pipe in wait(list(children), DYING):
            children[pipe].join(DYING)  # type: ignore[index]


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
