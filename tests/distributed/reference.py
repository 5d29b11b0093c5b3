"""A training and passes that one process does, and several do together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from maxprune.compression.winning import without_least_winning
from maxprune.data.images import Images
from maxprune.data.loaded import Loaded
from maxprune.data.part import WHOLE, Part
from maxprune.data.samples import Pictures, Samples
from maxprune.plan import ChannelGroup, maxout_plan
from maxprune.scores.named import SCORES, Scoring
from maxprune.surgery import apply, channel_groups
from maxprune.train import Fitting, train

LAYER = "0"


class Doubles:
    """The same samples in double precision, in which only a mistake can be seen."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def __getattr__(self, name: str) -> Any:
        return getattr(self.samples, name)

    def __len__(self) -> int:
        return len(self.samples)

    def batches(
        self, size: int, device: str = "cpu", part: Part = WHOLE
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """As they are judged."""
        return ((x.double(), y) for x, y in self.samples.batches(size, device, part))

    def stream(
        self, size: int, seed: int, start: int = 0, device: str = "cpu", part: Part = WHOLE
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """As they are trained on."""
        stream = self.samples.stream(size, seed, start, device, part)
        return ((x.double(), y) for x, y in stream)


def pictures() -> Doubles:
    """61 random pictures of 4 classes, with all that is done to them in training."""
    generator = torch.Generator().manual_seed(3)
    pixels = torch.randint(0, 256, (61, 1, 12, 12), generator=generator, dtype=torch.uint8)
    plain = Pictures(Images(pixels, torch.arange(61) % 4, 4))
    return Doubles(
        replace(plain, flip=True, crop=1, turn=5, zoom=0.1, light=0.2, noise=0.1, erase=0.3)
    )


def loader() -> Doubles:
    """The same as somebody's own loader; its last batch is smaller."""
    x, y = next(pictures().batches(61))
    return Doubles(Loaded([(x[i : i + 14], y[i : i + 14]) for i in range(0, 61, 14)], "own", 4))


def small() -> nn.Sequential:
    """A network with all that looks at a whole batch: batch norm, and dropouts."""
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout2d(0.2), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(200, 12), nn.BatchNorm1d(12, affine=False), nn.ReLU(),
        nn.Dropout(0.3), nn.Linear(12, 4),
    )  # fmt: skip


def double(net: nn.Module) -> nn.Module:
    """In double precision."""
    return net.double().eval()


def found_alone() -> dict[str, Any]:
    """Whatever has to be the same in one process and in several."""
    net = small().double()
    training = Fitting(iterations=12, batch=9, average=0.5, judge_every=0)
    progress = train(net, pictures(), training, seed=5)
    own = small().double()
    train(own, loader(), Fitting(iterations=7, batch=9), seed=5)
    groups = channel_groups(net, torch.zeros(2, 1, 12, 12).double())
    with_maxout = double(apply(small(), maxout_plan(LAYER, 4)))
    smaller, wins = without_least_winning(with_maxout, LAYER, _many())
    return {
        "loss": list(progress.loss),
        "weights": {name: t.tolist() for name, t in net.state_dict().items()},
        "own": {name: t.tolist() for name, t in own.state_dict().items()},
        "wins": wins.model_dump(mode="json"),
        "width": smaller.get_submodule(LAYER).out_channels,
        "scores": {name: _scored(name, double(small()), groups) for name in SCORES},
    }


def _scored(name: str, net: nn.Module, groups: list[ChannelGroup]) -> dict[str, list[float]]:
    found = SCORES[name].of(net, groups, _many(), Scoring())
    return {group: scores.tolist() for group, scores in found.items()}


def _many() -> Doubles:
    """Enough for several batches of every pass."""
    generator = torch.Generator().manual_seed(4)
    pixels = torch.randint(0, 256, (2500, 1, 12, 12), generator=generator, dtype=torch.uint8)
    return Doubles(Pictures(Images(pixels, torch.arange(2500) % 4, 4)))


def dense() -> nn.Module:
    """For the digits."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 16), nn.ReLU(), nn.Linear(16, 10))
