"""PLS-VIP: how much a filter takes part in telling the classes apart (Jordao et al. 2019).

Section 3 there: every filter is represented by one number a sample, the maximum (or mean) of its
feature map; Partial Least Squares finds the directions in which these numbers, of all filters of
all layers together, go along with the classes; a filter's importance is its VIP in them.

Where we are more exact than the published code:

- The map is the one that the next layer reads (see `scores.readers`), so that a filter that never
  fires has importance 0.
- A representation may have several numbers a filter; the importance is the mean of the VIPs of
  the filter's own numbers (the published code takes those of other filters).
- Where several layers read a channel, it is the mean over what each of them reads.
- The numbers are gathered in one forward pass and are never in memory in double precision.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from maxprune.errors import Remark, StructureError, UsageError, first_line
from maxprune.faults import is_out_of_memory
from maxprune.halving import in_halves
from maxprune.plan import ChannelGroup, Member
from maxprune.plural import kind_of, plural
from maxprune.scores.features import MEMORY, Features
from maxprune.scores.pls import Block, Pls, fit_pls
from maxprune.scores.readers import (
    Maps,
    NotFiniteError,
    Scores,
    cuttable,
    naming,
    no_samples,
    paired,
    readers,
    run,
    watched,
)
from maxprune.scores.reduction import Reduce, alone
from maxprune.scores.targets import Targets

Pool: TypeAlias = Callable[[Maps], Tensor]
Representation: TypeAlias = Literal["max", "average"] | Pool
POOLS: dict[str, Pool] = {"max": lambda m: m.amax((2, 3)), "average": lambda m: m.mean((2, 3))}

PAIRS = 1000  # that are looked at together


def vip(
    model: nn.Module,
    groups: Sequence[ChannelGroup],
    batches: Iterable[tuple[Tensor, Tensor]],
    components: int = 2,
    representation: Representation = "max",
    memory: int = MEMORY,
) -> Scores:
    """The importance of every channel of every group, by one forward pass.

    Args:
        model: the network; it is left as it was.
        groups: as `channel_groups` finds them; those that cannot be cut are left out.
        batches: inputs and what they are: classes, (batch,) whole numbers, or real values to be
            explained, (batch,) or (batch, values).
        components: of the Partial Least Squares.
        representation: of a filter: "max" or "average" of its map, or a function of maps, (batch,
            channels, height, width), that gives one number, (batch, channels), or several, (batch,
            channels, ...).
        memory: bytes for the representations; what needs more is kept on disk (`Features`).

    Returns:
        For every group that can be cut (channels,) float64; 0 for a channel whose
        representation never changes.

    Raises:
        UsageError: no samples, classes that are missing or none, or the memory does not hold one
            batch.
        StructureError: a reader reads NaN or infinity, or is never called, or the groups are those
            of another network.
        OutputError: the disk is full.
    """
    if not cuttable(model, groups):
        return {}
    return represent(model, groups, batches, representation, memory).importance(components)


@dataclass(frozen=True, eq=False)
class Represented:
    """Samples, each as the numbers that represent the channels of all groups.

    Args:
        features: (samples, columns).
        columns: which of them belong to what a reader reads of a group: (group, first column,
            columns in all), channel by channel.
        targets: what is to be explained: classes, or (samples, values) real values.
    """

    features: Features
    columns: tuple[tuple[ChannelGroup, int, int], ...]
    targets: Targets

    def importance(
        self,
        components: int = 2,
        reduce: Reduce = alone,
        classes: int | None = None,
    ) -> Scores:
        """VIP of every channel.

        Args:
            components: of the Partial Least Squares.
            reduce: adds a tensor up over processes that have represented other samples; see
                `fit_pls`.
            classes: how many there are, where not every process has samples of all of them.
        """
        return self._by_channel(fit_pls(partial(self._blocks, classes), components, reduce))

    def of_pairs(
        self,
        pairs: Int[Tensor, "pairs 2"],
        same: Tensor,
        components: int = 2,
        reduce: Reduce = alone,
    ) -> Scores:
        """VIP for verification: do the two samples of a pair belong together?

        X is |a - b| of the two, Y the answer (Jordao et al. 2020).

        Args:
            pairs: the two samples of every pair, by their place.
            same: (pairs,) whether they belong together.
            components: of the Partial Least Squares.
            reduce: as in `importance`.

        Raises:
            UsageError: a pair names a sample that is not there.
        """
        if pairs.dim() != 2 or pairs.shape[1] != 2 or len(pairs) != len(same):
            raise UsageError(
                f"pairs are (pairs, 2) and as many answers, not {tuple(pairs.shape)} "
                f"and {len(same)}"
            )
        if pairs.is_floating_point():
            raise UsageError("pairs are places, so whole numbers")
        count = len(self.targets)
        if pairs.numel() and not 0 <= int(pairs.min()) <= int(pairs.max()) < count:
            raise UsageError(f"a pair names a sample outside 0 to {count - 1}")

        def blocks() -> Iterator[Block]:
            for some, answers in zip(pairs.split(PAIRS), same.split(PAIRS), strict=True):
                a, b = (self.features.take(some[:, side]).float() for side in (0, 1))
                yield (a - b).abs(), answers[:, None]

        return self._by_channel(fit_pls(blocks, components, reduce))

    def _blocks(self, classes: int | None) -> Iterator[Block]:
        start, count = 0, self.targets.largest + 1 if classes is None else classes
        for rows in self.features.blocks():
            y = self.targets.of(start, len(rows))
            yield rows, y if self.targets.real else F.one_hot(y, count)
            start += len(rows)

    def _by_channel(self, found: Pls) -> Scores:
        """The mean of the VIPs of the numbers of every channel."""
        count = len(found.squares)
        if count < found.asked:
            warnings.warn(
                f"Partial Least Squares found {count} of {plural(found.asked, 'component')}: no "
                "more is left of the features or of what they are to explain",
                Remark,
                stacklevel=3,
            )
        parts: dict[str, list[Tensor]] = {}
        for group, start, count in self.columns:
            own = found.vip[start : start + count].unflatten(0, (group.channels, -1))
            parts.setdefault(group.name, []).append(own.mean(1))
        return {name: torch.stack(means).mean(0) for name, means in parts.items()}


def represent(
    model: nn.Module,
    groups: Sequence[ChannelGroup],
    batches: Iterable[tuple[Tensor, Tensor]],
    representation: Representation = "max",
    memory: int = MEMORY,
) -> Represented:
    """One forward pass that gathers the numbers for all channels of all groups at once.

    The arguments and errors are those of `vip`.
    """
    if isinstance(representation, str) and representation not in POOLS:
        raise UsageError(
            f"a representation is {' or '.join(POOLS)}, or a function, not {representation!r}"
        )
    pool = POOLS[representation] if isinstance(representation, str) else representation
    if not callable(pool):
        raise UsageError(f"a representation is a name or a function, not {representation!r}")
    seen: dict[tuple[str, Member], Tensor] = {}

    def see(group: ChannelGroup, member: Member, maps: Tensor) -> None:
        found = _pooled(pool, maps, member.name)
        if not bool(found.isfinite().all()):
            raise NotFiniteError(f"what layer {member.name!r} reads")
        seen[group.name, member] = found

    kept: Features | None = None
    inputs: list[Tensor] = []
    free = cuttable(model, groups)
    wanted = [(group, member) for group in free for member in readers(group)]
    if not wanted:
        raise UsageError("there is no group to represent")
    columns: list[tuple[ChannelGroup, int, int]] = []
    targets = Targets()

    def look(part: tuple[Tensor, Tensor]) -> Tensor:
        seen.clear()
        inputs[:] = [part[0]]
        run(model, part[0])
        for group, member in wanted:
            if (group.name, member) not in seen:
                raise StructureError(f"layer {member.name!r} is not called; skip {group.name!r}")
        return torch.cat([seen[group.name, member] for group, member in wanted], 1)

    with naming(model, inputs), watched(model, free, see), torch.inference_mode():
        for rows, y in in_halves(paired(batches), lambda part: (look(part), _target(part[1]))):
            if kept is None:
                kept = Features(rows.shape[1], memory)
                columns = _columns(wanted, seen)
            kept.append(rows)
            targets.append(y)
    if kept is None:
        raise no_samples()
    return Represented(kept, tuple(columns), targets)


def _pooled(pool: Pool, maps: Tensor, reader: str) -> Float[Tensor, "batch numbers"]:
    """The numbers of all channels, those of one channel side by side."""
    try:
        found = pool(maps.float())
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise UsageError(
            f"the representation fails on maps {tuple(maps.shape)} of what {reader!r} reads: "
            f"{type(error).__name__}: {first_line(error)}"
        ) from error
    if not isinstance(found, Tensor):
        raise UsageError(f"the representation gives {kind_of(found)}, not a tensor")
    if found.dim() < 2 or found.shape[:2] != maps.shape[:2]:
        raise UsageError(
            f"the representation makes {tuple(found.shape)} of maps {tuple(maps.shape)}; it has to "
            "keep the first two sides: (batch, channels) or (batch, channels, ...)"
        )
    return found.flatten(1)


def _columns(
    wanted: Sequence[tuple[ChannelGroup, Member]], seen: dict[tuple[str, Member], Tensor]
) -> list[tuple[ChannelGroup, int, int]]:
    """Which columns belong to what each reader reads of each group."""
    found, start = [], 0
    for group, member in wanted:
        count = seen[group.name, member].shape[1]
        found.append((group, start, count))
        start += count
    return found


def _target(y: Tensor) -> Tensor:
    """Classes as whole numbers, or real values in columns."""
    if y.is_floating_point():
        return y[:, None] if y.dim() == 1 else y
    if y.dim() != 1:
        raise UsageError(f"classes are one whole number a sample, not {tuple(y.shape)}")
    if len(y) and int(y.min()) < 0:
        raise UsageError(f"classes are numbered from 0; there is a {int(y.min())}")
    return y.long()
