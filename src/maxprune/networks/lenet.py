"""LeNet-5 as the paper trains it (LeCun et al. 1998; Moya Rueda et al. 2017, section 5.1)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal

from torch import nn

from maxprune.errors import UsageError
from maxprune.lineage import factory
from maxprune.networks.initial import xavier_uniform


@factory
def lenet5(
    fc: int = 512,
    conv: Sequence[int] = (20, 50),
    dropout: Literal["fc", "conv", "none"] = "fc",
    classes: int = 10,
    relu: Literal["fc", "all"] = "fc",
) -> nn.Sequential:
    """LeNet-5 for 28x28 grey pictures: two 5x5 convolutions, one hidden layer, one output layer.

    conv1 - max pool 2 - conv2 - max pool 2 - fc1 - ReLU - fc2, with a dropout of 0.5 where the
    paper puts its maxout: behind fc1's ReLU (LeNet-MFC) or behind conv2 (LeNet-MC). The maxout
    itself comes in by a plan, `MaxoutPlan(layer="fc1", k=4)`.

    Args:
        fc: neurons of the hidden layer fc1.
        conv: filters of conv1 and conv2; the paper's LeNet-MC needs a second number that 4 divides.
        dropout: behind which layer the dropout stands, if any.
        classes: outputs.
        relu: "fc" behind fc1 alone, as in the paper; "all" behind the poolings, too.

    Returns:
        A network with Xavier-uniform weights and zero biases, drawn from torch's generator.

    Raises:
        UsageError: a size below 1.

    Example:
        >>> sum(p.numel() for p in lenet5(fc=512).parameters())
        440812
    """
    if len(conv) != 2 or min(fc, *conv, classes) < 1:
        raise UsageError("lenet5 has two convolutions, and every size is at least 1")
    if dropout not in ("fc", "conv", "none"):
        raise UsageError(f"the dropout of lenet5 stands behind 'fc' or 'conv', not {dropout!r}")
    if relu not in ("fc", "all"):
        raise UsageError(f"the ReLU of lenet5 stands behind 'fc' or 'all', not {relu!r}")
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["conv1"] = nn.Conv2d(1, conv[0], 5)
    layers["pool1"] = nn.MaxPool2d(2)
    if relu == "all":
        layers["relu1"] = nn.ReLU()
    layers["conv2"] = nn.Conv2d(conv[0], conv[1], 5)
    if dropout == "conv":
        layers["dropout"] = nn.Dropout(0.5)
    layers["pool2"] = nn.MaxPool2d(2)
    if relu == "all":
        layers["relu2"] = nn.ReLU()
    layers["flatten"] = nn.Flatten()
    layers["fc1"] = nn.Linear(16 * conv[1], fc)
    layers["relu"] = nn.ReLU()
    if dropout == "fc":
        layers["dropout"] = nn.Dropout(0.5)
    layers["fc2"] = nn.Linear(fc, classes)
    return nn.Sequential(layers).apply(xavier_uniform)
