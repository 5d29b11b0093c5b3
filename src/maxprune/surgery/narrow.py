"""Take entries away from one module: dumb slicing, one function for each kind of module.

Nothing is decided here, and nothing else of the module changes.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.instancenorm import _InstanceNorm

from maxprune.errors import StructureError
from maxprune.plural import kind_of

Side: TypeAlias = Literal["out", "in", "along", "count"]
Index: TypeAlias = Int[Tensor, " kept"]

NARROWED = (
    nn.Linear, _ConvNd, _BatchNorm, _InstanceNorm, nn.LayerNorm, nn.GroupNorm, nn.PReLU,
    nn.Embedding,
)  # fmt: skip


def width(module: nn.Module | nn.Parameter, side: Side) -> int:
    """How many entries a module has on one side, or a bare parameter in its last dimension.

    Raises:
        StructureError: this kind of module is not cut.
    """
    match module:
        case nn.Parameter():
            return int(module.shape[parameter_dim(module)])
        case nn.Linear():
            return module.in_features if side == "in" else module.out_features
        case _ConvNd():
            return module.in_channels if side == "in" else module.out_channels
        case _BatchNorm() | _InstanceNorm():
            return module.num_features
        case nn.GroupNorm():
            return module.num_channels
        case nn.LayerNorm():
            return int(module.normalized_shape[-1])
        case nn.PReLU():
            return module.num_parameters
        case nn.Embedding():
            return module.embedding_dim
        case _:
            raise StructureError(f"{kind_of(module)} is not cut")


def parts(module: nn.Module | nn.Parameter) -> int:
    """Into how many equal parts a module divides its channels; each must keep equally many."""
    if isinstance(module, nn.GroupNorm):
        return module.num_groups
    if isinstance(module, _ConvNd) and not is_depthwise(module):
        return module.groups
    return 1


def is_depthwise(module: nn.Module | nn.Parameter) -> bool:
    """Whether a convolution filters every channel alone, one filter each."""
    return (
        isinstance(module, _ConvNd)
        and 1 < module.groups == module.in_channels == module.out_channels
    )


def parameter_dim(parameter: nn.Parameter) -> int:
    """The dimension of a bare parameter that counts channels: the last one longer than 1."""
    return max((i for i, size in enumerate(parameter.shape) if size > 1), default=0)


def narrow(module: nn.Module, side: Side, keep: Index) -> None:
    """Keep these entries of a module, in place.

    Raises:
        StructureError: this kind of module is not cut, or the parts of a grouped convolution or a
            group norm would keep different numbers.
    """
    _check_parts(module, side, keep)
    match module:
        case nn.Linear():
            _narrow_linear(module, side, keep)
        case _ConvNd():
            _narrow_convolution(module, side, keep)
        case _BatchNorm() | _InstanceNorm():
            _narrow_vectors(module, ("weight", "bias"), keep)
            for name in ("running_mean", "running_var"):
                statistic = getattr(module, name)
                if statistic is not None:
                    setattr(module, name, statistic[keep.to(statistic.device)])
            module.num_features = len(keep)
        case nn.LayerNorm():
            _narrow_vectors(module, ("weight", "bias"), keep)
            module.normalized_shape = (*module.normalized_shape[:-1], len(keep))
        case nn.GroupNorm():
            _narrow_vectors(module, ("weight", "bias"), keep)
            module.num_channels = len(keep)
        case nn.PReLU():
            _narrow_vectors(module, ("weight",), keep)
            module.num_parameters = len(keep)
        case nn.Embedding():
            module.weight = selected(module.weight, keep, 1)
            module.embedding_dim = len(keep)
        case _:
            raise StructureError(f"{kind_of(module)} is not cut")


def narrow_parameter(owner: nn.Module, name: str, keep: Index) -> None:
    """Keep these entries of a bare parameter of `owner`, in place."""
    old = owner.get_parameter(name)
    setattr(owner, name, selected(old, keep, parameter_dim(old)))


def _narrow_linear(module: nn.Linear, side: Side, keep: Index) -> None:
    if side == "in":
        module.weight = selected(module.weight, keep, 1)
        module.in_features = len(keep)
        return
    module.weight = selected(module.weight, keep, 0)
    _narrow_vectors(module, ("bias",), keep)
    module.out_features = len(keep)


def _narrow_convolution(module: _ConvNd, side: Side, keep: Index) -> None:
    outputs, inputs = (1, 0) if module.transposed else (0, 1)
    if is_depthwise(module):
        module.weight = selected(module.weight, keep, 0)
        module.groups = module.in_channels = module.out_channels = len(keep)
        _narrow_vectors(module, ("bias",), keep)
        return
    if side == "in":
        module.weight = _by_parts(module, keep, inputs)
        module.in_channels = len(keep)
        return
    module.weight = _by_parts(module, keep, outputs)
    module.out_channels = len(keep)
    _narrow_vectors(module, ("bias",), keep)


def _by_parts(module: _ConvNd, keep: Index, dim: int) -> nn.Parameter:
    """The weights of the kept channels, which a grouped convolution counts anew in every part.

    Dimension 0 runs over all channels of its side, dimension 1 over those of one part.
    """
    if dim == 0 or module.groups == 1:
        return selected(module.weight, keep, dim)
    old = module.weight
    each = old.shape[1]
    local = (keep % each).unflatten(0, (module.groups, -1)).to(old.device)
    pieces = old.detach().chunk(module.groups, 0)
    new = torch.cat(
        [piece.index_select(1, index) for piece, index in zip(pieces, local, strict=True)]
    )
    return nn.Parameter(new, requires_grad=old.requires_grad)


def _check_parts(module: nn.Module, side: Side, keep: Index) -> None:
    count = parts(module)
    if count == 1:
        return
    each = width(module, side) // count
    stay = torch.bincount(keep // each, minlength=count)
    if not bool((stay == stay[0]).all()) or int(stay[0]) == 0:
        raise StructureError(
            f"each of the {count} parts of {kind_of(module)} must keep the same number of "
            "channels, at least 1"
        )


def _narrow_vectors(module: nn.Module, names: tuple[str, ...], keep: Index) -> None:
    for name in names:
        old = getattr(module, name)
        if old is not None:
            setattr(module, name, selected(old, keep, 0))


def selected(old: Tensor, index: Index, dim: int) -> nn.Parameter:
    """These entries of a parameter along one dimension, as a new parameter."""
    new = old.detach().index_select(dim, index.to(old.device))
    return nn.Parameter(new, requires_grad=old.requires_grad)
