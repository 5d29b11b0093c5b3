"""A network whose zeros are not stored and not multiplied: compressed sparse rows.

Zeros make a dense layer neither smaller nor faster. Here a row of the weights is the numbers that
are not zero and their places, 8 bytes for each; so memory is saved where more than half of the
numbers are zero, and time where there are many more.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, fx, nn

from maxprune.errors import UsageError
from maxprune.modes import copied
from maxprune.networks.weighted import Weighted, weighted_layers
from maxprune.weights.graph_layers import put_layers

LEAST = 0.5  # share of zeros from which on the rows take less memory than the dense weights


class _Rows(nn.Module):
    """A matrix as compressed sparse rows, and a bias."""

    starts: Tensor
    columns: Tensor
    values: Tensor
    bias: Tensor | None

    def __init__(self, weight: Float[Tensor, "rows columns"], bias: Tensor | None) -> None:
        super().__init__()
        self.shape = weight.shape
        with warnings.catch_warnings():  # torch says it once, and here
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state")
            rows = weight.detach().to_sparse_csr()
        self.register_buffer("starts", rows.crow_indices().int())
        self.register_buffer("columns", rows.col_indices().int())
        self.register_buffer("values", rows.values().clone())  # else it keeps all of `rows`
        self.register_buffer("bias", None if bias is None else bias.detach())

    def weight(self) -> Tensor:
        """The matrix, over the same memory."""
        return torch.sparse_csr_tensor(
            self.starts, self.columns, self.values, self.shape, check_invariants=False
        )


class SparseLinear(_Rows):
    """A linear layer over compressed sparse rows; it is not trained.

    Args:
        layer: the dense one.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__(layer.weight, layer.bias)

    def forward(self, x: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        """The same as the dense layer, but for rounding."""
        outputs, inputs = self.shape
        rows = x.reshape(-1, inputs)
        if len(rows) == 1:
            found = torch.mv(self.weight(), rows[0])
        else:
            found = torch.mm(self.weight(), rows.T).T
        found = found.reshape(*x.shape[:-1], outputs)
        return found if self.bias is None else found + self.bias

    def extra_repr(self) -> str:
        """Sizes, and how many weights there are."""
        return f"{self.shape[1]}, {self.shape[0]}, weights={len(self.values)}"


class SparseConv2d(_Rows):
    """A convolution over compressed sparse rows, a row a filter; it is not trained.

    The picture is unfolded: a column for each position, with the k x k x channels numbers under
    the filter.

    Args:
        layer: the dense one, without groups, padded by zeros.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__(
            layer.weight.flatten(1), None if layer.bias is None else layer.bias[:, None]
        )
        self.kernel_size, self.stride = layer.kernel_size, layer.stride
        self.padding, self.dilation = _padding(layer), layer.dilation

    def forward(
        self, x: Float[Tensor, "batch inputs high wide"]
    ) -> Float[Tensor, "batch outputs high wide"]:
        """The same as the dense layer, but for rounding."""
        size = [
            (side + 2 * pad - apart * (kernel - 1) - 1) // step + 1
            for side, kernel, step, pad, apart in zip(
                x.shape[2:], self.kernel_size, self.stride, self.padding, self.dilation, strict=True
            )
        ]
        weight = self.weight()
        found = torch.stack([torch.mm(weight, self._columns(sample)) for sample in x])
        found = found if self.bias is None else found + self.bias
        return found.reshape(*found.shape[:2], *size)

    def _columns(self, sample: Tensor) -> Tensor:
        """The numbers under the filter at each position: (channels x kernel, positions)."""
        if self.kernel_size == (1, 1) and self.stride == (1, 1) and self.padding == (0, 0):
            return sample.flatten(1)
        return F.unfold(sample, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        """Sizes, and how many weights there are."""
        return f"kernel_size={self.kernel_size}, weights={len(self.values)}"


def sparse_rows(model: nn.Module, least: float = LEAST) -> nn.Module:
    """The network with its weights as compressed sparse rows, for running it.

    Linear layers and convolutions of two dimensions, without groups, are changed if at least this
    share of their weights is zero. It pays in time from 70 to 90% zeros on, by the processor, the
    layer and the batch: `maxprune bench` measures it. It cannot be saved or trained; save the
    network that it was made of.

    Args:
        model: the network; it is not changed.
        least: share of zeros, in [0, 1], from which on a layer is changed.

    Returns:
        The network in evaluation mode, with the same outputs but for rounding.

    Raises:
        UsageError: it is no network, the share is not in [0, 1], or no layer has so many zeros.
    """
    if not 0 <= least <= 1:
        raise UsageError(f"least is a share of zeros in [0, 1], not {least:g}")
    if not isinstance(model, nn.Module):
        raise UsageError(f"a network is a torch module, not {model!r:.60}")
    found = copied(model).eval()
    if isinstance(found, fx.GraphModule):
        put_layers(found)
    names = [name for name, layer in weighted_layers(found).items() if _zeros(layer) >= least]
    others = {name: other for name in names if (other := _sparse(found.get_submodule(name)))}
    if not others:
        raise UsageError(
            f"no linear layer or convolution has {100 * least:g}% zeros or more: prune single "
            "weights first (compress --zero)"
        )
    if "" in others:
        return others[""]
    for name, other in others.items():
        for place in _places(found, found.get_submodule(name)):
            found.set_submodule(place, other)
    return found


def _sparse(layer: nn.Module) -> nn.Module | None:
    """The layer over compressed sparse rows; None for one of another kind."""
    if type(layer) is nn.Linear:
        return SparseLinear(layer)
    if type(layer) is not nn.Conv2d or not _is_plain(layer):
        return None
    return SparseConv2d(layer)


def _zeros(layer: Weighted) -> float:
    weight = layer.weight.detach()
    return 1 - int(weight.count_nonzero()) / max(weight.numel(), 1)


def _places(model: nn.Module, layer: nn.Module) -> Sequence[str]:
    """The names under which a layer stands: several, where it is shared."""
    found = model.named_modules(remove_duplicate=False)
    return [name for name, module in found if module is layer]


def _is_plain(layer: nn.Conv2d) -> bool:
    """Whether it has no groups, and as many zeros are added on the left as on the right."""
    sizes = zip(layer.dilation, layer.kernel_size, strict=True)
    even = layer.padding != "same" or all(apart * (side - 1) % 2 == 0 for apart, side in sizes)
    return layer.groups == 1 and layer.padding_mode == "zeros" and even


def _padding(layer: nn.Conv2d) -> tuple[int, ...]:
    """Pixels on each side; "same" is written out."""
    if layer.padding == "valid":
        return (0, 0)
    if layer.padding == "same":
        return tuple(
            apart * (kernel - 1) // 2
            for apart, kernel in zip(layer.dilation, layer.kernel_size, strict=True)
        )
    assert not isinstance(layer.padding, str)  # noqa: S101  (for the type checker)
    return layer.padding
