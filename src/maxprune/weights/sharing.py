"""Weights that share few values (Han, Mao, Dally 2015, *Deep Compression*, section 3).

The weights of a layer that are not zero get the nearest of so many values, found by k-means; which
of them a weight has takes a few bits. The values themselves are then trained (section 3.3).
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Iterator, Mapping

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from maxprune.coding.numbers import LARGEST, scale_of
from maxprune.errors import UsageError
from maxprune.networks.weighted import weighted_layers
from maxprune.plan import SharePlan
from maxprune.weights.magnitude import prunable

BITS = 5
MOST_BITS = 12
ROUNDS = 300  # of k-means, at most


def share_plan(model: nn.Module, bits: int = BITS) -> SharePlan:
    """The plan that gives the weights of each layer 2^bits values, beside zero.

    Args:
        model: the network; a layer with fewer values than that keeps them.
        bits: for the number of values, 1 to 12.

    Raises:
        UsageError: the bits are out of their range.
        StructureError: a layer is parametrized.
    """
    if type(bits) is not int or not 1 <= bits <= MOST_BITS:
        raise UsageError(f"weights share 2^bits values with bits from 1 to {MOST_BITS}, not {bits}")
    values = {}
    for name, weight in layers_with_weights(model).items():
        own = weight.detach()[weight.detach() != 0]
        if len(own):
            values[name] = tuple(centroids(own.float(), 2**bits).tolist())
    return SharePlan(bits=bits, values=values)


def centroids(weights: Float[Tensor, " n"], count: int) -> Float[Tensor, " m"]:
    """The centres of k-means on numbers, ascending.

    The first centres lie at equal distances between the smallest and the largest number, so the few
    large weights, which matter most, get values of their own (section 3.2).

    Args:
        weights: at least one number.
        count: centres; fewer come out where some stay without a number, or there are fewer numbers.

    Example:
        >>> centroids(torch.tensor([1.0, 1.5, 4.0, 5.0]), 2)
        tensor([1.2500, 4.5000])
    """
    numbers = weights.double().sort().values
    distinct: Tensor = numbers.unique()
    if len(distinct) <= count:
        return distinct.float()
    sums = torch.cat([numbers.new_zeros(1), numbers.cumsum(0)])
    found = torch.linspace(float(numbers[0]), float(numbers[-1]), count, dtype=torch.float64)
    ends = torch.empty(0)
    for _ in range(ROUNDS):
        middles = (found[1:] + found[:-1]) / 2
        before, ends = ends, _bounds(numbers, middles)
        if torch.equal(before, ends):
            break
        sizes = ends.diff()
        means = sums[ends].diff() / sizes
        found = torch.where(sizes > 0, means, found)
    return found[ends.diff() > 0].float()


def _bounds(numbers: Tensor, middles: Tensor) -> Int64[Tensor, " ends"]:
    """Where the numbers of each centre begin and end."""
    inner: Tensor = torch.searchsorted(numbers, middles)
    return torch.cat([inner.new_zeros(1), inner, inner.new_full((1,), len(numbers))])


def share_values(model: nn.Module, plan: SharePlan) -> None:
    """Give every weight that is not zero the nearest value of its layer, in place."""
    with torch.no_grad():
        for name, weight in layers_with_weights(model).items():
            if name not in plan.values:
                continue
            values = torch.tensor(plan.values[name], dtype=weight.dtype, device=weight.device)
            middles = (values[1:] + values[:-1]) / 2
            nearest = values[torch.bucketize(weight, middles)]
            weight.copy_(torch.where(weight == 0, weight, nearest))


def round_to_halves(model: nn.Module) -> None:
    """Round the numbers of a network to 16 bits, in place, tensor by tensor.

    A weight that is not zero may change by 2^-10 of itself, and any number by 2^-11 of the largest
    of its tensor; a tensor in which one would change by more is left as it is.
    """
    for tensor in model.state_dict().values():
        if tensor.dtype != torch.float32 or not tensor.numel():
            continue
        rounded = tensor.half().float()
        if bool(((rounded - tensor).abs() <= _allowed(tensor)).all()):
            tensor.copy_(rounded)


def round_to_bytes(model: nn.Module) -> None:
    """Round the weights and biases of linear and convolution layers to 8 bits, in place.

    Each is a whole number up to 127 times a factor of its tensor (`coding.numbers`), so it changes
    by at most a 254th of the largest. Zeros stay zero, and no other becomes one.
    """
    for layer in weighted_layers(model).values():
        for tensor in (layer.weight, layer.bias):
            if tensor is not None and tensor.dtype == torch.float32 and tensor.numel():
                _round_to_byte(tensor.detach())


def _round_to_byte(tensor: Tensor) -> None:
    scale = float(scale_of(float(tensor.abs().max())))
    if not 0 < scale < math.inf:
        return
    whole = (tensor / scale).round().clamp(-LARGEST, LARGEST)
    lost = (whole == 0) & (tensor != 0)
    tensor.copy_(torch.where(lost, tensor.sign(), whole) * scale)


def _allowed(tensor: Tensor) -> Tensor:
    """By how much each number of a tensor may change."""
    sizes = tensor.abs()
    return 2.0**-10 * sizes if tensor.dim() > 1 else 2.0**-11 * sizes.max()


def layers_with_weights(model: nn.Module) -> dict[str, Tensor]:
    """Weights of linear and convolution layers by name; where layers share one, the first has it.

    Raises:
        StructureError: one is parametrized.
    """
    prunable(model)
    found = {name: layer.weight for name, layer in weighted_layers(model).items()}
    first = {id(weight): name for name, weight in reversed(found.items())}
    return {name: weight for name, weight in found.items() if first[id(weight)] == name}


def unshared(model: nn.Module) -> tuple[str, ...]:
    """The weights that are of no linear or convolution layer, such as an embedding's, by name."""
    own = {id(weight) for weight in prunable(model)}
    return tuple(n for n, p in model.named_parameters() if p.dim() > 1 and id(p) not in own)


@contextlib.contextmanager
def hold_shared(model: nn.Module) -> Iterator[None]:
    """Weights of a layer that are equal now stay equal in any training inside this context.

    Each gets the mean of their gradients, which is the gradient projected onto the networks with
    these values in common: a rate that suits the network suits its values. (The paper takes the
    sum, so the rate grows with the number of weights a value has; with SGD LeNet-5's values
    diverged.) Zeros stay zero. A step may round equal weights apart, by where they lie in memory;
    after each step of an optimizer, and at the end, they are equal to the bit again. Works with
    your own loop:

    Example:
        >>> layer = nn.Linear(2, 1, bias=False)
        >>> _ = nn.init.constant_(layer.weight, 0.5)
        >>> with hold_shared(layer):
        ...     layer(torch.tensor([[1.0, 3.0]])).sum().backward()
        >>> layer.weight.grad
        tensor([[2., 2.]])
    """
    handles, firsts = [], {}
    for weight in prunable(model):
        values, which = torch.unique(weight.detach(), return_inverse=True)
        firsts[weight] = _firsts(which)
        if weight.requires_grad:
            hook = functools.partial(_averaged, which, values != 0)
            handles.append(weight.register_post_accumulate_grad_hook(hook))
    handles.append(register_optimizer_step_post_hook(lambda *_: _make_equal(firsts)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        _make_equal(firsts)


def _firsts(which: Tensor) -> Int64[Tensor, " n"]:
    """For each weight the place of the first of its group."""
    flat = which.flatten()
    places = torch.arange(len(flat), device=flat.device)
    return torch.full_like(places, len(flat)).scatter_reduce_(0, flat, places, "amin")[flat]


@torch.no_grad()
def _make_equal(firsts: Mapping[Tensor, Tensor]) -> None:
    """Each weight as the first of its group."""
    for weight, places in firsts.items():
        weight.copy_(weight.flatten()[places].view_as(weight))


def _averaged(which: Tensor, trained: Tensor, weight: Tensor) -> None:
    """Give every weight the mean of the gradients of its group; none to those not trained."""
    if weight.grad is not None:
        weight.grad.copy_((_means(weight.grad, which) * trained)[which])


def _means(numbers: Tensor, which: Tensor) -> Float[Tensor, " groups"]:
    """Each group's mean."""
    flat = which.flatten()
    counts = torch.bincount(flat)
    sums = torch.zeros(len(counts), dtype=numbers.dtype, device=numbers.device)
    sums.index_add_(0, flat, numbers.detach().flatten())
    return sums / counts
