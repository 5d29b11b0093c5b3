"""Names that may go into code: torch.fx writes those of modules and tensors into what it generates.

It puts quotation marks around them, but escapes nothing, and writes the keywords of calls as they
are; so a name from a file could be code of its author's. What is read from elsewhere goes through
here first.
"""

from __future__ import annotations

import keyword
import re

_PLAIN = re.compile(r"[A-Za-z0-9_/: ()+-]+")


def is_plain(name: object) -> bool:
    """Whether a dotted name is harmless between quotation marks, and none of Python's own words.

    Example:
        >>> is_plain("features.0.conv-1"), is_plain('a") or open("b'), is_plain("features.None")
        (True, False, False)
    """
    if not isinstance(name, str):
        return False
    parts = name.split(".")
    return all(_PLAIN.fullmatch(part) and not keyword.iskeyword(part) for part in parts)


def is_keyword(name: object) -> bool:
    """Whether a name may stand for an argument in a call.

    Example:
        >>> is_keyword("dim"), is_keyword("dim=open('b'), x"), is_keyword("None")
        (True, False, False)
    """
    return isinstance(name, str) and name.isidentifier() and not keyword.iskeyword(name)
