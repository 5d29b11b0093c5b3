"""Every parser of bytes that come from outside, by name; what a new one has to be added to."""

from __future__ import annotations

import fuzz_datasets
import fuzz_models
import fuzz_records
import fuzz_weights
from fuzz_target import Target

TARGETS: dict[str, Target] = {
    target.name: target
    for room in (fuzz_datasets, fuzz_records, fuzz_models, fuzz_weights)
    for target in room.TARGETS
}
