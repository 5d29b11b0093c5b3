"""A look at every picture of an index, once, where something has to be known of all of them.

Without a size to bring them to all have to have one, and are RGB unless all are grey: their headers
are read. Where those that cannot be read are left out, each is decoded. What was seen is kept in
the cache, for the next start.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import PIL
from pydantic import ValidationError

from maxprune.data.ahead import in_order
from maxprune.data.download import cache
from maxprune.data.index import Index
from maxprune.data.layout import shown
from maxprune.errors import DataError, OutputError, StoreError
from maxprune.files import read_json, write_json
from maxprune.pictures import Size, Unreadable, quiet, shape_of
from maxprune.results import Record

Tick = Callable[[int, int], object]


class Seen(Record):
    """What was seen of a split.

    `shape` is (channels, height, width) of all its pictures, `first` the number of the one that
    decided on it; both are None where none could be read, and channels are the most of any.
    `unreadable` has the numbers of those that cannot be read, each with the reason.
    """

    shape: tuple[int, int, int] | None
    first: int | None
    unreadable: dict[int, str]


@dataclass(frozen=True)
class Survey:
    """How pictures are looked at.

    Args:
        size: that they are brought to; None where they all have to have one.
        skip: whether those that cannot be read are left out.
        workers: threads.
        tick: told (pictures done, pictures in all).
    """

    size: Size | None
    skip: bool
    workers: int
    tick: Tick | None = None

    def of(self, index: Index) -> Seen:
        """What is to be known of a split; kept, or seen now.

        Raises:
            DataError: sizes differ and there is none to bring them to, or a picture cannot be read
                and is not to be skipped.
        """
        if self.size is not None and not self.skip:
            return Seen(shape=self.size, first=0, unreadable={})
        how = f"{index.checksum} {self.skip} {self.size is None} Pillow {PIL.__version__}"
        kept = cache() / "looked" / f"{hashlib.sha256(how.encode()).hexdigest()}.json"
        found: Seen | None = None
        with contextlib.suppress(StoreError, ValidationError):
            found = Seen.model_validate(read_json(kept))
        if found is None or any(not 0 <= place < len(index) for place in found.unreadable):
            found = self._look(index)
            with contextlib.suppress(OutputError):
                write_json(kept, found.model_dump(mode="json"))
        return found if self.size is None else found.model_copy(update={"shape": self.size})

    def _look(self, index: Index) -> Seen:
        """At every picture."""
        quiet()
        shape: tuple[int, int, int] | None = None
        first: int | None = None
        unreadable: dict[int, str] = {}
        look = partial(self._one, index)
        with contextlib.closing(
            in_order(look, range(len(index)), self.workers, 16 * self.workers)
        ) as found:
            for place, seen in enumerate(found):
                if isinstance(seen, Unreadable):
                    if not self.skip:
                        raise unread(index, place, seen)
                    unreadable[place] = str(seen)
                elif shape is None or first is None:
                    shape, first = seen, place
                else:
                    if self.size is None and seen[1:] != shape[1:]:
                        raise unequal((index, first, shape), (index, place, seen))
                    shape = max(shape[0], seen[0]), shape[1], shape[2]
                if self.tick is not None:
                    self.tick(place + 1, len(index))
        return Seen(shape=shape, first=first, unreadable=unreadable)

    def _one(self, index: Index, place: int) -> Size | Unreadable:
        """The shape of a picture, or why it cannot be read."""
        try:
            if not self.skip:
                return shape_of(index.file(place))
            channels, height, width = index.read(place, None).shape
        except Unreadable as error:
            return error
        return channels, height, width


def unread(index: Index, place: int, error: Unreadable) -> DataError:
    """What is said of a picture that cannot be read, where that is to stop."""
    return DataError(
        f"cannot read {shown(index.path(place))}: {error}; repair or remove it, or leave out all "
        "such pictures with --unreadable skip"
    )


def unequal(one: tuple[Index, int, Size], other: tuple[Index, int, Size]) -> DataError:
    """What is said of two pictures of other sizes."""
    (a, i, (_, high, wide)), (b, j, (_, higher, wider)) = one, other
    return DataError(
        f"{shown(a.path(i))} is {wide}x{high}, {shown(b.path(j))} is {wider}x{higher} pixels, but "
        "all must have one size; give --input 3,H,W and each is cut and resized to that height and "
        "width"
    )
