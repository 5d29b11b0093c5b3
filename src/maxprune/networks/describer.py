"""A network whose last layer reads what several others give."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maxprune.errors import UsageError

LAST = "discriminant"


class Describer(nn.Sequential):
    """Layers one behind the other, but that the last one reads some of them side by side.

    What tells people apart is not in the last hidden layer alone: the layers before it have learnt
    less of the training pictures by heart (Sun, Wang, Tang 2014, "Deep learning face representation
    from predicting 10,000 classes", section 3.1, join two layers for this reason).

    Args:
        layers: by name, without the last.
        reads: those that the last one reads, in their order.
        last: takes (batch, all their numbers); until it is fitted, what it would read comes out.

    Raises:
        UsageError: there is no such layer.

    Example:
        >>> layers = OrderedDict(a=nn.Linear(3, 2), b=nn.ReLU(), c=nn.Linear(2, 4))
        >>> Describer(layers, ["b", "c"])(torch.zeros(5, 3)).shape
        torch.Size([5, 6])
    """

    def __init__(
        self, layers: OrderedDict[str, nn.Module], reads: Sequence[str],
        last: nn.Module | None = None,
    ) -> None:  # fmt: skip
        missing = [name for name in reads if name not in layers]
        if missing or not reads:
            raise UsageError(f"there is no layer {(missing or [''])[0]!r} to read")
        super().__init__(OrderedDict([*layers.items(), (LAST, last or nn.Identity())]))
        self.reads = tuple(reads)

    def forward(self, input: Tensor) -> Float[Tensor, "batch dimensions"]:  # noqa: A002  (the base class's)
        """Descriptors, or what they are made of."""
        x, read = input, list[Tensor]()
        for name, layer in self.named_children():
            x = layer(torch.cat(read, 1) if name == LAST else x)
            if name in self.reads:
                read.append(x.flatten(1))
        return x
