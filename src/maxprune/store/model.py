"""Saved models: `model.safetensors` and `model.json`, no pickle (described in docs/format.md).

The folder is written whole or not at all. A saved network is opened by calling the factory that
built it, applying its plans again, and filling in the weights; the code that decided on the
plans is not needed.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from maxprune.errors import MaxpruneError, OutputError, StoreError, UsageError
from maxprune.files import read_json, sha256, write_json
from maxprune.lineage import Lineage, lineage, remember
from maxprune.plan import ZeroPlan, read_plan
from maxprune.surgery.apply import apply

FORMAT = 1
WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"


class Description(BaseModel):
    """What stands in `model.json`.

    Args:
        format: version of this description.
        maxprune: version of the program that wrote it.
        factory: "package.module:function" that builds the network.
        arguments: its keyword arguments.
        plans: what was applied to it, in order.
        kept: for each cut layer, the original index of every neuron that is left.
        sha256: checksum of `model.safetensors`.
        about: free text and figures of the writer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1]
    maxprune: str
    factory: str
    arguments: dict[str, Any]
    plans: list[dict[str, Any]]
    kept: dict[str, list[int]]
    sha256: str
    about: dict[str, Any] = {}


def save(model: nn.Module, folder: str | Path, about: dict[str, Any] | None = None) -> Path:
    """Save a network as a folder of two files.

    Args:
        model: a network from one of `maxprune.networks`, from a function under
            `maxprune.factory`, or cut from such a one.
        folder: where to; an earlier saved model there is replaced, any other folder is refused.
        about: what should stand beside it, for example its accuracy.

    Returns:
        The folder.

    Raises:
        UsageError: the network's factory is not known, or would not be found again.
        OutputError: the folder is something else, or cannot be written.
    """
    from maxprune._version import __version__

    folder, origin = Path(folder), lineage(model)
    _check_factory(origin)
    if folder.exists() and not _is_saved_model(folder):
        raise OutputError(f"{folder} exists and is not a saved model; name another folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror or error}") from error
    try:
        tensors = {n: t.detach().cpu().contiguous() for n, t in model.state_dict().items()}
        save_file(tensors, temporary / WEIGHTS, {"format": "pt"})
        description = Description(
            format=1,
            maxprune=__version__,
            factory=origin.factory,
            arguments=origin.arguments,
            plans=[plan.model_dump(mode="json") for plan in origin.plans],
            kept={layer: list(indices) for layer, indices in origin.kept().items()},
            sha256=sha256(temporary / WEIGHTS),
            about=about or {},
        )
        write_json(temporary / DESCRIPTION, description.model_dump(mode="json"))
        temporary.chmod(0o755)
        (temporary / WEIGHTS).chmod(0o644)
        _replace_folder(temporary, folder)
    except (OSError, SafetensorError) as error:
        raise OutputError(f"cannot write {folder}: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def load(folder: str | Path) -> nn.Module:
    """Open a saved network, in evaluation mode; its outputs equal the saved one's to the bit.

    Raises:
        StoreError: a file is missing or damaged, of a newer format, or its factory is not found.
    """
    folder = Path(folder)
    description = describe(folder)
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise StoreError(f"{weights} does not exist")
    if sha256(weights) != description.sha256:
        raise StoreError(f"{weights} is damaged: its checksum is not the one in {DESCRIPTION}")
    model = _build(description, folder)
    try:
        model.load_state_dict(load_file(weights))
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise StoreError(
            f"{weights} does not fit the network of {DESCRIPTION}: {reason}"
        ) from error
    return model.eval()


def describe(folder: str | Path) -> Description:
    """Read and check the description of a saved model without opening its weights."""
    path = Path(folder) / DESCRIPTION
    if not path.exists():
        raise StoreError(f"{folder} is not a saved model: {DESCRIPTION} does not exist")
    content = read_json(path)
    found = content.get("format") if isinstance(content, dict) else None
    if isinstance(found, int) and found > FORMAT:
        raise StoreError(
            f"{path} has model format {found}, newer than this maxprune reads ({FORMAT}); update it"
        )
    try:
        return Description.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise StoreError(f"{path} is damaged: {where}: {first['msg']}") from error


def _build(description: Description, folder: Path) -> nn.Module:
    """Call the factory and apply the plans; weights are filled in later."""
    module_name, _, name = description.factory.partition(":")
    try:
        function = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise StoreError(
            f"{folder}: the network's factory {description.factory!r} cannot be imported ({error})"
        ) from error
    try:
        model = function(**description.arguments)
    except Exception as error:
        raise StoreError(f"{folder}: {description.factory} failed: {error}") from error
    if not isinstance(model, nn.Module):
        raise StoreError(f"{folder}: {description.factory} gives no torch module")
    origin = Lineage(description.factory, description.arguments)
    model = remember(model, origin)
    for content in description.plans:
        plan = read_plan(content)
        try:
            # Zeros are in the weights already; only the shapes have to be made again.
            known = lineage(model).then(plan)
            model = model if isinstance(plan, ZeroPlan) else apply(model, plan)
            remember(model, known)
        except MaxpruneError as error:
            raise StoreError(f"{folder}: a plan in {DESCRIPTION} does not fit: {error}") from error
    return model


def _check_factory(origin: Lineage) -> None:
    """Refuse what `load` would not find again."""
    if not origin.factory:
        raise UsageError(
            "the network's factory is not known; build it with a function under @maxprune.factory"
        )
    if origin.factory.startswith("__main__:") or "<locals>" in origin.factory:
        raise UsageError(
            f"the factory {origin.factory!r} cannot be imported later; move it into a module"
        )
    try:
        json.dumps(origin.arguments, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(f"an argument of {origin.factory} cannot be saved: {error}") from error


def _is_saved_model(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    names = {entry.name for entry in folder.iterdir()}
    return not names or (DESCRIPTION in names and WEIGHTS in names)


def _replace_folder(new: Path, folder: Path) -> None:
    """Put the new folder in the place of the old one, which is removed last."""
    if not folder.exists():
        os.replace(new, folder)
        return
    old = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.old."))
    os.replace(folder, old / "folder")
    os.replace(new, folder)
    shutil.rmtree(old, ignore_errors=True)
