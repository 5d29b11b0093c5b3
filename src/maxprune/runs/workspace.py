"""A run's folder: finished steps are kept as saved models, so that a killed run goes on.

FOLDER/run.json            what this run is; another run in the same folder is refused
FOLDER/steps/NAME/         a saved model each, with what was measured of it
FOLDER/steps/NAME.part     the checkpoint of the step in training
"""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, overload

from pydantic import ValidationError
from safetensors.torch import save as serialise
from torch import nn

from maxprune.errors import OutputError, StoreError
from maxprune.files import read_json, write_json
from maxprune.results import Timed
from maxprune.runs.alone import alone, is_empty
from maxprune.runs.another import difference, is_same
from maxprune.runs.measured import Measured
from maxprune.store.model import METADATA, WEIGHTS, describe, load, save
from maxprune.train import Checkpoints

R = TypeVar("R", bound=Timed)
Make = Callable[[Checkpoints | None], tuple[nn.Module, Measured]]
"""Makes the network of a step, given where to keep checkpoints, and measures it."""


def timed(
    make: Callable[[Checkpoints | None], tuple[nn.Module, R]],
) -> Callable[[Checkpoints | None], tuple[nn.Module, R]]:
    """The same, with the seconds that it took written into what was measured."""

    def made(place: Checkpoints | None) -> tuple[nn.Module, R]:
        started = time.perf_counter()
        model, measured = make(place)
        seconds = time.perf_counter() - started
        return model, measured.model_copy(update={"seconds": seconds})

    return made


class Space(Protocol):
    """Where the steps of a run are kept."""

    def step(self, name: str, make: Make) -> tuple[nn.Module, Measured, int]:
        """The network of a step, what was measured of it, and its bytes as a safetensors file."""


class Memory:
    """Keeps nothing: for a run that need not survive its process."""

    def step(self, name: str, make: Make) -> tuple[nn.Module, Measured, int]:
        """Make the step."""
        model, measured = make(None)
        tensors = {n: t.detach().cpu().clone().contiguous() for n, t in model.state_dict().items()}
        return model, measured, len(serialise(tensors, METADATA))


def slug(name: str) -> str:
    """A file name for a step.

    Example:
        >>> slug("maxout k=4"), slug("weights 98%")
        ('maxout-k4', 'weights-98')
    """
    return re.sub(r"[^a-z0-9.-]", "", name.lower().replace(" ", "-"))


def place_of(folder: Path, name: str) -> Path:
    """Where the network of a step is kept in a run's folder."""
    return folder / "steps" / slug(name)


class Workspace(contextlib.ExitStack, Generic[R]):
    """The folder of one run, kept for this process until it is closed.

    The arguments and errors are those of `claimed`; `record` is what is measured of a step.
    """

    @overload
    def __init__(
        self: Workspace[Measured], folder: Path, identity: dict[str, Any], resume: bool = ...,
        wait: bool = ...,
    ) -> None: ...  # fmt: skip

    @overload
    def __init__(
        self, folder: Path, identity: dict[str, Any], resume: bool = ..., wait: bool = ..., *,
        record: type[R],
    ) -> None: ...  # fmt: skip

    def __init__(
        self, folder: Path, identity: dict[str, Any], resume: bool = False, wait: bool = False,
        record: Any = Measured,
    ) -> None:  # fmt: skip
        super().__init__()
        self.folder = folder
        self.record: type[R] = record
        self.enter_context(claimed(folder, identity, resume, wait))
        steps = folder / "steps"
        if steps.exists() and not steps.is_dir():
            raise OutputError(f"{steps} is a file, where the folder of the steps has to be")

    def step(
        self, name: str, make: Callable[[Checkpoints | None], tuple[nn.Module, R]]
    ) -> tuple[nn.Module, R, int]:
        """The network of a step, what was measured of it, and the bytes of its file.

        It is made if it is not there yet, or if what is there is damaged.
        """
        place = place_of(self.folder, name)
        found = self._read(place)
        if found is None:
            part = place.with_name(f"{place.name}.part")
            model, measured = make(Checkpoints(part, key=name))
            save(model, place, {"measured": measured.model_dump(mode="json")})
            found = model, measured
        return *found, (place / WEIGHTS).stat().st_size

    def _read(self, place: Path) -> tuple[nn.Module, R] | None:
        if not place.exists():
            return None
        try:
            measured = self.record.model_validate(describe(place).about["measured"])
            return load(place), measured
        except (StoreError, ValidationError, KeyError):
            _remove(place)
            return None


def _remove(place: Path) -> None:
    """Remove what stands where a step is to be kept, a damaged folder or a stray file."""
    try:
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink()
    except OSError as error:
        raise OutputError(f"cannot remove {place}: {error.strerror or error}") from error


@contextlib.contextmanager
def claimed(
    folder: Path, identity: dict[str, Any], resume: bool = False, wait: bool = False
) -> Iterator[None]:
    """Make a folder the place of one run, or check that it is; no other process may be in it.

    Args:
        folder: which; made if it is not there.
        identity: what makes this run this run, as JSON; also its "command", which may be another
            one when it goes on.
        resume: go on where an earlier run of the same identity was.
        wait: for another process that is in the folder.

    Raises:
        OutputError: it holds something else, or the same run and `resume` is not set; or another
            process is in it.
    """
    mark = folder / "run.json"
    if folder.is_dir() and not mark.exists() and not is_empty(folder):
        raise OutputError(f"{folder} is not empty; name another folder with --out")
    with alone(folder, wait):
        if mark.exists():
            _check(folder, read_json(mark), identity, resume)
        else:
            write_json(mark, identity)
        yield


def _check(folder: Path, found: Any, identity: dict[str, Any], resume: bool) -> None:
    """Refuse to go on in a folder that holds another run, or this one if it is not to go on."""
    if not isinstance(found, dict):
        raise StoreError(f"{folder / 'run.json'} is damaged: it does not say which run this is")
    if not is_same(found, identity):
        raise OutputError(f"{folder} {difference(found, identity)}")
    if not resume:
        raise OutputError(
            f"{folder} holds this run already; go on with --resume or name another --out"
        )
