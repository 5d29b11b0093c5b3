"""Many cells side by side, each in a process of its own with one thread.

Two single-threaded processes do more work than one process with two threads, and one thread a
process makes results independent of how many run side by side.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from maxprune.errors import MaxpruneError
from maxprune.files import write_text
from maxprune.results import Results
from maxprune.runs.measured import step_name
from maxprune.studies.lenet import Cell, run_cell
from maxprune.studies.pipeline import CONTROL

Heard = Callable[[Cell, int], None]
"""Called with a cell and the training iterations it has done so far."""

RESULTS = "results.json"
LOG = ".error.log"


def run_grid(
    cells: Sequence[Cell], folder: Path, root: Path | None, jobs: int, heard: Heard
) -> list[Results]:
    """Fill all cells, `jobs` at a time; those filled before are read.

    Args:
        cells: which, in the order they are begun.
        folder: each cell has its own folder in it.
        root: where the datasets lie.
        jobs: processes side by side.
        heard: told how far each cell is.

    Returns:
        The cells' results, in their order.

    Raises:
        MaxpruneError: a cell failed or its process died; the others are stopped, and every
            finished step and the last checkpoints are kept.
    """
    context = multiprocessing.get_context("spawn")
    messages = context.Queue()
    waiting = []
    for cell in cells:
        if filled(cell, folder / cell.name):
            heard(cell, cell.recipe().trainings() * cell.training.iterations)
        else:
            waiting.append(cell)
    running: dict[str, tuple[Cell, Any]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                cell = waiting.pop(0)
                work = (cell, folder / cell.name, root, messages)
                process = context.Process(target=_process, args=work, name=cell.name)
                process.start()
                running[cell.name] = cell, process
            _listen(messages, running, heard)
    finally:
        for _, process in running.values():
            process.terminate()
            process.join()
    return [Results.read(folder / cell.name / RESULTS) for cell in cells]


def filled(cell: Cell, folder: Path) -> bool:
    """Whether a cell's results file has every step that is asked for."""
    path = folder / RESULTS
    if not path.exists():
        return False
    found = Results.read(path)
    names = {step.name for step in found.steps}
    wanted = {step_name(share) for share in cell.shares}
    return wanted <= names and (found.control is not None or not cell.control)


def _listen(messages: Any, running: dict[str, tuple[Cell, Any]], heard: Heard) -> None:
    """Hear one message, or notice that a process ended."""
    try:
        name, kind, content = messages.get(timeout=0.5)
    except queue.Empty:
        for name, (_, process) in list(running.items()):
            if process.exitcode not in (None, 0):
                raise MaxpruneError(
                    f"the process of {name} died ({_cause(process.exitcode)}); "
                    "go on with --resume, perhaps with fewer --jobs"
                ) from None
        return
    if kind == "iterations":
        heard(running[name][0], content)
    elif kind == "error":
        raise MaxpruneError(f"{name}: {content}")
    else:
        running.pop(name)[1].join()


def _cause(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _process(cell: Cell, folder: Path, root: Path | None, messages: Any) -> None:
    """One cell, in its own process; Ctrl-C is for the process that started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    _work(cell, folder, root, messages)


def _work(cell: Cell, folder: Path, root: Path | None, messages: Any) -> None:
    """Fill a cell, and send how far it is and how it ends."""
    done: dict[str, int] = {}
    parent = multiprocessing.parent_process()

    def report(step: str, iterations: int, _: int) -> None:
        if parent is not None and not parent.is_alive():
            os._exit(1)  # killed without a chance to stop us; a resumed run takes over
        if _asked(cell, step):
            done[step] = iterations
        messages.put((cell.name, "iterations", sum(done.values())))

    try:
        results = run_cell(_with_earlier(cell, folder), folder, root, report)
        results.write(folder / RESULTS)
        folder.with_name(f"{cell.name}{LOG}").unlink(missing_ok=True)
    except MaxpruneError as error:
        messages.put((cell.name, "error", str(error)))
    except Exception as error:  # a defect, or no memory: one line here, all of it in a file
        log = folder.with_name(f"{cell.name}{LOG}")
        write_text(log, traceback.format_exc())
        line = " ".join(str(error).split()) or "no message"
        says = f"{type(error).__name__}: {line} (all of it in {log})"
        messages.put((cell.name, "error", says))
    else:
        messages.put((cell.name, "done", None))


def _asked(cell: Cell, step: str) -> bool:
    """Whether a step is the cell's own, not one that its results file had before."""
    if step.startswith("weights "):
        return step in {step_name(share) for share in cell.shares}
    return cell.control or not step.startswith(f"{CONTROL} ")


def _with_earlier(cell: Cell, folder: Path) -> Cell:
    """The cell with the steps that its results file has already, so that none is lost."""
    if not (folder / RESULTS).exists():
        return cell
    found = Results.read(folder / RESULTS)
    earlier = {float(s.name[8:-1]) / 100 for s in found.steps if s.name.startswith("weights ")}
    shares = tuple(sorted({round(share, 6) for share in (*earlier, *cell.shares)}))
    return replace(cell, shares=shares, control=cell.control or found.control is not None)
