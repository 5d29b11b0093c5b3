"""Starts commands: each is a fork of this process, which has imported everything but run nothing.

A line of JSON on stdin, {"arguments": [...], "folder": where, "log": file}; answered by two lines:
the process, which leads a group of its own, and its wait status as soon as it has ended.
"""

import importlib
import json
import os
import signal
import sys
from typing import NoReturn

IMPORTED = (
    "maxprune.cli", "maxprune.compress", "maxprune.comparison.part", "maxprune.report",
    "maxprune.report.page", "maxprune.studies.demo", "sklearn.datasets", "onnxruntime",
    "onnxscript", "torch.onnx._internal.exporter._core", "torch.utils.flop_counter",
    "torch._dynamo", "torch.export", "torch_pruning",
)  # fmt: skip
"""So that a command does not spend its time on it."""


def become(order: dict[str, object]) -> NoReturn:
    """Be the command."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's & has it ignored
    os.chdir(str(order["folder"]))
    log = os.open(str(order["log"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv = ["maxprune", *order["arguments"]]  # type: ignore[misc]
    from maxprune.cli import main

    code: object = 1
    try:
        main()
    except SystemExit as end:
        code = end.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 0)  # threads of the server are not here


if __name__ == "__main__":
    import torch

    for name in IMPORTED:
        importlib.import_module(name)
    torch.set_num_threads(1)
    print("ready", flush=True)
    for line in sys.stdin:
        child = os.fork()
        if not child:
            become(json.loads(line))
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)
