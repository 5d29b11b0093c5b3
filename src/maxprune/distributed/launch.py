"""Start of this process as one of several, by torchrun's environment and Lightning Fabric."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from maxprune.distributed.shared_memory import shared_memory
from maxprune.distributed.world import ALONE, World, enter, leave
from maxprune.errors import MaxpruneError, UsageError, first_line

WHOLE = 1 << 20  # MiB: more than any gradients
EXTRA = "python3 -m pip install 'maxprune[distributed]'"


@contextlib.contextmanager
def launched() -> Iterator[World]:
    """While this is open, all trainings and passes are divided among the processes of torchrun.

    In a process that torchrun has not started, or has started alone, nothing changes. In your own
    script:

        torchrun --nproc-per-node 2 my_script.py

        with maxprune.distributed.launched() as world:
            found = maxprune.compress(net, data, folder="out")
            if world.leads:
                print(found.table())

    Every process calls the same functions with the same arguments. On CUDA each has a device of
    its own and they talk by NCCL, else by gloo.

    Raises:
        UsageError: lightning-fabric is not installed, there are more processes than devices, or
            the environment is not torchrun's.
        MaxpruneError: they cannot reach each other.
    """
    size = _number("WORLD_SIZE", 1)
    if size == 1:
        yield ALONE
        return
    rank, here = _number("RANK"), _number("LOCAL_WORLD_SIZE")
    if torch.cuda.is_available() and here > torch.cuda.device_count():
        raise UsageError(
            f"{here} processes on a machine with {torch.cuda.device_count()} CUDA devices; give "
            "torchrun one process a device, or CUDA_VISIBLE_DEVICES= for the CPU"
        )
    fabric = _fabric(here, size // here)
    with contextlib.ExitStack() as stack:
        private = None
        if rank:
            private = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="maxprune-")))
            nowhere = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
            stack.enter_context(contextlib.redirect_stderr(nowhere))
        found = World(rank, size, fabric, private)
        theirs = found.gathered(_bytes(private)) if here == size else []
        for folder in theirs[1:] if found.leads else ():  # who is killed leaves it
            name = folder.numpy().tobytes().decode()
            stack.callback(shutil.rmtree, name, ignore_errors=True)
        if here == size and fabric.device.type == "cpu":
            memory = stack.enter_context(shared_memory(found))
            found = replace(found, memory=memory)
        enter(found)
        try:
            yield found
        finally:
            leave()
            if sys.exc_info()[0] is None:
                torch.distributed.barrier()
            torch.distributed.destroy_process_group()


def _fabric(devices: int, machines: int) -> Any:
    """Lightning's Fabric, launched."""
    try:
        from lightning_fabric import Fabric
        from lightning_fabric.strategies.ddp import DDPStrategy
    except ModuleNotFoundError as error:
        raise UsageError(f"several processes need lightning-fabric: {EXTRA}") from error
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    # Batch norm is done over all processes (`whole_batch`), so its buffers are equal as it is.
    # All gradients at once, where they do not go through sockets: processes that wait for each
    # other more than once a step lose more by it than they gain by beginning early.
    once = None if torch.cuda.is_available() or machines > 1 else WHOLE
    strategy = DDPStrategy(
        forward_sync_buffers=False, gradient_as_bucket_view=True, bucket_cap_mb=once
    )
    fabric = Fabric(accelerator="auto", strategy=strategy, devices=devices, num_nodes=machines)
    try:
        fabric.launch()
    except (RuntimeError, ValueError) as error:
        raise MaxpruneError(f"the processes do not find each other: {first_line(error)}") from error
    return fabric


def _bytes(path: Path | None) -> torch.Tensor:
    """A path as numbers; none for None."""
    return torch.tensor(list(b"" if path is None else str(path).encode()), dtype=torch.uint8)


def _number(name: str, usual: int | None = None) -> int:
    """A number of torchrun's environment."""
    text = os.environ.get(name, "")
    if text.isdecimal() and int(text) >= (name != "RANK"):
        return int(text)
    if usual is not None and not text:
        return usual
    raise UsageError(
        f"{name} is {text!r}, but WORLD_SIZE is set: start several processes by torchrun"
    )
