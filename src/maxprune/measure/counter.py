"""torch's own counter of operations, over networks taken apart into what it can count."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from maxprune.modes import evaluating


def counted(model: nn.Module, inputs: Tensor) -> FlopCounterMode:
    """The counter after one run in evaluation mode; it counts two operations a multiply-add.

    Args:
        model: the network.
        inputs: (batch, ...), on its device.
    """
    counter = FlopCounterMode(display=False)
    with evaluating(model), _in_single_products(model), torch.no_grad(), counter:
        model(inputs)
    return counter


@contextlib.contextmanager
def _in_single_products(model: nn.Module) -> Iterator[None]:
    """Attention and recurrent layers run as matrix products.

    The counter sees nothing in the fast path of torch's own attention, in fused attention on a CPU
    or in a fused recurrent layer.
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH), contextlib.ExitStack() as stack:
            if any(isinstance(module, nn.RNNBase) for module in model.modules()):
                stack.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore")  # of hardware that is not there
                stack.enter_context(torch.backends.mkldnn.flags(enabled=False))
                stack.enter_context(torch.backends.cudnn.flags(enabled=False))
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
