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

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, fx, nn

from maxprune.errors import StructureError
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

PIECE = 2**19  # values that are compared at once
ORDERED = (*DROPOUTS, *MAX_POOLS, *SHAPES)  # in evaluation, which is larger stays so


@dataclass(frozen=True)
class WinCounts:
    """Wins of each neuron, (units, k) int64, over `positions` values of each unit.

    A unit's wins add up to the positions at which it was active.
    """

    wins: Int[Tensor, "units k"]
    positions: int

    def __add__(self, other: WinCounts) -> WinCounts:
        return WinCounts(self.wins + other.wins, self.positions + other.positions)


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
    rows = max(1, PIECE // max(1, values[:1].numel()))
    return torch.stack([_piece_wins(piece, k, above) for piece in values.split(rows)]).sum(0)


def _piece_wins(
    values: Float[Tensor, "batch neurons *space"], k: int, above: float | None
) -> Int[Tensor, "units k"]:
    """The wins over a piece of a batch that stays in the processor's cache."""
    units = values.unflatten(1, (-1, k))
    best = units.amax(2)
    undecided = best > above if above is not None else torch.ones_like(best, dtype=torch.bool)
    others = [d for d in range(best.dim()) if d != 1]
    wins = []
    for i in range(k - 1):
        won = (units[:, :, i] == best) & undecided
        undecided = undecided ^ won
        wins.append(won.sum(others))
    last = (units[:, :, k - 1] == best) & undecided
    return torch.stack([*wins, last.sum(others)], dim=1)


def count_wins(
    model: nn.Module, layer: str, batches: Iterable[Tensor | Sequence[Tensor]],
    reduce: Reduce = alone,
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
        return WinCounts(unit_wins(values, maxout.k, above), values[:, 0].numel())

    total: WinCounts | None = None
    inputs = ((batch if isinstance(batch, Tensor) else batch[0],) for batch in batches)
    with evaluating(model), torch.inference_mode():
        for found in in_halves(inputs, look):
            total = found if total is None else total + found
    if total is None:
        raise StructureError(f"no inputs to count the wins of layer {layer!r} on")
    wins = reduce(total.wins.cpu().clone())
    return WinCounts(wins, int(reduce(torch.tensor(total.positions))))


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
