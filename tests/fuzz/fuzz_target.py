"""What is fuzzed: a parser of outside bytes, and what may come of one input.

Bytes go in, and out comes a value or one error that says in a line what is wrong. All else is a
finding: another exception, a message that a terminal could obey, much memory or time for few bytes.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import resource
import shutil
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from maxprune.errors import MaxpruneError
from maxprune.pictures import Unreadable

Form = Literal["bytes", "json", "protobuf"]
"""How inputs are changed: as bytes; as a tree of JSON; as nested fields of Protocol Buffers."""

REFUSALS = (MaxpruneError, Unreadable)
FREE = 64 << 20  # bytes of memory that any input may take,
A_BYTE = 64  # and beside it for each of its own
LONGEST = 2000  # characters of a message
SECONDS = 5.0  # of this process; a valid file takes milliseconds

_PEAK = Path("/proc/self/clear_refs")  # Linux resets the peak of memory by it
_PAGES = Path("/proc/self/statm")


class Finding(Exception):  # noqa: N818  (what was found)
    """An input after which the parser did what it must not; the message is what."""


@dataclass(frozen=True)
class Target:
    """A parser.

    Attributes:
        name: of the target, and of its folder in the corpus.
        read: bytes to a value.
        seeds: valid files, as bytes.
        repaired: the same bytes with checksums that fit, so that damage gets past them.
        form: how inputs are changed.
        free: bytes of memory that any input may take, where that is not `FREE`.
    """

    name: str
    read: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]
    repaired: Callable[[bytes], bytes] | None = None
    form: Form = "bytes"
    free: int = FREE

    def warm(self) -> None:
        """Read the seeds: what is imported or built once is not counted against an input."""
        for content in self.seeds():
            with contextlib.suppress(*REFUSALS):
                self.read(content)

    def check(self, content: bytes) -> str:
        """Parse an input, as it is and repaired.

        Returns:
            The message of the refusal; "" where it was read.

        Raises:
            Finding: it did what it must not.
        """
        said = self._checked(content)
        return said if self.repaired is None else self._checked(self.repaired(content))

    def _checked(self, content: bytes) -> str:
        before = _memory()
        said = ""
        try:
            with warnings.catch_warnings(), _no_longer_than(SECONDS):
                warnings.simplefilter("ignore")
                self.read(content)
        except _TooLong as error:
            raise Finding(f"time: over {SECONDS} s for {len(content):,} bytes") from error
        except REFUSALS as error:
            said = str(error)
        except (Exception, SystemExit) as error:
            raise Finding(f"{type(error).__name__}: {error}") from error
        taken, allowed = _peak() - before, self.free + A_BYTE * len(content)
        if taken > allowed:
            raise Finding(f"memory: {taken:,} bytes for {len(content):,}")
        if not said.isprintable() or len(said) > LONGEST:
            raise Finding(f"message: {said[:200]!r}")
        return said


class _TooLong(BaseException):
    """No `Exception`, so that no parser takes it for damage."""


@contextlib.contextmanager
def _no_longer_than(seconds: float) -> Iterator[None]:
    """Raise in the middle of Python's work that takes more of this process's time."""

    def stop(number: int, frame: object) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _memory() -> int:
    """Bytes of this process in memory; from here on its peak is counted anew."""
    try:
        _PEAK.write_text("5", encoding="ascii")
        return int(_PAGES.read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except OSError:  # not on this system: the peak of the whole process does not grow with most
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


@functools.cache
def folder() -> Path:
    """A folder for this process, in memory where there is such a thing; removed at its end."""
    shared = Path("/dev/shm")  # noqa: S108  (mkdtemp makes a folder of its own in it)
    place = Path(tempfile.mkdtemp(prefix="fuzz-", dir=shared if shared.is_dir() else None))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return place


def of_file(read: Callable[[Path], object], name: str = "file") -> Callable[[bytes], object]:
    """The parser of a file as one of bytes."""

    def parse(content: bytes) -> object:
        path = folder() / name
        path.write_bytes(content)
        return read(path)

    return parse
