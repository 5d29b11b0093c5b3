"""What two processes of torchrun do together; each writes what it found into FOLDER/RANK.json."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from reference import LAYER, double, found_alone, pictures, small

import maxprune
from maxprune.distributed import World, launched
from maxprune.errors import MaxpruneError
from maxprune.measure import correct


def main(folder: Path) -> None:
    """Everything that the tests look at."""
    torch.set_num_threads(1)
    with launched() as world:
        assert maxprune.distributed.world() == world
        found: dict[str, Any] = {"size": world.size, **found_alone()}
        found["correct"] = correct(double(small()), pictures(), batch=7).tolist()
        found["shares memory"] = world.memory is not None
        found["told"] = world.told({"rank": world.rank})
        found["sum"] = world.sum(torch.tensor([world.rank, 1])).tolist()
        found["agreed"] = _agreed(world, b"same"), _agreed(world, bytes([world.rank]))
        found["mirrored"] = _mirrored(world, folder)
        net = torch.nn.Linear(2, 2)
        torch.nn.init.constant_(net.weight, world.rank)
        world.equalise(net)
        found["equal"] = net.weight.tolist()
    found["alone"] = maxprune.distributed.world().size
    (folder / f"{world.rank}.json").write_text(json.dumps(found))


def _agreed(world: World, content: bytes) -> str:
    try:
        world.agree(f"plan of {LAYER}", content)
    except MaxpruneError as error:
        return str(error)
    return ""


def _mirrored(world: World, folder: Path) -> dict[str, str]:
    """What is in a folder once the first process has written into its own, and changed it."""
    own = world.own(folder / "mirrored")
    assert world.leads == (own == folder / "mirrored")
    if world.leads:
        (own / "deep").mkdir(parents=True)
        (own / "deep" / "a").write_text("first")
        (own / "b").write_text("gone soon")
    world.mirror(own)
    if world.leads:
        (own / "b").unlink()
    world.mirror(own)
    world.mirror(own / "not there")
    return {f.relative_to(own).as_posix(): f.read_text() for f in own.rglob("*") if f.is_file()}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
