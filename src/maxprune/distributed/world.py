"""The processes that work on one thing together, and what they tell each other.

All of them run the same program on the same data. What is heavy is divided among them: a batch of
training, the batches of a pass. What they find is added up, so that all go on with the same
numbers. The first one alone has the folder of the run; the others have folders of their own, which
are gone afterwards, and get from the first what lies in it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from maxprune.distributed.shared_memory import SharedMemory
from maxprune.errors import MaxpruneError
from maxprune.files import read_bytes, write_bytes

_WORDS = 4  # of 63 bits, of a checksum


@dataclass(frozen=True)
class World:
    """This process among those that work together.

    Args:
        rank: the number of this one, from 0; the first decides and writes.
        size: how many there are.
        fabric: Lightning's `Fabric`, which has started them; None for a process alone.
        private: where a process that is not the first keeps what the first has in its folders.
        memory: of all processes, by which gradients become their mean; None has Fabric do it.
    """

    rank: int = 0
    size: int = 1
    fabric: Any = None
    private: Path | None = None
    memory: SharedMemory | None = None

    @property
    def leads(self) -> bool:
        """Whether this is the first process, or the only one."""
        return self.rank == 0

    def sum(self, numbers: Tensor) -> Tensor:
        """Numbers of the same shape in all processes, added up; the same in all of them."""
        if self.size == 1:
            return numbers
        there = numbers.detach().to(self.fabric.device, copy=True).contiguous()
        dist.all_reduce(there)
        return there.to(numbers.device)

    def told(self, value: Any) -> Any:
        """What the first process says: its value, as JSON can hold it."""
        return json.loads(self._sent(json.dumps(value).encode())) if self.size > 1 else value

    def agree(self, what: str, content: bytes) -> None:
        """Check that all processes have the same.

        Args:
            what: it is, for the message.
            content: of this process.

        Raises:
            MaxpruneError: they have not.
        """
        if self.size == 1:
            return
        digest = hashlib.sha256(content).digest()
        words = [int.from_bytes(digest[8 * i : 8 * i + 8], "big") >> 1 for i in range(_WORDS)]
        all_of_them = torch.zeros(self.size, _WORDS, dtype=torch.int64)
        all_of_them[self.rank] = torch.tensor(words)
        found = self.sum(all_of_them)
        if bool((found != found[0]).any()):
            raise MaxpruneError(
                f"the processes do not have the same {what}; start them with the same program, "
                "the same data and the same kind of machine"
            )

    def gathered(self, numbers: Tensor) -> list[Tensor]:
        """A row of numbers of each process, (n,), by its rank; they may differ in length."""
        if self.size == 1:
            return [numbers]
        lengths = torch.zeros(self.size, dtype=torch.int64)
        lengths[self.rank] = len(numbers)
        each = self.sum(lengths).tolist()
        start = sum(each[: self.rank])
        together = torch.zeros(sum(each), dtype=numbers.dtype)
        together[start : start + len(numbers)] = numbers.cpu()
        return list(self.sum(together).split(each))

    def equalise(self, model: nn.Module) -> None:
        """Give a network the weights and buffers that it has in the first process, in place."""
        if self.size == 1:
            return
        for tensor in model.state_dict().values():
            there = tensor.detach().to(self.fabric.device, copy=True).contiguous()
            dist.broadcast(there, 0)
            tensor.copy_(there)

    def own(self, path: Path) -> Path:
        """Where this process keeps what the first keeps at `path`."""
        if self.private is None or path.is_relative_to(self.private):
            return path
        return self.private.joinpath(*path.absolute().parts[1:])

    def mirror(self, path: Path) -> None:
        """Bring what the first process has at a path, a file, a folder or nothing, to the others.

        Args:
            path: as `own` gives it.
        """
        if self.size == 1:
            return
        files = sorted(_files(path)) if self.leads else []
        contents = {file.relative_to(path).as_posix(): read_bytes(file) for file in files}
        sizes = self.told({name: len(content) for name, content in contents.items()})
        whole = self._sent(b"".join(contents.values()))
        if self.leads:
            return
        for file in _files(path):
            if file.relative_to(path).as_posix() not in sizes:
                file.unlink()
        start = 0
        for name, size in sizes.items():
            write_bytes(path / name, whole[start : start + size])
            start += size

    def _sent(self, content: bytes) -> bytes:
        """The bytes that the first process has, in all of them."""
        size = self.sum(torch.tensor(len(content) if self.leads else 0))
        there = torch.zeros(int(size), dtype=torch.uint8)
        if self.leads and content:
            there = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        there = there.to(self.fabric.device)
        if len(there):
            dist.broadcast(there, 0)
        return there.cpu().numpy().tobytes()


def _files(path: Path) -> list[Path]:
    """The file at a path, or all files in the folder there."""
    if path.is_file():
        return [path]
    return [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else []


ALONE = World()
_worlds = [ALONE]


def world() -> World:
    """The processes that this one works with; alone, unless `launched` is open."""
    return _worlds[-1]


def enter(found: World) -> None:
    """Make this the world until `leave`."""
    _worlds.append(found)


def leave() -> None:
    """Be alone again."""
    _worlds.pop()


def in_turns(here: World, lengths: list[int], parts: list[Tensor]) -> Tensor:
    """What the processes have found for every sample of a pass, in the order of the pass.

    Args:
        here: the processes, of which each has taken every `size`-th batch.
        lengths: samples of each batch of this one.
        parts: (n,) outcomes, yes or no, for all of these samples, in their order.
    """
    own = torch.cat([torch.zeros(0, dtype=torch.bool), *parts])
    if here.size == 1:
        return own
    sizes = here.gathered(torch.tensor(lengths, dtype=torch.int64))
    outcomes = here.gathered(own.to(torch.uint8))
    each = [row.bool().split(n.tolist()) for row, n in zip(outcomes, sizes, strict=True)]
    turns = range(max(map(len, each)))
    return torch.cat([row[turn] for turn in turns for row in each if turn < len(row)])
