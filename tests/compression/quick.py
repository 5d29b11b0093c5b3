"""Settings of a search that takes seconds."""

from typing import Any

QUICK: dict[str, Any] = {"epochs": 1, "batch": 32, "keep_accuracy": 8.0}
