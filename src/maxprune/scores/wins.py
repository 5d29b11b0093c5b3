"""Relevance by win counts: how often each neuron is the maximum of its maxout unit.

Moya Rueda, Grzeszick, Fink 2017, section 4.1: a forward pass over the training set counts the
times that each neuron is the maximal value of its unit. Where we are more exact than the paper:

- Counted are the values before a ReLU, and only where the unit is active (its maximum is above
  zero). max(relu(a), relu(b)) = relu(max(a, b)), so the winner is the same, but a unit that is all
  zero behind the ReLU is a tie that says nothing.
- Among equal values the first neuron of the unit wins, so every active unit has one winner and
  a neuron that never wins can go without changing any output, to the bit (as far as the matrix
  product is exact: at another width some BLAS kernels round sums differently in the last bits).
- Every sample counts and, for a convolution, every position. Dropout is off.

Counts are integers and add up: over batches, processes and machines, exactly.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, fx, nn

from maxprune.errors import StructureError, UsageError
from maxprune.halving import in_halves
from maxprune.modes import device_of, evaluating
from maxprune.networks.maxout import Maxout
from maxprune.scores.reduction import Reduce, alone
from maxprune.surgery.chain import (
    DROPOUTS,
    MAX_POOLS,
    MONOTONE,
    RELUS,
    SHAPES,
    Chain,
    find_chain,
    find_maxout,
)
from maxprune.surgery.insert import head
from maxprune.units import UnitScores

Relevance: TypeAlias = Literal["wins", "share", "margin"]
PIECE = 2**19  # values that are compared at once
ORDERED = (*DROPOUTS, *MAX_POOLS, *SHAPES)  # in evaluation, which is larger stays so


RELEVANCES: tuple[Relevance, ...] = get_args(Relevance)
TINY = 1e-300  # instead of 0, where a unit was never active


@dataclass(frozen=True)
class WinCounts:
    """Wins of each neuron, (units, k) int64, over `positions` values of each unit.

    A unit's wins add up to the positions at which it was active. Where units differ in size,
    `sizes` has how many neurons each has; what is behind them in its row is nobody's, and 0.
    `margins`, (units, k), are by how much each neuron won, added up over all its wins: the maximum
    less the second largest value, or less zero where that is below it and a ReLU follows.
    """

    wins: Int[Tensor, "units k"]
    positions: int
    sizes: tuple[int, ...] | None = None
    margins: Float[Tensor, "units k"] | None = None

    def __add__(self, other: WinCounts) -> WinCounts:
        margins = None
        if self.margins is not None and other.margins is not None:
            margins = self.margins + other.margins
        both = self.wins + other.wins, self.positions + other.positions
        return WinCounts(*both, self.sizes, margins)

    @property
    def rows(self) -> list[list[int]]:
        """The wins of the neurons of each unit."""
        return [row[:size].tolist() for row, size in zip(self.wins, self._sizes(), strict=True)]

    def relevance(self, by: Relevance = "wins") -> UnitScores:
        """What each neuron is worth to its unit, and the unit to the layer.

        Args:
            by: "wins", the share of all positions, so that layers can be compared; "share", of
                those at which the unit was active; "margin", what the unit's output loses without
                the neuron, the mean over all positions. Within a unit the first two rank alike,
                as the paper does.

        Raises:
            UsageError: there is no such relevance, or the margins were not asked for.
        """
        if by not in RELEVANCES:
            raise UsageError(f"relevance is by {', '.join(RELEVANCES)}, not {by!r}")
        scores = self.wins.double() / max(1, self.positions)
        if by == "share":
            scores = scores / scores.sum(1, keepdim=True).clamp_min(TINY)
        elif by == "margin":
            if self.margins is None:
                raise UsageError("count_wins was not asked for margins")
            scores = self.margins.double() / max(1, self.positions)
        return UnitScores(scores, self._sizes())

    def _sizes(self) -> tuple[int, ...]:
        units, k = self.wins.shape
        return self.sizes or (k,) * units


def unit_wins(
    values: Float[Tensor, "batch neurons *space"], k: int, above: float | None = None
) -> Int[Tensor, "units k"]:
    """Count how often each neuron is the first maximum of its unit of k adjacent neurons.

    Args:
        values: what the maxout compares.
        k: neurons per unit.
        above: count only where the unit's maximum is above this; None counts everywhere.

    Example:
        >>> unit_wins(torch.tensor([[1.0, 2.0], [3.0, 3.0], [-1.0, -2.0]]), k=2, above=0.0)
        tensor([[1, 1]])
    """
    return wins_of(values, Maxout(k), above, margins=False).wins


def wins_of(
    values: Float[Tensor, "batch neurons *space"], maxout: Maxout, above: float | None,
    margins: bool,
) -> WinCounts:  # fmt: skip
    """The wins of a batch that a maxout reads, in pieces that stay in the processor's cache."""
    rows = max(1, PIECE // max(1, values[:1].numel()))
    sizes = maxout.of_each(values.shape[1])
    behind = torch.arange(maxout.k) >= torch.tensor(sizes)[:, None]  # nobody's
    wins, won_by = [], []
    for piece in values.split(rows):
        units = maxout.by_unit(piece, 1)
        if maxout.sizes is not None:
            shape = (1, *behind.shape, *[1] * (units.dim() - 3))
            units = units.masked_fill(behind.view(shape).to(units.device), -math.inf)
        counts, by = _piece_wins(units, above, margins)
        wins.append(counts)
        won_by.append(by)
    total = torch.stack(wins).sum(0)
    by_much = torch.stack([m for m in won_by if m is not None]).sum(0) if margins else None
    return WinCounts(total, values[:, 0].numel(), maxout.sizes, by_much)


def _piece_wins(
    units: Float[Tensor, "batch units k *space"], above: float | None, margins: bool
) -> tuple[Int[Tensor, "units k"], Float[Tensor, "units k"] | None]:
    """The wins over a piece of a batch, and by how much."""
    k = units.shape[2]
    best = units.amax(2)
    undecided = best > above if above is not None else torch.ones_like(best, dtype=torch.bool)
    others = [d for d in range(best.dim()) if d != 1]
    lead = _lead(units, best, above) if margins else None
    wins, by = [], []
    for i in range(k):
        won = (units[:, :, i] == best) & undecided
        undecided = undecided ^ won
        wins.append(won.sum(others))
        if lead is not None:
            by.append(lead.where(won, 0).sum(others, dtype=torch.float64))
    return torch.stack(wins, dim=1), torch.stack(by, dim=1) if by else None


def _lead(
    units: Float[Tensor, "batch units k *space"], best: Float[Tensor, "batch units *space"],
    above: float | None,
) -> Float[Tensor, "batch units *space"]:  # fmt: skip
    """By how much the maximum is larger than the second, or than what the unit gives without."""
    if units.shape[2] == 1:
        return best - above if above is not None else torch.zeros_like(best)
    second = units.topk(2, dim=2).values[:, :, 1]
    second = second.clamp_min(above) if above is not None else second
    return (best - second).nan_to_num(posinf=0.0)  # a unit of one neuron has no second


def count_wins(
    model: nn.Module, layer: str, batches: Iterable[Tensor | Sequence[Tensor]],
    reduce: Reduce = alone, margins: bool = False,
) -> WinCounts:  # fmt: skip
    """Count the wins of the neurons of `layer`, whose output goes into a maxout.

    The network runs in evaluation mode, only up to the values that are compared, and is left as
    it was. Memory does not grow with the number of batches.

    Args:
        model: the network.
        layer: the layer before the maxout.
        batches: inputs, (batch, ...), or tuples whose first entry they are: a DataLoader, or
            `images.batches(1000)`.
        reduce: adds up over processes that have other batches, at least one each.
        margins: whether to add up by how much they win, too.

    Raises:
        StructureError: `layer` does not feed a maxout, or gives NaN.
    """
    chain = find_chain(model, layer)
    if chain.maxout is None:
        raise StructureError(f"layer {layer!r} feeds no maxout; insert one first")
    maxout = find_maxout(model, chain.maxout)
    node, above = _compared(chain)
    part = head(model, chain, node)
    device = device_of(model)

    def look(inputs: tuple[Tensor]) -> WinCounts:
        values = part(inputs[0].to(device)).movedim(maxout.dim, 1)
        if values.numel() and bool(values.amax().isnan()):
            raise StructureError(f"layer {layer!r} gives NaN; train the network again")
        return wins_of(values, maxout, above, margins)

    total: WinCounts | None = None
    inputs = ((batch if isinstance(batch, Tensor) else batch[0],) for batch in batches)
    with evaluating(model), torch.inference_mode():
        for found in in_halves(inputs, look):
            total = found if total is None else total + found
    if total is None:
        raise StructureError(f"no inputs to count the wins of layer {layer!r} on")
    wins = reduce(total.wins.cpu().clone())
    by = None if total.margins is None else reduce(total.margins.cpu().clone())
    return WinCounts(wins, int(reduce(torch.tensor(total.positions))), total.sizes, by)


def _compared(chain: Chain) -> tuple[fx.Node, float | None]:
    """The value to compare, and the level above which a unit is active.

    An activation between the layer and the maxout is looked behind where it keeps the order and
    so does all between it and the maxout; otherwise what the maxout itself reads is compared. A
    ReLU behind the maxout decides just as well which units are active.
    """
    before = list(chain.before(chain.first((Maxout,))))
    behind = chain.links[len(before) + 1 :]
    value = before[-1].node if before else chain.node
    while before and issubclass(before[-1].kind, ORDERED):
        before.pop()
    if before and issubclass(before[-1].kind, MONOTONE):
        source = before[-1].node.all_input_nodes[0]
        return source, 0.0 if issubclass(before[-1].kind, RELUS) else None
    decides = next((link for link in behind if not issubclass(link.kind, ORDERED)), None)
    active = decides is not None and issubclass(decides.kind, RELUS)
    return value, 0.0 if active else None
