"""Bits by an adaptive arithmetic coder (docs/format.md, "The stream of bits").

A range coder (Martin 1979) that learns how likely a bit is from those before it in the same
context, by the estimate of Krichevsky and Trofimov 1981, *The performance of universal encoding*:
after n0 zeros and n1 ones, the next bit is zero with (n0 + 1/2) / (n0 + n1 + 1). No table is
stored. Whole numbers only, so every machine decodes the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from maxprune.errors import StoreError

WHOLE = (1 << 32) - 1
TOP = 1 << 24  # the range is above it before every bit
SPARE = 4  # bytes that a reader may take beyond the last one; they are zero


class Span:
    """A range, and how many zeros and ones there were in each context."""

    def __init__(self) -> None:
        self.span = WHOLE
        self.seen: dict[int, list[int]] = {}

    def forget(self) -> None:
        """What was learned does not count for the bits that follow."""
        self.seen = {}

    def share(self, context: int) -> int:
        """How much of the range stands for a zero in this context."""
        zeros, ones = self.seen.setdefault(context, [0, 0])
        return self.span // (2 * (zeros + ones) + 2) * (2 * zeros + 1)

    def narrow(self, context: int, bit: int, share: int) -> int:
        """Go on with the part of a bit; how many bytes are settled by it."""
        self.seen[context][bit] += 1
        self.span = self.span - share if bit else share
        settled = 0
        while self.span < TOP:
            self.span <<= 8
            settled += 1
        return settled


class BitWriter:
    """Writes bits; `close` gives the bytes."""

    def __init__(self) -> None:
        self.found = bytearray()
        self.low, self.span = 0, Span()

    def write(self, contexts: Iterable[int], bits: Iterable[int]) -> None:
        """Bits, each in its context; what was learned before does not count."""
        span = self.span
        span.forget()
        for context, bit in zip(contexts, bits, strict=True):
            share = span.share(context)
            if bit:
                self._raise(share)
            for _ in range(span.narrow(context, bit, share)):
                self._out()

    def _raise(self, by: int) -> None:
        """Add to the lower end; a carry goes into the bytes that are written."""
        self.low += by
        if self.low > WHOLE:
            self.low &= WHOLE
            place = len(self.found) - 1
            while self.found[place] == 255:
                self.found[place] = 0
                place -= 1
            self.found[place] += 1

    def _out(self) -> None:
        self.found.append(self.low >> 24)
        self.low = self.low << 8 & WHOLE

    def close(self) -> bytes:
        """All bytes: behind the others as few as tell the last range."""
        for kept in range(SPARE + 1):
            step = 1 << 32 - 8 * kept
            short = -(-self.low // step) * step
            if short < self.low + self.span.span:
                break
        self._raise(short - self.low)
        for _ in range(kept):
            self._out()
        return bytes(self.found)


class BitReader:
    """Reads the bits again.

    Args:
        content: all bytes of the stream.
    """

    def __init__(self, content: bytes | memoryview) -> None:
        self.content = content
        self.at = 0
        self.span, self.code = Span(), 0
        for _ in range(SPARE):
            self._in()

    def forget(self) -> None:
        """What was learned does not count for the bits that follow."""
        self.span.forget()

    def bit(self, context: int) -> int:
        """The next bit.

        Raises:
            StoreError: the stream has ended.
        """
        share = self.span.share(context)
        bit = int(self.code >= share)
        if bit:
            self.code -= share
        for _ in range(self.span.narrow(context, bit, share)):
            self._in()
        return bit

    def _in(self) -> None:
        if self.at < len(self.content):
            byte = self.content[self.at]
        elif self.at < len(self.content) + SPARE:
            byte = 0
        else:
            raise StoreError("its bits end early")
        self.at += 1
        self.code = (self.code << 8 | byte) & WHOLE

    def left(self) -> int:
        """How many bytes have not been read."""
        return max(0, len(self.content) - self.at)


def bits_needed(contexts: np.ndarray, bits: np.ndarray) -> float:
    """How many bits `BitWriter.write` takes for these, but for rounding.

    By the estimate's closed form: the order of the bits in a context does not matter.
    """
    kinds, which = np.unique(contexts, return_inverse=True)
    ones = np.bincount(which, weights=bits, minlength=len(kinds))
    zeros = np.bincount(which, minlength=len(kinds)) - ones
    half = math.lgamma(0.5)
    nats = sum(
        math.lgamma(z + o + 1) - math.lgamma(z + 0.5) - math.lgamma(o + 0.5) + 2 * half
        for z, o in zip(zeros, ones, strict=True)
    )
    return nats / math.log(2)
