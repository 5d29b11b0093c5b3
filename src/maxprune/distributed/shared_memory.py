"""The mean of gradients over the processes of one machine, through memory that they share.

gloo sends them through sockets, by threads that need the cores on which the processes train: with
LeNet-5 on two cores a step takes a quarter longer than without a word between them, and a tenth
through memory. On CUDA NCCL does it, and between machines gloo.
"""

import contextlib
import mmap
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.distributed import GradBucket  # type: ignore[attr-defined]
from torch.futures import Future

from maxprune.errors import MaxpruneError

if TYPE_CHECKING:
    from maxprune.distributed.world import World

BYTES = 4 << 20  # of one process's gradients that are added up at a time
SECONDS = 1800.0  # to wait for the others, as long as gloo does
_MEMORY, _DOOR = "memory", "door"
_ROOMS = Path("/dev/shm"), Path(tempfile.gettempdir())  # noqa: S108  (memory, where there is it)


class SharedMemory:
    """What the processes of one machine use together.

    Args:
        slots: (2, processes, `BYTES`) bytes, the same in all. They take turns: nobody writes to one
            half before all have read it, as all meet between.
        rank: the number of this process.
        others: of the first process, sockets to all others; of each of them, the one to the first.
    """

    def __init__(self, slots: Tensor, rank: int, others: list[socket.socket]) -> None:
        self._slots, self._rank, self._others = slots, rank, others
        self._turn = 0

    def mean_(self, numbers: Tensor) -> Tensor:
        """Numbers of the same shape and type in all processes become their mean, in place.

        Equal to the last bit in all of them.

        Raises:
            MaxpruneError: a process has ended, or the others wait for half an hour.
        """
        flat = numbers.view(-1)
        for part in flat.split(BYTES // flat.element_size()):
            slots = self._slots[self._turn].view(part.dtype)[:, : len(part)]
            self._turn = 1 - self._turn
            slots[self._rank] = part
            self._meet()
            torch.mean(slots, 0, out=part)
        return numbers

    def _meet(self) -> None:
        """Go on when all have come here; a word to the kernel also makes memory seen by all."""
        try:
            if self._rank == 0:
                heard = [one.recv(1) for one in self._others]
                if all(heard):
                    for one in self._others:
                        one.sendall(b".")
            else:
                self._others[0].sendall(b".")
                heard = [self._others[0].recv(1)]
        except OSError as error:
            raise MaxpruneError(f"another process does not answer: {error}") from error
        if not all(heard):
            raise MaxpruneError("another process has ended")


def mean_by(memory: SharedMemory, bucket: GradBucket) -> Future[Tensor]:
    """A hook for torch's `DistributedDataParallel`, which looks at its types: no strings here."""
    done: Future[Tensor] = Future()
    done.set_result(memory.mean_(bucket.buffer()))
    return done


@contextlib.contextmanager
def shared_memory(world: "World") -> Iterator[SharedMemory | None]:
    """Memory of all processes, which are those of one machine; None where it cannot be had.

    Its name is gone once all have opened it, so nothing is left of it however they end.
    """
    with contextlib.ExitStack() as stack:
        found = None
        with contextlib.ExitStack() as names:
            made = _made(names, world.size) if world.leads else None
            folder = world.told(None if made is None else str(made[0]))
            opened = None if folder is None else _opened(stack, Path(folder), world)
            count = int(world.sum(torch.tensor(int(opened is not None))))
            if opened is not None and count == world.size:
                slots, others = opened
                if made is not None:  # they have knocked, all of them
                    knocked = [made[1].accept()[0] for _ in range(world.size - 1)]
                    others = [stack.enter_context(one) for one in knocked]
                for one in others:
                    one.settimeout(SECONDS)
                found = SharedMemory(slots, world.rank, others)
        yield found


def _made(names: contextlib.ExitStack, size: int) -> tuple[Path, socket.socket] | None:
    """A folder with a file in memory, all of it there, and a door for the others to knock at."""
    for room in _ROOMS:
        with contextlib.suppress(OSError, AttributeError):  # no such sockets on Windows
            place = tempfile.TemporaryDirectory(prefix="maxprune-", dir=room)
            folder = Path(names.enter_context(place))
            with (folder / _MEMORY).open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, 2 * size * BYTES)
            door = names.enter_context(socket.socket(socket.AF_UNIX))
            door.bind(str(folder / _DOOR))
            door.listen(size)
            return folder, door
    return None


def _opened(
    stack: contextlib.ExitStack, folder: Path, world: "World"
) -> tuple[Tensor, list[socket.socket]] | None:
    """The memory and the socket to the first process; None if this one cannot open them."""
    others = []
    try:
        with (folder / _MEMORY).open("r+b") as file:
            memory = mmap.mmap(file.fileno(), 2 * world.size * BYTES)
        if not world.leads:
            others.append(stack.enter_context(socket.socket(socket.AF_UNIX)))
            others[0].connect(str(folder / _DOOR))
    except OSError:
        return None
    return torch.frombuffer(memory, dtype=torch.uint8).view(2, world.size, BYTES), others
