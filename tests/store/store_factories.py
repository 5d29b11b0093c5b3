"""Factories of other people: a module that can be imported, without any of maxprune's networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from maxprune.lineage import factory

calls: list[str] = []


class Branching(nn.Module):
    """No nn.Sequential: a maxout makes it a GraphModule."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(6, width)
        self.norm = nn.BatchNorm1d(width)
        self.second = nn.Linear(width, 4, bias=False)
        self.third = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Two hidden layers."""
        return self.third(torch.relu(self.second(torch.relu(self.norm(self.first(x))))))


@factory
def branching(width: int = 8) -> Branching:
    """A network of one's own."""
    calls.append("branching")
    return Branching(width)


@factory
def plain(sizes: tuple[int, ...] = (6, 4), **settings: bool) -> nn.Sequential:
    """A network with settings."""
    return nn.Sequential(nn.Linear(sizes[0], sizes[1], **settings), nn.ReLU(), nn.Linear(4, 3))


@factory
def tied() -> nn.Module:
    """Two names for one weight."""
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    model[1].weight = model[0].weight
    return model


@factory
def words() -> nn.Module:
    """The output layer has the weights of the embedding."""
    return Words()


class Words(nn.Module):
    """Embedding and output layer are one."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 8)
        self.decoder = nn.Linear(8, 50)
        self.decoder.weight = self.embedding.weight

    def forward(self, x: Tensor) -> Tensor:
        """The word that follows."""
        return self.decoder(torch.tanh(self.embedding(x).mean(1)))


@factory
def failing(message: str = "no") -> nn.Module:
    """Builds once."""
    if calls.count("failing"):
        raise RuntimeError(f"{message}\nand more")
    calls.append("failing")
    return nn.Linear(1, 1)


@factory
def leaving() -> nn.Module:
    """Ends the program."""
    raise SystemExit("bye")


@factory
def number() -> nn.Module:
    """Builds no network."""
    return 3


def unmarked() -> nn.Module:
    """Not under the decorator."""
    calls.append("unmarked")
    return nn.Linear(1, 1)


class Holder:
    """Has a factory."""

    @staticmethod
    @factory
    def inner() -> nn.Module:
        """Stands inside a class."""
        return nn.Linear(2, 2)
