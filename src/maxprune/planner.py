"""How scores of channels become a plan: one planner for every method.

A score gives each channel of each group a number, low for what matters little. The planner ranks
them, keeps equally many in each part of a group that has parts, and never empties one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from maxprune.errors import UsageError
from maxprune.plan import ChannelGroup, KeepPlan
from maxprune.plural import plural


class NothingToCutError(UsageError):
    """So small a share is less than one channel."""


def cut_plan(
    groups: Sequence[ChannelGroup], keep: Mapping[str, Sequence[int]], method: str = ""
) -> KeepPlan:
    """The plan that keeps these channels of the groups of these names.

    Args:
        groups: as `channel_groups` finds them.
        keep: name of a group to the ascending indices that stay.
        method: what decided, for the reader.

    Raises:
        UsageError: there is no such group, it cannot be cut, it would be emptied, or an index is
            out of its range or order.
    """
    named = {group.name: group for group in groups}
    for name in keep:
        if name not in named:
            raise UsageError(f"there is no group {name!r}; there are {', '.join(named)}")
        if named[name].reason:
            raise UsageError(f"{name!r} cannot be cut: {named[name].reason}")
    return KeepPlan(
        neurons={name: named[name].channels for name in keep},
        keep={name: tuple(indices) for name, indices in keep.items()},
        method=method,
        members={name: named[name].members for name in keep},
    )


def half_plan(groups: Sequence[ChannelGroup]) -> KeepPlan:
    """Keep every other channel of these groups, the same number in each of a group's parts."""
    keep = {}
    for group in groups:
        each = group.channels // group.parts
        stay = range(0, each - each % 2, 2) if each > 1 else range(1)
        keep[group.name] = [p * each + i for p in range(group.parts) for i in stay]
    return cut_plan(groups, keep, "every other")


def single_plan(groups: Sequence[ChannelGroup]) -> KeepPlan | None:
    """Keep the first channel of every part of these groups: as little as any plan may leave.

    Returns:
        The plan; None where every part has one channel already.
    """
    free = [group for group in groups if group.channels > group.parts]
    keep = {g.name: range(0, g.channels, g.channels // g.parts) for g in free}
    return cut_plan(free, keep, "one each") if free else None


def tie(
    groups: Sequence[ChannelGroup], scores: Mapping[str, Float[Tensor, " channels"]], plan: KeepPlan
) -> str:
    """What has to be said of a plan that `lowest` made among equal scores; empty if nothing.

    Args:
        groups: that were ranked together; those with parts are not looked at.
        scores: theirs.
        plan: what stays of them.
    """
    goes, stays = [], []
    for group in groups:
        if group.parts == 1 and group.name in plan.keep:
            stay = torch.zeros(group.channels, dtype=torch.bool)
            stay[list(plan.keep[group.name])] = True
            goes.append(scores[group.name][~stay])
            stays.append(scores[group.name][stay])
    gone = torch.cat(goes) if goes else torch.zeros(0)
    if not len(gone):
        return ""
    last = gone.max()
    went, stayed = int((gone == last).sum()), int((torch.cat(stays) == last).sum())
    if not stayed:
        return ""
    return (
        f"{went:,} of {plural(went + stayed, 'channel')} with the same score, {float(last):.3g}, "
        "went: the first of them"
    )


def lowest(
    groups: Sequence[ChannelGroup],
    scores: Mapping[str, Float[Tensor, " channels"]],
    share: float,
    over: Literal["all", "each"] = "all",
    method: str = "",
) -> KeepPlan:
    """Remove the channels with the lowest scores.

    Groups that cannot be cut are left out. In a group with parts the lowest of every part go
    together, by the mean of their scores. Among equal scores the earlier channel goes first; every
    part of every group keeps at least one.

    Args:
        groups: as `channel_groups` finds them.
        scores: a number for each channel of each group that can be cut.
        share: of the channels to remove, in (0, 1), rounded down.
        over: "all" ranks the channels of all groups together, "each" takes the share of every
            group.
        method: what decided, for the reader.

    Raises:
        UsageError: the share is out of its range, or a score is missing, not finite or of another
            length.
        NothingToCutError: the share is less than a channel, or every part has one channel left.

    Example:
        >>> from maxprune.plan import Member
        >>> pair = [Member(name="a", side="out"), Member(name="b", side="in")]
        >>> group = ChannelGroup(name="a", channels=4, members=tuple(pair))
        >>> lowest([group], {"a": torch.tensor([0.5, 0.1, 0.3, 0.2])}, 0.5).keep
        {'a': (0, 2)}
    """
    if not 0 < share < 1:
        raise UsageError(f"the share of channels to remove is between 0 and 1, not {share!r}")
    if over not in ("all", "each"):
        raise UsageError(f"channels are ranked over 'all' or 'each', not {over!r}")
    free = [group for group in groups if not group.reason]
    slots = {group.name: in_turn(group, scores) for group in free}
    if over == "all":
        goes = _together(free, slots, share)
    else:
        goes = {g.name: _floor(share * (g.channels // g.parts)) for g in free}
    keep = {}
    for group in free:
        spare = group.channels // group.parts - 1
        gone = slots[group.name][0][: min(goes[group.name], spare)].flatten()
        stay = torch.ones(group.channels, dtype=torch.bool)
        stay[gone] = False
        keep[group.name] = [int(i) for i in stay.nonzero().flatten()]
    cut = {group.name: keep[group.name] for group in free if len(keep[group.name]) < group.channels}
    if not cut:
        raise NothingToCutError(
            f"nothing is left to cut: {share:g} of the channels is less than one"
        )
    return cut_plan(free, cut, method)


def _floor(count: float) -> int:
    """Rounded down; 0.29 of 100 is 29, whatever the last bit says."""
    return int(count + 1e-9)


def in_turn(group: ChannelGroup, scores: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The channels of a group in the order in which they go, one of each part at a time.

    Returns:
        Indices, (channels / parts, parts), and the mean score of every row, ascending.
    """
    found = scores.get(group.name)
    if found is None or tuple(found.shape) != (group.channels,):
        raise UsageError(
            f"{group.name!r} needs one score for each of its "
            f"{plural(group.channels, 'channel')}; leave a group out that is to stay whole"
        )
    if not bool(found.isfinite().all()):
        raise UsageError(f"a score of {group.name!r} is not a finite number")
    by_part = found.detach().cpu().double().unflatten(0, (group.parts, -1))
    values, order = by_part.sort(dim=1, stable=True)
    first = torch.arange(group.parts)[:, None] * by_part.shape[1]
    return (order + first).T, values.mean(0)


def _together(
    groups: Sequence[ChannelGroup], slots: Mapping[str, tuple[Tensor, Tensor]], share: float
) -> dict[str, int]:
    """How many slots of each group go if all are ranked together; one of each always stays."""
    budget = _floor(share * sum(group.channels for group in groups))
    ranked = [
        (float(score), i, group)
        for i, group in enumerate(groups)
        for score in slots[group.name][1][:-1]
    ]
    goes = {group.name: 0 for group in groups}
    for _, _, group in sorted(ranked, key=lambda entry: entry[:2]):
        if budget >= group.parts:
            goes[group.name] += 1
            budget -= group.parts
    return goes
