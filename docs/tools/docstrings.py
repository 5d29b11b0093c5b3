"""What griffe, which reads docstrings for mkdocstrings, does not know of this project's."""

from __future__ import annotations

import re
from typing import Any

from griffe import Class, Docstring, Extension, Object


class HouseSections(Extension):
    """`Example:` is a section of doctests, and `Args:` of a record are its fields.

    Griffe calls the first `Examples:`; a record, whose `__init__` nobody wrote, has no parameters
    that it could see, but attributes with types.
    """

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Called for every module, class, function and attribute, once its members are there."""
        if obj.docstring:
            _rename(obj.docstring, "Example", "Examples")
            if isinstance(obj, Class) and "__init__" not in obj.members:
                _rename(obj.docstring, "Args", "Attributes")


def _rename(docstring: Docstring, section: str, to: str) -> None:
    docstring.value = re.sub(rf"^{section}:$", f"{to}:", docstring.value, flags=re.MULTILINE)
