"""Checkpoints of a training: everything that its next step depends on, in one safetensors file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from maxprune.errors import StoreError
from maxprune.files import write_bytes
from maxprune.modes import device_of


@dataclass(frozen=True)
class Progress:
    """How far a training is: iterations done, mean loss over each logged stretch."""

    iteration: int = 0
    iterations: tuple[int, ...] = ()
    loss: tuple[float, ...] = ()


def write_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: nn.Module | None,
    progress: Progress,
    key: str,
) -> None:
    """Write everything that the next iteration depends on, whole or not at all.

    Args:
        path: the file.
        model: the network in training.
        optimizer: SGD with momentum over the network's parameters.
        average: the running mean of the network's weights, where one is kept.
        progress: how far it is.
        key: what this training is; a checkpoint of another is not resumed.
    """
    tensors = {f"model.{n}": t.detach().contiguous() for n, t in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        momentum = optimizer.state.get(parameter, {}).get("momentum_buffer")
        if momentum is not None:
            tensors[f"momentum.{name}"] = momentum.contiguous()
    if average is not None:
        tensors |= {f"average.{n}": t.contiguous() for n, t in average.state_dict().items()}
    tensors["random.cpu"] = torch.get_rng_state()
    if device_of(model).type == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    about = {"key": key, "iteration": progress.iteration,
             "iterations": progress.iterations, "loss": progress.loss}  # fmt: skip
    write_bytes(path, save(tensors, {"maxprune": json.dumps(about)}))


def read_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: nn.Module | None,
    key: str,
) -> Progress:
    """Bring a network, its optimizer and torch's random state to where the checkpoint was.

    Returns:
        How far it was; a fresh `Progress` where there is no checkpoint of this training.

    Raises:
        StoreError: the file is damaged.
    """
    if not path.exists():
        return Progress()
    tensors: dict[str, Tensor] = {}
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {})["maxprune"])
            for name in file.keys():  # noqa: SIM118  (not a dict)
                tensors[name] = file.get_tensor(name)
        if about["key"] != key:
            return Progress()
        progress = Progress(about["iteration"], tuple(about["iterations"]), tuple(about["loss"]))
        for part, module in (("model.", model), ("average.", average)):
            if module is not None:
                state = {n.removeprefix(part): t for n, t in tensors.items() if n.startswith(part)}
                module.load_state_dict(state)
        random = tensors["random.cpu"]
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError, OSError) as error:
        raise StoreError(
            f"checkpoint {path} is damaged; delete it to start this step again"
        ) from error
    device = device_of(model)
    for name, parameter in model.named_parameters():
        if f"momentum.{name}" in tensors:
            momentum = torch.empty_like(parameter).copy_(tensors[f"momentum.{name}"])
            optimizer.state[parameter]["momentum_buffer"] = momentum
    torch.set_rng_state(random)
    if device.type == "cuda" and "random.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random.cuda"])
    return progress
