"""Few values and zeros, entry by entry in contexts (docs/format.md, "In contexts").

Every entry is coded as bits: is it zero, and, if it is not, which of the values, by halving them.
The context of the first is how many of two neighbours are zero, that of the second which sign these
have: neighbours in a filter are alike. Wiedemann et al. 2020, *DeepCABAC*, code networks in this
manner, with contexts of their own. It takes a few bytes where streams of fixed frequencies take a
table each, so it is for small tensors, and slower.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from maxprune.coding.arithmetic import BitReader, BitWriter, bits_needed

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64

    Entries: TypeAlias = Float32[np.ndarray, " n"]
    Values: TypeAlias = Float32[np.ndarray, " m"]

MOST = 1 << 16  # entries of a tensor that is coded so,
MOST_IN_ALL = 1 << 20  # and of all that are in one file: each takes a microsecond or more
MOST_VALUES = 256
WIDTHS = range(1, 9)  # that are tried

SIGNS = 4  # the context of no sign; 3 and 5 are minus and plus, 0 to 2 are those of the zeros
NODES = 4  # and 6 upwards are those of the further halvings


@dataclass(frozen=True)
class InContexts:
    """A tensor's entries in their order, with the distance at which they have a second neighbour.

    Attributes:
        contexts: of every bit.
        bits: what it is.
        width: the distance of the second neighbour; the first is the entry before.
    """

    contexts: Int64[np.ndarray, " bits"]
    bits: Int64[np.ndarray, " bits"]
    width: int

    def size(self) -> float:
        """How many bytes it takes, but for rounding."""
        return bits_needed(self.contexts, self.bits) / 8

    def write(self, writer: BitWriter) -> None:
        """Behind what was written before."""
        writer.write(self.contexts.tolist(), self.bits.tolist())


def in_contexts(entries: Entries, values: Values, widths: set[int]) -> InContexts:
    """The shortest with one of these widths, and the usual ones.

    Args:
        entries: at least one.
        values: those that are not zero, ascending.
        widths: such as the length of a row.
    """
    tried = sorted(w for w in {*WIDTHS, *widths} if w <= len(entries))
    return min((_in_contexts(entries, values, width) for width in tried), key=InContexts.size)


def _in_contexts(entries: Entries, values: Values, width: int) -> InContexts:
    signs = np.sign(entries).astype(np.int64)
    before, above = _shifted(signs, 1), _shifted(signs, width)
    places = [np.arange(len(entries))]
    contexts = [abs(before) + abs(above)]
    bits = [abs(signs)]
    at = np.flatnonzero(signs)
    which = np.searchsorted(values, entries[at])
    low, high, node = np.zeros_like(at), np.full_like(at, len(values)), np.ones_like(at)
    while len(at := at[(more := high - low > 1)]):
        which, low, high, node = which[more], low[more], high[more], node[more]
        middle = (low + high) // 2
        upper = which >= middle
        places.append(at)
        contexts.append(np.where(node == 1, SIGNS + np.sign(before + above)[at], NODES + node))
        bits.append(upper.astype(np.int64))
        low, high = np.where(upper, middle, low), np.where(upper, high, middle)
        node = 2 * node + upper
    order = np.argsort(np.concatenate(places), kind="stable")
    return InContexts(np.concatenate(contexts)[order], np.concatenate(bits)[order], width)


def _shifted(signs: Int64[np.ndarray, " n"], by: int) -> Int64[np.ndarray, " n"]:
    return np.concatenate([np.zeros(by, np.int64), signs[:-by]])


def read_entries(reader: BitReader, count: int, values: Values, width: int) -> Entries:
    """As many entries.

    Args:
        reader: of the stream of bits.
        count: of the entries.
        values: those that are not zero, at least one.
        width: the distance of the second neighbour, at least 1.

    Raises:
        StoreError: the stream ends early.
    """
    reader.forget()
    signs = np.sign(values).astype(int).tolist()
    seen = [0] * (width + count)  # signs, with as many zeros in front
    which = np.full(count, len(values))
    for i in range(count):
        before, above = seen[width + i - 1], seen[i]
        if not reader.bit(abs(before) + abs(above)):
            continue
        low, high, node = 0, len(values), 1
        while high - low > 1:
            side = before + above
            sign = (side > 0) - (side < 0)
            upper = reader.bit(SIGNS + sign if node == 1 else NODES + node)
            middle = (low + high) // 2
            low, high = (middle, high) if upper else (low, middle)
            node = 2 * node + upper
        which[i] = low
        seen[width + i] = signs[low]
    found: Entries = np.append(values, np.float32(0))[which]
    return found
