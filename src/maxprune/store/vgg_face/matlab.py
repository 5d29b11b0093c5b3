"""What is asked of a file of MATLAB, whichever its version."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from maxprune.errors import StoreError


class Variables(Protocol):
    """The variables of a file; a node is `top` or what a method gave.

    Every method raises StoreError where the node is of another kind, or has too much in it.
    """

    top: Any

    def field(self, node: Any, name: str) -> Any:
        """A field of a struct or of `top`; None where it is no struct, or has none of this name."""

    def cells(self, node: Any) -> list[Any]:
        """The elements of a cell array; none of None."""

    def text(self, node: Any) -> str:
        """A row of characters; "" of None."""

    def array(self, node: Any) -> np.ndarray:
        """Numbers with MATLAB's axes, in whatever type they are kept."""


def require(holds: bool) -> None:
    """Refuse a file in which something does not hold.

    Raises:
        StoreError: it does not.
    """
    if not holds:
        raise StoreError(
            "a variable of MATLAB is damaged, or not of the kind that MatConvNet writes"
        )
