"""Plans: which neurons stay. Small frozen records, checked once, readable, saved as JSON.

Scores say how much each neuron matters, the functions here decide, `surgery.apply` obeys.
"""

from __future__ import annotations

import itertools
from typing import Annotated, Literal, TypeAlias

import torch
from jaxtyping import Int
from pydantic import Field, TypeAdapter, ValidationError, model_validator
from torch import Tensor

from maxprune.errors import StoreError, UsageError
from maxprune.plural import plural
from maxprune.records import Checked, first_wrong

MOST_NEURONS = 1 << 22
"""Of a layer; a plan that claims more is refused before memory is taken for them."""

MOST_ENTRIES = 1 << 24
"""Of a layer's neurons in one module: its inputs behind a flattening, for example."""

Finite = Annotated[float, Field(allow_inf_nan=False)]


class MaxoutPlan(Checked):
    """Put a maxout over k adjacent neurons behind `layer`."""

    kind: Literal["maxout"] = "maxout"
    layer: str
    k: Annotated[int, Field(ge=2)]


class Member(Checked):
    """Where the channels of a group lie in one module or parameter of the network.

    Channel c owns the entries from `start` + c * `each` up to `start` + (c + 1) * `each`.

    Args:
        name: the module, or the parameter that stands alone in a module.
        side: what the entries are: "out" the neurons of a layer, "in" the inputs that a layer
            reads, "along" what passes the channels on one by one (a norm, a bare parameter),
            "count" nothing but their number, in an attribute of a module.
        start: the first entry of the group, for example behind others in a concatenation.
        each: entries per channel, for example the positions of a flattened feature map.
    """

    name: str
    side: Literal["out", "in", "along", "count"]
    start: Annotated[int, Field(ge=0, lt=2**40)] = 0
    each: Annotated[int, Field(ge=1, le=MOST_ENTRIES)] = 1

    def entries(self, channels: Int[Tensor, " channels"]) -> Int[Tensor, " entries"]:
        """The entries of these channels.

        Example:
            >>> Member(name="fc1", side="in", each=3).entries(torch.tensor([0, 2]))
            tensor([0, 1, 2, 6, 7, 8])
        """
        return (self.start + channels[:, None] * self.each + torch.arange(self.each)).flatten()


class ChannelGroup(Checked):
    """Channels that are cut together.

    Args:
        name: the first layer, in the network's order, that has them as its neurons.
        channels: how many there are.
        members: every module and parameter that has an entry for each of them.
        parts: into how many equal, adjacent parts they fall (a grouped convolution, a group norm);
            each part keeps equally many.
        reason: why they cannot be cut; empty if they can.
    """

    name: str
    channels: int
    members: tuple[Member, ...]
    parts: int = 1
    reason: str = ""

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers whose neurons these are."""
        return tuple(dict.fromkeys(m.name for m in self.members if m.side == "out"))


class KeepPlan(Checked):
    """The neurons of each named layer that stay, by their index before the cut.

    Args:
        neurons: layer name to its number of neurons (channels) before the cut.
        keep: layer name to the ascending indices that stay; no layer is ever emptied.
        method: what decided, for the reader.
        members: layer name to all that is cut along with it, the layer itself among them, as
            `channel_groups` finds it; a layer that is not named here feeds one other layer only.
    """

    kind: Literal["keep"] = "keep"
    neurons: dict[str, int]
    keep: dict[str, tuple[int, ...]]
    method: str = ""
    members: dict[str, tuple[Member, ...]] = Field(default={})

    @model_validator(mode="after")
    def _check(self) -> KeepPlan:
        if self.neurons.keys() != self.keep.keys():
            raise UsageError("KeepPlan: neurons and keep name different layers")
        if not self.members.keys() <= self.keep.keys():
            raise UsageError("KeepPlan: members of a layer that is not cut")
        for layer, indices in self.keep.items():
            count = self.neurons[layer]
            if not indices:
                raise UsageError(
                    f"KeepPlan: layer {layer} would lose all of its {plural(count, 'neuron')}"
                )
            if any(b <= a for a, b in itertools.pairwise(indices)):
                raise UsageError(f"KeepPlan: layer {layer}: the indices that stay must ascend")
            if indices[0] < 0 or indices[-1] >= count:
                raise UsageError(f"KeepPlan: layer {layer}: an index is outside 0 to {count - 1}")
            self._check_size(layer, count)
        return self

    def _check_size(self, layer: str, count: int) -> None:
        """Refuse what no network has."""
        for each, most in (
            (1, MOST_NEURONS),
            *((m.each, MOST_NEURONS if m.side == "out" else MOST_ENTRIES) for m in
              self.members.get(layer, ())),
        ):  # fmt: skip
            if count * each > most:
                raise UsageError(f"KeepPlan: layer {layer} has {count * each} entries, which is "
                                 f"more than {most}")  # fmt: skip

    def removed(self, layer: str) -> tuple[int, ...]:
        """The indices of `layer` that go."""
        stay = set(self.keep[layer])
        return tuple(i for i in range(self.neurons[layer]) if i not in stay)


class ZeroPlan(Checked):
    """Single weights that are zero from now on: all with a magnitude up to `threshold`.

    Args:
        share: the share of all parameters that was asked to be zero, in [0, 1).
        threshold: the global magnitude; weights of linear and convolution layers up to it go.
        zeroed: how many weights are zero after it.
    """

    kind: Literal["zero"] = "zero"
    share: Annotated[float, Field(ge=0, lt=1)]
    threshold: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    zeroed: Annotated[int, Field(ge=0)]


class SharePlan(Checked):
    """Few values for the weights of a layer: each that is not zero gets the nearest one.

    Args:
        bits: at most 2^bits values a layer.
        values: layer name to its values, ascending, none of them zero.
    """

    kind: Literal["share"] = "share"
    bits: Annotated[int, Field(ge=1, le=12)]
    values: dict[str, tuple[Finite, ...]]

    @model_validator(mode="after")
    def _check(self) -> SharePlan:
        for layer, values in self.values.items():
            if not 1 <= len(values) <= 2**self.bits:
                raise UsageError(
                    f"SharePlan: layer {layer} has {plural(len(values), 'value')}, but "
                    f"{plural(self.bits, 'bit')} count 1 to {2**self.bits}"
                )
            if any(b <= a for a, b in itertools.pairwise(values)) or 0 in values:
                raise UsageError(f"SharePlan: layer {layer}: values must ascend and not be zero")
        return self


Plan: TypeAlias = MaxoutPlan | KeepPlan | ZeroPlan | SharePlan
_ADAPTER: TypeAdapter[Plan] = TypeAdapter(Annotated[Plan, Field(discriminator="kind")])


def read_plan(content: object) -> Plan:
    """Check a plan that was read from JSON.

    Raises:
        StoreError: it is not a plan.
    """
    try:
        return _ADAPTER.validate_python(content)
    except ValidationError as error:
        raise StoreError(f"not a plan: {first_wrong(error)}") from error
    except UsageError as error:
        raise StoreError(f"not a plan: {error}") from error


def keep_plan(
    neurons: dict[str, int], keep: dict[str, tuple[int, ...]], method: str = ""
) -> KeepPlan:
    """Keep these neurons of each layer: for scores of your own.

    Args:
        neurons: layer name to its number of neurons (channels) before the cut.
        keep: layer name to the ascending indices that stay.
        method: what decided, for the reader.

    Raises:
        UsageError: a layer would be emptied, or an index is out of its range or order.
    """
    return KeepPlan(neurons=neurons, keep=keep, method=method)


def maxout_plan(layer: str, k: int) -> MaxoutPlan:
    """Put a maxout over k adjacent neurons behind `layer`.

    Raises:
        UsageError: k is below 2, or not a whole number.
    """
    if type(k) is not int or k < 2:
        raise UsageError(f"a maxout takes the maximum over at least k = 2 neurons, not {k!r}")
    return MaxoutPlan(layer=layer, k=k)
