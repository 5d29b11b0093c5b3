"""Checkpoints of a training: everything that its next step depends on, in one file.

The file is the 32 bytes of a SHA-256, then what it is the checksum of: a safetensors file. Beside
it, as NAME.before, lies the checkpoint before it, from which a training goes on where the last one
is damaged. So two are kept, and while one is written there are three.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from maxprune.errors import OutputError, StoreError
from maxprune.files import atomic, read_bytes
from maxprune.modes import device_of

_DIGEST = hashlib.sha256().digest_size
_log = logging.getLogger("maxprune")


@dataclass(frozen=True)
class Progress:
    """How far a training is.

    Attributes:
        iteration: iterations done.
        iterations: at the end of each logged stretch.
        loss: its mean over each of these stretches.
        judged: how good the network was found at each judgement.
        parts: in which a batch goes through the network, so that it fits in memory.
    """

    iteration: int = 0
    iterations: tuple[int, ...] = ()
    loss: tuple[float, ...] = ()
    judged: tuple[float, ...] = ()
    parts: int = 1

    def since_best(self) -> int:
        """Judgements since the first of the best ones."""
        return len(self.judged) - 1 - self.judged.index(max(self.judged)) if self.judged else 0


def write_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: nn.Module | None,
    progress: Progress,
    key: str,
    best: Mapping[str, Tensor] | None = None,
) -> None:
    """Write everything that the next iteration depends on, whole or not at all.

    At any moment there is a whole one, the new or the one before it.

    Args:
        path: the file.
        model: the network in training.
        optimizer: over the network's parameters; all tensors that it keeps of each are written.
        average: the running mean of the network's weights, where one is kept.
        progress: how far it is.
        key: what this training is; a checkpoint of another is not resumed.
        best: weights and buffers of the network that was judged best.
    """
    tensors = {f"model.{n}": t.detach() for n, t in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        for kind, state in optimizer.state.get(parameter, {}).items():
            if isinstance(state, Tensor):
                tensors[f"optimizer.{kind}.{name}"] = state
    if average is not None:
        tensors |= {f"average.{n}": t for n, t in average.state_dict().items()}
    tensors |= {f"best.{n}": t for n, t in (best or {}).items()}
    tensors["random.cpu"] = torch.get_rng_state()
    if device_of(model).type == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state(device_of(model))
    about = json.dumps({"key": key, **asdict(progress)}).encode()
    tensors["about"] = torch.frombuffer(bytearray(about), dtype=torch.uint8)
    whole = {n: t.clone(memory_format=torch.contiguous_format) for n, t in tensors.items()}
    content = save(whole)
    with atomic(path) as temporary:
        with temporary.open("wb") as file:
            file.write(hashlib.sha256(content).digest())
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            path.replace(before(path))


def before(path: Path) -> Path:
    """Where the checkpoint before the last one lies."""
    return path.with_name(f"{path.name}.before")


def remove_checkpoint(path: Path) -> None:
    """Remove what a training that has ended no longer needs."""
    before(path).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def read_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: nn.Module | None,
    key: str,
    best: dict[str, Tensor] | None = None,
) -> Progress:
    """Bring a network, its optimizer and torch's random state to where the checkpoint was.

    A damaged checkpoint is set aside, with a note to the log "maxprune", and the one before it
    is taken. `best` gets the weights that were judged best so far.

    Returns:
        How far it was; a fresh `Progress`, with nothing changed, where there is no checkpoint of
        this training.

    Raises:
        StoreError: the file cannot be read, or is of another network.
        OutputError: a damaged file cannot be set aside.
    """
    found = _last(path, key)
    if found is None:
        return Progress()
    tensors, done = found
    try:
        _restore(tensors, model, optimizer, average, best)
    except (LookupError, RuntimeError, TypeError) as error:
        raise StoreError(f"{path} does not fit its training; remove it to start again") from error
    return done


def _restore(
    tensors: dict[str, Tensor],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: nn.Module | None,
    best: dict[str, Tensor] | None,
) -> None:
    """Put everything where it was."""
    model.load_state_dict(_part(tensors, "model."))
    if average is not None:
        average.load_state_dict(_part(tensors, "average."))
    if best is not None:
        best.update(_part(tensors, "best."))
    parameters = dict(model.named_parameters())
    for entry, state in _part(tensors, "optimizer.").items():
        kind, _, name = entry.partition(".")
        like = parameters[name] if state.shape == parameters[name].shape else state
        buffer = torch.empty_like(like, requires_grad=False).copy_(state)
        optimizer.state[parameters[name]][kind] = buffer
    torch.set_rng_state(tensors["random.cpu"])
    if device_of(model).type == "cuda" and "random.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random.cuda"], device_of(model))


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin so, without it."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def _last(path: Path, key: str) -> tuple[dict[str, Tensor], Progress] | None:
    """The last whole checkpoint of a training, and how far it was; None for none."""
    damaged: list[Path] = []
    for place in (path, before(path)):
        if not place.exists():
            continue
        found = _parsed(read_bytes(place))
        if found is None:
            damaged.append(_aside(place))
            continue
        tensors, there, done = found
        if there != key:
            break
        if damaged:
            _tell(path, damaged, f"goes on from the one before, at iteration {done.iteration}")
        return tensors, done
    if damaged:
        _tell(path, damaged, "starts again")
    return None


def _parsed(content: bytes) -> tuple[dict[str, Tensor], Any, Progress] | None:
    """The tensors of a checkpoint, which training it is of, and how far; None if it is damaged."""
    if hashlib.sha256(content[_DIGEST:]).digest() != content[:_DIGEST]:
        return None
    try:
        tensors = load(content[_DIGEST:])
        about = json.loads(tensors["about"].numpy().tobytes())
        at, loss, judged = (tuple(about.get(n, ())) for n in ("iterations", "loss", "judged"))
        done = Progress(about["iteration"], at, loss, judged, about.get("parts", 1))
        return tensors, about["key"], done
    except (SafetensorError, AttributeError, LookupError, TypeError, ValueError):
        return None


def _aside(path: Path) -> Path:
    """Rename a damaged checkpoint, so that the file can be seen."""
    aside = path.with_name(f"{path.name}.damaged")
    try:
        return path.replace(aside)
    except OSError as error:
        raise OutputError(f"cannot rename {path}: {error.strerror or error}") from error


def _tell(path: Path, damaged: list[Path], what: str) -> None:
    is_damaged = "is damaged" if len(damaged) == 1 else "and the one before it are damaged"
    kept = " and ".join(map(str, damaged))
    _log.warning("checkpoint %s %s; kept as %s, and its step %s", path, is_damaged, kept, what)
