"""The one family of errors.

Each message is one line that says what is wrong, in which layer or file, and what to do.
The command line prints it and ends with exit code 2.
"""

from __future__ import annotations

LONGEST = 2000
"""Characters of a message at most."""


class MaxpruneError(Exception):
    """Whatever maxprune refuses; every error of the library is one of these.

    Args:
        message: parts of it may come from a damaged file: what is not printable is escaped, so
            that it stays one line and a terminal obeys nothing in it.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(in_one_line(message))


class UsageError(MaxpruneError):
    """An argument is out of its range or does not fit the others."""


class StructureError(MaxpruneError):
    """The network, or the named layer of it, cannot be cut as asked."""


class AuditError(MaxpruneError):
    """The smaller network does not give what the masked larger one gives: a defect of the cut."""


class DataError(MaxpruneError):
    """A dataset is missing, damaged, or not what its name says."""


class StoreError(MaxpruneError):
    """A saved model, a checkpoint or a results file is damaged or of another format."""


class OutputError(MaxpruneError):
    """Something could not be written: a full disk, a folder in use, no permission."""


class TrainingDiverged(MaxpruneError):  # noqa: N818  (what happened, not what to call it)
    """The loss is no longer a finite number."""


class OutOfMemory(MaxpruneError):  # noqa: N818
    """Memory is out, on the processor or an accelerator."""


class Remark(UserWarning):
    """No error, but something that the user has to know of a result."""


def in_one_line(message: object) -> str:
    r"""A message in one line, of characters that can be printed, and not of very many.

    Example:
        >>> print(in_one_line("no layer 'a\nb'"))
        no layer 'a\nb'
    """
    text = str(message)
    if not text.isprintable():
        text = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def first_line(error: BaseException) -> str:
    """The first line of another library's error, or its kind where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
