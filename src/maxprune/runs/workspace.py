"""A run's folder: finished steps are kept as saved models, so that a killed run goes on.

FOLDER/run.json            what this run is; another run in the same folder is refused
FOLDER/steps/NAME/         a saved model each, with what was measured of it
FOLDER/steps/NAME.part     the checkpoint of the step in training
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, overload

from pydantic import ValidationError
from safetensors.torch import save as serialise
from torch import nn

from maxprune.errors import OutputError, StoreError
from maxprune.files import read_json, write_json
from maxprune.results import Timed
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


class Workspace(Generic[R]):
    """The folder of one run.

    Args:
        folder: where; made if it is not there.
        identity: what makes this run this run (network, data, training, seed), as JSON.
        resume: go on where an earlier run of the same identity was.
        record: what is measured of a step.

    Raises:
        OutputError: the folder holds another run, or the same one and `resume` is not set.
    """

    @overload
    def __init__(
        self: Workspace[Measured], folder: Path, identity: dict[str, Any], resume: bool = ...
    ) -> None: ...

    @overload
    def __init__(
        self, folder: Path, identity: dict[str, Any], resume: bool, record: type[R]
    ) -> None: ...

    def __init__(
        self, folder: Path, identity: dict[str, Any], resume: bool = False, record: Any = Measured
    ) -> None:
        self.folder = folder
        self.record: type[R] = record
        claim(folder, identity, resume)
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


def claim(folder: Path, identity: dict[str, Any], resume: bool) -> None:
    """Make a folder the place of one run, or check that it is.

    Raises:
        OutputError: it holds something else, or the same run and `resume` is not set.
    """
    mark = folder / "run.json"
    if not mark.exists():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise OutputError(f"{folder} exists and is not empty; name another folder with --out")
        write_json(mark, identity)
        return
    found = read_json(mark)
    if not isinstance(found, dict):
        raise StoreError(f"{mark} is damaged: it does not say which run this is")
    if found != identity:
        key, there, here = _difference(found, identity)
        raise OutputError(
            f"{folder} holds the results of another run ({key}: {there!r} there, {here!r} here); "
            "name another folder with --out"
        )
    if not resume:
        raise OutputError(
            f"{folder} holds this run already; go on with --resume or name another --out"
        )


def _difference(there: dict[str, Any], here: dict[str, Any]) -> tuple[str, Any, Any]:
    """The first key, also of a record inside, at which two descriptions of a run differ."""
    key = min(k for k in {*there, *here} if there.get(k, there) != here.get(k, here))
    first, second = there.get(key), here.get(key)
    if isinstance(first, dict) and isinstance(second, dict):
        inner, first, second = _difference(first, second)
        return f"{key} {inner}", first, second
    return key, first, second
