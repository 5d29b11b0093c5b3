"""Saved models to open and to damage."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from maxprune.networks import lenet5
from maxprune.plan import KeepPlan, MaxoutPlan
from maxprune.surgery import apply
from maxprune.units import least_winning
from maxprune.weights import zero_plan


def small(**settings: Any) -> nn.Module:
    """A LeNet-5 of 8 hidden neurons."""
    torch.manual_seed(0)
    return lenet5(**{"fc": 8, "conv": [2, 4], **settings}).eval()


def maxout() -> nn.Module:
    """With a maxout over pairs."""
    return apply(small(), MaxoutPlan(layer="fc1", k=2))


def cut() -> nn.Module:
    """The maxout of pairs is gone again, and filters of another layer as well."""
    model = apply(maxout(), least_winning("fc1", torch.tensor([[1, 2], [3, 1], [5, 5], [0, 9]])))
    return apply(model, KeepPlan(neurons={"conv2": 4}, keep={"conv2": (0, 2, 3)}))


def zeroed() -> nn.Module:
    """Most weights are zero."""
    model = cut()
    return apply(model, zero_plan(model, 0.7))


def same(one: nn.Module, other: nn.Module) -> bool:
    """Equal weights and outputs, to the bit, and equal modules."""
    mine, theirs = one.state_dict(), other.state_dict()
    shape = (5, 1, 28, 28) if "conv1.weight" in mine else (5, next(iter(mine.values())).shape[1])
    x = torch.rand(shape, generator=torch.Generator().manual_seed(3)).to(
        next(iter(mine.values())).dtype
    )
    with torch.no_grad():
        outputs = torch.equal(one.eval()(x), other(x))
    return (
        outputs
        and mine.keys() == theirs.keys()
        and all(torch.equal(t, theirs[n]) and t.dtype == theirs[n].dtype for n, t in mine.items())
        and sorted(n for n, _ in one.named_modules()) == sorted(n for n, _ in other.named_modules())
    )


def rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change model.json and seal it again, as somebody with bad intentions could."""
    content = json.loads((folder / "model.json").read_text())
    change(content)
    content["checksum"] = "0" * 64
    text = json.dumps(content, indent=1) + "\n"
    checksum = hashlib.sha256(text.encode()).hexdigest()
    (folder / "model.json").write_text(text.replace("0" * 64, checksum))
