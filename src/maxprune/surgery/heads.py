"""Whole attention heads as channels, where the user asks for them.

The layers that make queries, keys and values, fused or each by itself, have the heads side by
side; so has what the layer behind the attention reads. How a forward function cuts them apart is
not to be seen from outside, so both usual orders are tried, and the attribute that counts the heads
has to be one that the forward function reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn

from maxprune.errors import UsageError
from maxprune.plan import ChannelGroup, Member
from maxprune.plural import plural
from maxprune.surgery.groups import ATTENDED

COUNTS = ("num_heads", "heads", "n_heads", "n_head", "nhead", "num_attention_heads")


def head_groups(
    model: nn.Module, name: str, groups: Sequence[ChannelGroup]
) -> Iterator[ChannelGroup]:
    """The heads of one attention module, as a group in each order that is tried.

    Args:
        model: the network.
        name: of the module whose forward function attends.
        groups: as `find_groups` finds them: those of its queries, keys and values are left whole.

    Raises:
        UsageError: there is no such module, it is torch's own, whose width is fixed, or its heads
            or layers are not found.
    """
    try:
        attention = model.get_submodule(name)
    except AttributeError:
        raise UsageError(f"the network has no module {name!r} whose heads could be cut") from None
    if isinstance(attention, nn.MultiheadAttention):
        raise UsageError(
            f"the heads of {name!r} cannot be cut: the width of nn.MultiheadAttention is fixed"
        )
    linear = {f"{name}.{n}": m for n, m in attention.named_modules() if isinstance(m, nn.Linear)}
    made = [n for g in groups if g.reason == ATTENDED for n in g.layers if n in linear]
    counts = [c for c in COUNTS if type(getattr(attention, c, None)) is int]
    total = sum(linear[n].out_features for n in made)
    readers = [n for n, m in linear.items() if n not in made and 3 * m.in_features == total]
    if not made or not counts or len(readers) != 1:
        raise UsageError(
            f"the heads of {name!r} cannot be cut: "
            + (
                f"none of its attributes {', '.join(COUNTS)} is a number"
                if made and len(readers) == 1
                else "its layers for queries, keys, values and the output are not found"
            )
        )
    heads = int(getattr(attention, counts[0]))
    width = linear[readers[0]].in_features
    if heads < 1 or width % heads:
        raise UsageError(f"{name!r} has {plural(heads, 'head')} for {plural(width, 'number')}")
    for interleaved in (False, True):
        members = [
            m for n in made for m in _made(n, linear[n].out_features, width, heads, interleaved)
        ]
        members.append(Member(name=readers[0], side="in", each=width // heads))
        members.append(Member(name=f"{name}.{counts[0]}", side="count"))
        reason = "a single head" if heads == 1 else ""
        yield ChannelGroup(name=name, channels=heads, members=tuple(members), reason=reason)


def _made(layer: str, outputs: int, width: int, heads: int, interleaved: bool) -> list[Member]:
    """Where the heads lie in a layer that makes one or more of queries, keys and values."""
    parts = outputs // width
    if interleaved:
        return [Member(name=layer, side="out", each=outputs // heads)]
    each = width // heads
    return [Member(name=layer, side="out", start=p * width, each=each) for p in range(parts)]
