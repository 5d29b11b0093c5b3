"""What the benchmarks share: their options, and how a result is shown and kept."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from maxprune.files import write_json


def options(about: str | None, folders: Sequence[str] = (), **numbers: int) -> argparse.Namespace:
    """Whole numbers with their defaults, folders, that of the datasets, and the file to write."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    for name in (*folders, "data"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def show(result: dict[str, Any], out: Path | None) -> None:
    """Print a result line by line, and write it as JSON if a file was named."""
    for key, value in result.items():
        print(f"{key}: {value}")
    if out:
        write_json(out, result)
