"""What two processes of one machine do with memory that they share; each writes FOLDER/RANK.json.

With `gone` the second one is killed while the first waits for it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import torch

from maxprune.distributed import launched
from maxprune.distributed.shared_memory import BYTES
from maxprune.errors import MaxpruneError

LENGTHS = (0, 1, 1000, BYTES // 4, BYTES // 4 + 1, 3 * BYTES // 4 + 7)


def means(rank: int, dtype: torch.dtype) -> list[torch.Tensor]:
    """Numbers that differ between processes, of several lengths."""
    seeds = (torch.Generator().manual_seed(2 * n + rank) for n in range(len(LENGTHS)))
    return [
        torch.randn(length, generator=seed).to(dtype)
        for length, seed in zip(LENGTHS, seeds, strict=True)
    ]


def main(folder: Path, gone: bool) -> None:
    found: dict[str, object] = {}
    with launched() as world:
        memory = world.memory
        assert memory is not None
        for dtype in (torch.float32, torch.float64, torch.bfloat16):
            both = [means(rank, dtype) for rank in range(world.size)]
            ours = [memory.mean_(x) for x in means(world.rank, dtype)]
            found[str(dtype)] = all(
                torch.equal(x, torch.stack([a, b]).mean(0))
                for x, a, b in zip(ours, *both, strict=True)
            )
        found["private"] = str(world.private)
        if gone and world.rank:
            (folder / "1.json").write_text(json.dumps(found))
            os.kill(os.getpid(), signal.SIGKILL)
        if gone:
            try:
                memory.mean_(torch.zeros(3))
            except MaxpruneError as error:
                found["gone"] = str(error)
        (folder / f"{world.rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), "gone" in sys.argv)
