"""A run's folder: finished steps are kept as saved models, so that a killed run goes on.

FOLDER/run.json            what this run is; another run in the same folder is refused
FOLDER/steps/NAME/         a saved model each, with what was measured of it
FOLDER/steps/NAME.onnx     the 8-bit file of a step that has one
FOLDER/steps/NAME.part     the checkpoint of the step in training
FOLDER/scores/KEY.safetensors   scores of channels, each computed once
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, overload

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as parse
from safetensors.torch import save as serialise
from torch import Tensor, nn

from maxprune.distributed.world import world
from maxprune.errors import OutputError, StoreError
from maxprune.files import read_bytes, read_json, write_bytes, write_json
from maxprune.results import Timed
from maxprune.runs.alone import LOCK, WHO, alone, is_empty
from maxprune.runs.another import difference, is_same
from maxprune.runs.measured import Measured
from maxprune.store.model import WEIGHTS, bytes_of, describe, load, save
from maxprune.train import Checkpoints

Scored = tuple[dict[str, Tensor], tuple[str, ...]]
"""Scores of channels by the name of their group, and what has to be said of them."""

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
        """The network of a step, what was measured of it, and its bytes as a file."""

    def file(self, name: str, make: Callable[[], bytes]) -> bytes:
        """The 8-bit file of a step, which is made once."""

    def scored(self, key: str, make: Callable[[], Scored]) -> Scored:
        """Scores that are computed once; the key says of what."""


class Memory:
    """Keeps nothing: for a run that need not survive its process."""

    def step(self, name: str, make: Make) -> tuple[nn.Module, Measured, int]:
        """Make the step."""
        model, measured = make(None)
        return model, measured, measured.bytes or bytes_of(model)

    def file(self, name: str, make: Callable[[], bytes]) -> bytes:
        """Make the file."""
        return make()

    def scored(self, key: str, make: Callable[[], Scored]) -> Scored:
        """Compute the scores."""
        return make()


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
        self.folder = folder = world().own(folder)
        self.record: type[R] = record
        self.enter_context(claimed(folder, identity, resume, wait))
        steps = folder / "steps"
        if steps.exists() and not steps.is_dir():
            raise OutputError(f"{steps} is a file, where the folder of the steps has to be")

    def step(
        self, name: str, make: Callable[[Checkpoints | None], tuple[nn.Module, R]]
    ) -> tuple[nn.Module, R, int]:
        """The network of a step, what was measured of it, and the bytes of its file.

        It is made if it is not there yet, or if what is there is damaged. Of several processes all
        make it together, and all go on with what the first has kept.
        """
        place = place_of(self.folder, name)
        world().mirror(place)
        found = self._read(place)
        if found is None:
            part = place.with_name(f"{place.name}.part")
            model, measured = make(Checkpoints(part, key=name))
            if world().leads:
                save(model, place, {"measured": measured.model_dump(mode="json")})
            world().mirror(place)
            found = (self._read(place) if world().size > 1 else None) or (model, measured)
        return *found, found[1].bytes or (place / WEIGHTS).stat().st_size

    def file(self, name: str, make: Callable[[], bytes]) -> bytes:
        """The 8-bit file of a step, beside its network: what was judged is what is handed over."""
        place = place_of(self.folder, name)
        path = place.with_name(f"{place.name}.onnx")
        world().mirror(path)
        if not path.exists():
            write_bytes(path, make())
            world().mirror(path)
        return read_bytes(path)

    def scored(self, key: str, make: Callable[[], Scored]) -> Scored:
        """Scores that an earlier process has computed and kept, or else now.

        They are kept, as a run that goes on takes its finished steps again one by one, and scores
        may take minutes.
        """
        path = self.folder / "scores" / f"{slug(key)}.safetensors"
        world().mirror(path)
        with contextlib.suppress(StoreError):
            if path.exists():
                return _read_scores(read_bytes(path), path)
        found, remarks = make()
        tensors = {name: t.detach().cpu().contiguous() for name, t in found.items()}
        write_bytes(path, serialise(tensors, {"remarks": json.dumps(remarks)}))
        world().mirror(path)  # one process decides
        return _read_scores(read_bytes(path), path) if world().size > 1 else (tensors, remarks)

    def _read(self, place: Path) -> tuple[nn.Module, R] | None:
        if not place.exists():
            return None
        try:
            measured = self.record.model_validate(describe(place).about["measured"])
            return load(place), measured
        except (StoreError, ValidationError, KeyError):
            _remove(place)
            return None


def _read_scores(content: bytes, path: Path) -> Scored:
    """What `scored` wrote."""
    try:
        length = int.from_bytes(content[:8], "little")
        remarks = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["remarks"])
        return parse(content), tuple(remarks)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} is damaged") from error


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
    folder = world().own(folder)
    mark = folder / "run.json"
    if folder.is_dir() and not mark.exists() and not is_empty(folder):
        raise OutputError(f"{folder} is not empty; name another folder with --out")
    with alone(folder, wait):
        found = read_json(mark) if mark.exists() else None
        if mark.exists() and not (isinstance(found, dict) and _is_unused(folder)):
            _check(folder, found, identity, resume)
        else:
            write_json(mark, identity)
        yield


def _is_unused(folder: Path) -> bool:
    """Whether the run that a folder is for ended before it had done anything."""
    return all(path.name in ("run.json", LOCK, WHO) for path in folder.iterdir())


def _check(folder: Path, found: Any, identity: dict[str, Any], resume: bool) -> None:
    """Refuse to go on in a folder that holds another run, or this one if it is not to go on."""
    if not isinstance(found, dict):
        raise StoreError(f"{folder / 'run.json'} is damaged: it does not say which run this is")
    if not is_same(found, identity):
        try:
            how = difference(found, identity)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise StoreError(
                f"{folder / 'run.json'} is damaged: it does not say how the run was started"
            ) from error
        raise OutputError(f"{folder} {how}")
    if not resume:
        raise OutputError(
            f"{folder} holds this run already; go on with --resume or name another --out"
        )
