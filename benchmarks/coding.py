"""How long coding and decoding take, in which memory, and how small the files are beside others.

LeNet-5 (MC, 256 neurons) and VGG16 for faces (MFC), each at k = 1, with random weights, which code
no better than trained ones: 90 and 50% zeros, 32 values a layer. Beside it the same weights as a
safetensors file in a zip archive (DEFLATE), and the entropy of the zeros and values, which no coder
beats that takes every weight for itself. One thread; each network in a process of its own.

    python3 benchmarks/coding.py [--repeat 3] [--out FILE]
"""

from __future__ import annotations

import multiprocessing
import statistics
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as serialise
from shared import options, show
from torch import nn

from maxprune.coding import decode, encode
from maxprune.compression.winning import without_last
from maxprune.measure import nonzero, parameters
from maxprune.networks import lenet5, vgg_face
from maxprune.plan import maxout_plan
from maxprune.runs.environment import environment
from maxprune.store import load, save_coded
from maxprune.surgery import apply
from maxprune.weights import prunable, share_plan, zero_plan
from maxprune.weights.sharing import round_to_halves

BITS = 5


def pruned(model: nn.Module, layer: str, zeros: float) -> nn.Module:
    """At k = 1, with so many zeros."""
    model = apply(model, maxout_plan(layer, 4))
    for _ in range(3):
        model = without_last(model, layer)
    return apply(model, zero_plan(model, zeros))


def lenet() -> nn.Module:
    """LeNet-MC."""
    return pruned(lenet5(fc=256, conv=(20, 52), dropout="conv"), "conv2", 0.9)


def vgg16() -> nn.Module:
    """VGG16-MFC for 2,622 people."""
    return pruned(vgg_face(), "fc6", 0.5)


NETWORKS = {"lenet-mc-256": lenet, "vgg16-mfc": vgg16}


def seconds(work: Callable[[], Any], repeat: int) -> float:
    """The median of how long it takes."""
    found = []
    for _ in range(repeat):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return statistics.median(found)


def memory(work: Callable[[], Any]) -> int:
    """By how many bytes the memory of this process grows at most (Linux)."""
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    work()
    return _status("VmHWM") - before


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(name)).split()[1])


def entropy(model: nn.Module) -> float:
    """Bytes of the weights of linear and convolution layers, each layer with its own shares."""
    bits = 0.0
    for weight in prunable(model):
        counts = torch.unique(weight.detach(), return_counts=True)[1].double()
        bits -= float((counts * (counts / counts.sum()).log2()).sum())
    return bits / 8


def measure(name: str, repeat: int, queue: multiprocessing.Queue[Any]) -> None:
    """One network, in this process."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = NETWORKS[name]().eval()
    started = time.perf_counter()
    model = apply(model, share_plan(model, BITS))
    answer: dict[str, Any] = {
        "parameters": parameters(model), "nonzero": nonzero(model),
        "kmeans_seconds": time.perf_counter() - started,
    }  # fmt: skip
    round_to_halves(model)
    weights = serialise(dict(model.state_dict()))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.mxp"
        answer["save_seconds"] = seconds(lambda: save_coded(model, path), 1)
        answer["bytes"] = path.stat().st_size
        content = decode(path)
        answer["encode_seconds"] = seconds(lambda: encode(content), repeat)
        answer["encode_memory"] = memory(lambda: encode(content))
        answer["decode_seconds"] = seconds(lambda: decode(path), repeat)
        answer["decode_memory"] = memory(lambda: decode(path))
        answer["load_seconds"] = seconds(lambda: load(path), 1)
    answer["safetensors_bytes"] = len(weights)
    started = time.perf_counter()
    answer["zip_bytes"] = len(zlib.compress(weights, 6))
    answer["zip_seconds"] = time.perf_counter() - started
    answer["entropy_bytes"] = round(entropy(model))
    for other in ("safetensors", "zip", "entropy"):
        answer[f"{other}_ratio"] = answer[f"{other}_bytes"] / answer["bytes"]
    queue.put(answer)


def main() -> None:
    chosen = options(__doc__, repeat=3)
    context = multiprocessing.get_context("spawn")
    answer: dict[str, Any] = {"benchmark": "coding", "bits": BITS}
    for name in NETWORKS:
        queue: multiprocessing.Queue[Any] = context.Queue()
        process = context.Process(target=measure, args=(name, chosen.repeat, queue))
        process.start()
        answer[name] = queue.get()
        process.join()
    show(answer | {"environment": environment(1)}, chosen.out)


if __name__ == "__main__":
    main()
