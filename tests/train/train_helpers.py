"""Small networks and pictures that train in a moment."""

import torch
from torch import nn

from maxprune.data.images import Images
from maxprune.train import Training

SHORT = Training(iterations=43, batch=8, rate=0.05)
LONG = SHORT.model_copy(update={"iterations": 230})


def pictures(count: int = 50) -> Images:
    """Noise with a bright row that is the class."""
    draw = torch.Generator().manual_seed(5)
    labels = torch.randint(0, 3, (count,), generator=draw)
    pixels = torch.randint(0, 120, (count, 1, 4, 4), generator=draw, dtype=torch.uint8)
    pixels[torch.arange(count), 0, labels] += 100
    return Images(pixels, labels, 3)


def network(sparse: bool = False) -> nn.Sequential:
    """A convolution with batch norm, a hidden layer, dropout: everything with a state."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
            nn.Linear(16, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3),
        )  # fmt: skip
    if sparse:
        with torch.no_grad():
            for layer in (model[0], model[4], model[7]):
                layer.weight[layer.weight.abs() < layer.weight.abs().median()] = 0
    return model


def weights(model: nn.Module) -> dict[str, bytes]:
    """Every weight and buffer, as bytes."""
    return {n: t.contiguous().numpy().tobytes() for n, t in model.state_dict().items()}
