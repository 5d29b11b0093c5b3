"""Reading the weights of VGG-Face at full size: time and memory for each format.

Random weights of VGG16 for 2,622 identities (145,002,878 of them, 580 MB) are written in one format
after the other into a temporary folder, read, and compared with what was written. Every reading
has a process of its own; the file is still in the system's cache. Medians over rounds: `seconds`
on the clock, which other work on the machine lengthens, `cpu` seconds of this process, and `mib`,
its peak of memory above what its imports took. About 1.4 of our seconds are torch's, which loads
more of itself when it first builds a network without memory. The ratios are to safetensors' own
`load_file` and a copy of every tensor.

    python3 benchmarks/vgg_face.py [--rounds 3] [--out FILE]
"""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import h5py  # noqa: F401  (its import belongs to no reading)
import torch
from safetensors.torch import load_file
from shared import options, show
from torch import nn

from maxprune.measure import parameters
from maxprune.networks import vgg_face
from maxprune.runs.environment import environment
from maxprune.store import read_vgg_face

FORMATS = {
    "safetensors": "safetensors",
    "Caffe": "caffe old",
    "MatConvNet, MATLAB 5": "mat old",
    "MatConvNet, MATLAB 7": "mat",
    "MatConvNet, MATLAB 7.3": "mat 7.3",
    "torch": "torch",
    "torch before 1.6": "torch legacy",
}
"""What the tests that write them call them."""


def network() -> nn.Module:
    torch.manual_seed(0)
    return vgg_face()


def write(path: Path, form: str) -> None:
    sys.path.append(str(Path(__file__).parents[1] / "tests/store"))
    import vgg_face_files

    vgg_face_files.write(path, form, network())


def measured(read: Callable[[Path], Any], path: Path) -> tuple[Any, dict[str, float]]:
    """What a function gives for a file, and what that took."""
    torch.set_num_threads(1)
    before = peak_mib()
    started, worked = time.perf_counter(), time.process_time()
    found = read(path)
    took = {"seconds": time.perf_counter() - started, "cpu": time.process_time() - worked}
    return found, {**took, "mib": peak_mib() - before}


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def plainly(path: Path) -> dict[str, float]:
    """Safetensors' own reader; it maps the file, so the tensors are copied out of it."""
    return measured(lambda path: {k: v.clone() for k, v in load_file(path).items()}, path)[1]


def ours(path: Path) -> dict[str, float]:
    converted, took = measured(read_vgg_face, path)
    found, expected = converted.model.state_dict(), network().state_dict()
    expected["conv1_1.weight"] *= 255  # it takes [0, 1]
    if not all(torch.equal(found[name], value) for name, value in expected.items()):
        raise RuntimeError(f"{path} is not read as it was written")
    return {**took, "parameters": parameters(converted.model)}


def alone(work: Callable[..., Any], *arguments: Any) -> Any:
    """What a function gives in a new process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def medians(work: Callable[[Path], dict[str, float]], path: Path, rounds: int) -> dict[str, float]:
    took = [alone(work, path) for _ in range(rounds)]
    return {key: statistics.median(each[key] for each in took) for key in took[0]}


def main() -> None:
    chosen = options(__doc__, rounds=3)
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights"
        for name, form in FORMATS.items():
            alone(write, path, form)
            if name == "safetensors":
                plain = medians(plainly, path, chosen.rounds)
            own = medians(ours, path, chosen.rounds)
            found[name] = {
                "file_bytes": path.stat().st_size, **own,
                "cpu_times_plain": own["cpu"] / plain["cpu"],
                "memory_times_file": own["mib"] * 2**20 / path.stat().st_size,
            }  # fmt: skip
            path.unlink()
    show(
        {
            "benchmark": "vgg_face", "rounds": chosen.rounds, "plain_safetensors": plain,
            **found, "environment": environment(1),
        },
        chosen.out,
    )  # fmt: skip


if __name__ == "__main__":
    main()
