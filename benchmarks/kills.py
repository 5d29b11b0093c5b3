"""Commands killed by SIGKILL at random moments go on: do they leave what they leave undisturbed?

Each command runs once undisturbed. Then, so many times, all its processes are killed at a random
moment of that run's length, it goes on, perhaps to be killed again, and in the end all files are
compared byte for byte, timings aside.

    python3 benchmarks/kills.py [--kills 50] [--seed 0] [--only compress] [--out FILE]
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from maxprune.files import write_json
from maxprune.runs.environment import environment

sys.path.append(str(Path(__file__).parents[1] / "tests" / "runs"))
from killing import ASIDE, Command, Killed, Server, as_record, is_equal, killed, whole

NET = ("kill_net.py:build", "--data", "digits")
COMMANDS = {
    "compress": Command(
        ("compress", *NET, "--method", "maxout", "--k", "2", "--rounds", "1", "--keep-accuracy",
         "20", "--train-epochs", "3", "--epochs", "2", "--layers", "5", "--zero", "60", "--bits",
         "4")
    ),
    "compress by scores": Command(
        ("compress", *NET, "--method", "pls", "--share", "0.2", "--iterations", "3",
         "--train-epochs", "3", "--epochs", "2", "--zero", "auto", "--bits", "4", "--int8",
         "static", "--control")
    ),
    "demo": Command(("demo", "--iterations", "20", "--fc", "64")),
    "grid": Command(
        ("reproduce", "coded", "--network", "mfc", "--fc", "64", "--seeds", "2", "--iterations",
         "10", "--dataset", "digits", "--jobs", "2")
    ),
    "compare": Command(
        ("compare", *NET, "--methods", "taylor,pls", "--sizes", "0.6", "--train-epochs", "4",
         "--epochs", "2", "--seeds", "1", "--jobs", "2")
    ),
    "code": Command(
        ("code", *NET, "--weights", "net.safetensors", "--epochs", "20", "--bits", "4"),
        "net.mxp", (),
    ),
}  # fmt: skip


def trials(name: str, kills: int, seed: int, server: Server, folder: Path) -> Iterator[Any]:
    """What was found of one command, after each of its kills."""
    command = COMMANDS[name]
    expected, seconds = whole(server, command, folder / name / "whole")
    print(f"{name}: {seconds:.1f} s undisturbed, {len(expected)} files", flush=True)
    found: list[Killed] = []
    for number in range(kills):
        place = folder / name / str(number)
        found.append(killed(server, command, place, expected, seconds, seed * 1000 + number))
        print(f"{name} {number}: {found[-1]}", flush=True)
        yield {
            "command": shlex.join(["maxprune", *command.arguments, "--out", command.out]),
            "seconds_undisturbed": round(seconds, 2), "files": len(expected), "runs": len(found),
            "equal": sum(map(is_equal, found)), "each": [as_record(one) for one in found],
        }  # fmt: skip
        if is_equal(found[-1]):
            shutil.rmtree(place)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=COMMANDS, action="append")
    parser.add_argument("--keep", type=Path, help="A folder for runs that end differently.")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    names = [word for name in chosen.only or () for word in ("--only", name)]
    command = ["python3", "benchmarks/kills.py", "--kills", str(chosen.kills), *names]
    about: dict[str, Any] = {
        "benchmark": "kills", "command": shlex.join(command), "seed": chosen.seed,
        "not_compared": ASIDE, "environment": environment(1), "commands": {},
    }  # fmt: skip
    server = Server()
    with tempfile.TemporaryDirectory(prefix="maxprune-kills-") as temporary:
        folder = chosen.keep or Path(temporary)
        for name in chosen.only or COMMANDS:
            for found in trials(name, chosen.kills, chosen.seed, server, folder):
                about["commands"][name] = found
                if chosen.out:
                    write_json(chosen.out, about)
    server.close()
    for name, one in about["commands"].items():
        print(f"{name}: {one['equal']} of {one['runs']} left the same files")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
