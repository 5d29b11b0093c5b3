"""The file `pairs.txt` of LFW (Huang et al. 2007), View 2, as text that is checked.

The first line has the number of folds and, after a tab, that of the pairs of each kind in a fold.
Then come, fold after fold, the pairs of one person, "name n1 n2", and those of two people,
"name1 n1 name2 n2", with tabs between.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from maxprune.data.layout import shown
from maxprune.errors import DataError

OFFICIAL = "ea42330c62c92989f9d7c03237ed5d591365e89b3e649747777b70e692dc1592"
"""The SHA-256 of the published `pairs.txt`."""

_LIMIT = 1 << 22  # bytes of such a file at most; the published one has 155,335
_NUMBER = "[1-9][0-9]{0,3}"
_FIRST = re.compile(rf"({_NUMBER})\t({_NUMBER})")
_SAME = re.compile(rf"([^\t]+)\t({_NUMBER})\t({_NUMBER})")
_DIFFERENT = re.compile(rf"([^\t]+)\t({_NUMBER})\t([^\t]+)\t({_NUMBER})")


class Pair(NamedTuple):
    """Two pictures, each a name and a number."""

    first: tuple[str, int]
    second: tuple[str, int]

    @property
    def same(self) -> bool:
        """Whether they show one person."""
        return self.first[0] == self.second[0]


@dataclass(frozen=True)
class View2:
    """What a file of pairs says.

    Attributes:
        path: the file.
        folds: how many folds there are.
        each: pairs of one person in a fold; as many are of two people.
        pairs: all of them; pair i is on line i + 2, in fold i // (2 * each).
        official: whether the file is the published one, to the byte.
    """

    path: Path
    folds: int
    each: int
    pairs: tuple[Pair, ...]
    official: bool

    def line(self, pair: int) -> str:
        """Where pair `pair` stands, as messages call it."""
        return _line(self.path, pair + 2)


def read_pairs(path: Path) -> View2:
    """Read a file like `pairs.txt`, which may be of other people and have other numbers of pairs.

    Raises:
        DataError: it is missing, too large, or not what the module describes; a pair is there
            twice, or has one picture twice, or is of one person among those of two.
    """
    content = _content(path)
    lines = _text(path, content).removesuffix("\n").split("\n")
    first = _FIRST.fullmatch(lines[0])
    if first is None:
        raise DataError(
            f"{_line(path, 1)} is {_short(lines[0])}, expected the number of folds, a tab and the "
            "pairs of each kind in a fold, such as 10 and 300"
        )
    folds, each = int(first[1]), int(first[2])
    if len(lines) - 1 != folds * 2 * each:
        raise DataError(
            f"{shown(path)} has {len(lines) - 1} pairs, but its first line says {folds} folds of "
            f"{each} pairs of one person and {each} of two, so {folds * 2 * each}"
        )
    seen: dict[frozenset[tuple[str, int]], int] = {}
    pairs = []
    for number, line in enumerate(lines[1:], start=2):
        pair = _pair(path, number, line, same=(number - 2) % (2 * each) < each)
        before = seen.setdefault(frozenset(pair), number)
        if before != number:
            raise DataError(f"{_line(path, number)} has the pair of line {before} again")
        pairs.append(pair)
    official = hashlib.sha256(content).hexdigest() == OFFICIAL
    return View2(path, folds, each, tuple(pairs), official)


def _content(path: Path) -> bytes:
    """The bytes of the file, if they are not too many."""
    try:
        with path.open("rb") as file:
            content = file.read(_LIMIT + 1)
    except OSError as error:
        raise DataError(f"cannot read {shown(path)}: {error.strerror or error}") from error
    if len(content) > _LIMIT:
        raise DataError(f"{shown(path)} has more than {_LIMIT} bytes, so it is no file of pairs")
    return content


def _text(path: Path, content: bytes) -> str:
    """What the bytes say, with lines that end as on Unix."""
    try:
        return content.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{shown(path)} is not text in UTF-8: {error.reason}") from error


def _pair(path: Path, number: int, line: str, same: bool) -> Pair:
    """The pair on one line."""
    match = (_SAME if same else _DIFFERENT).fullmatch(line)
    if match is None:
        kind = "NAME N1 N2" if same else "NAME1 N1 NAME2 N2"
        raise DataError(f"{_line(path, number)} is {_short(line)}, expected {kind} with tabs")
    if same:
        pair = Pair((match[1], int(match[2])), (match[1], int(match[3])))
    else:
        pair = Pair((match[1], int(match[2])), (match[3], int(match[4])))
    if pair.first == pair.second:
        raise DataError(
            f"{_line(path, number)} pairs picture {match[2]} of {match[1]!r} with itself"
        )
    if pair.same != same:
        raise DataError(
            f"{_line(path, number)} is among the pairs of two people, but both are {match[1]!r}"
        )
    return pair


def _line(path: Path, number: int) -> str:
    """A line, from 1, as messages call it."""
    return f"{shown(path)}, line {number}"


def _short(line: str) -> str:
    """A line as a message shows it."""
    return ascii(line[:80])
