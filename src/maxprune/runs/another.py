"""In which way the run that a folder holds is another one, in the words of the user."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from maxprune.naming import called, giving, on_command_line

COMMANDS = {
    "lenet": "reproduce", "pls-resnet56": "reproduce pls-resnet56", "faces": "reproduce faces",
    "vgg16": "reproduce table3",
}  # fmt: skip
"""Commands that are not called as the study they are."""

UNSAID = ("command", "study", "code", "data", "network", "part")
"""What is no setting, in the description of a run."""

OF_PAPER = ("average", "ramp", "boost", "scale_dropout")
"""What --paper sets."""


def is_same(there: dict[str, Any], here: dict[str, Any]) -> bool:
    """Whether two descriptions are of one run, however it was called.

    Nothing is said of the code of a run that an earlier maxprune began, and a setting that it did
    not know counts as None.
    """
    left_out = {"command"} if "code" in there else {"command", "code"}
    first, second = ({k: v for k, v in d.items() if k not in left_out} for d in (there, here))
    return bool(_without_none(first) == _without_none(second))


def _without_none(about: Any) -> Any:
    """JSON without the fields that are None."""
    if isinstance(about, dict):
        return {name: _without_none(v) for name, v in about.items() if v is not None}
    return [_without_none(v) for v in about] if isinstance(about, list) else about


def difference(there: dict[str, Any], here: dict[str, Any]) -> str:
    """How two runs differ and what to do, to be read behind the name of the folder.

    Args:
        there: the description of the run that the folder holds.
        here: of the one that is to go on in it.
    """
    holds, other = f"holds a run of {_command(there)}", "name another folder with --out"
    if there.get("study") != here.get("study"):
        return f"{holds}, and this is one of {_command(here)}; {other}"
    code = changed_code(there, here)
    if code:
        return f"{holds}, but {code} has changed since it began; undo that, or {other}"
    first, second = _settings(there), _settings(here)
    for name in {**second, **first}:
        if first.get(name) != second.get(name):
            begun, asked = (_with(name, settings.get(name)) for settings in (first, second))
            return f"{holds}, started {begun}; this one is started {asked}; {other}"
    return f"{holds}, but {_other(there, here)} than when it began; {other}"


def _other(there: dict[str, Any], here: dict[str, Any]) -> str:
    """What differs where no setting does."""
    if there.get("data") != here.get("data"):
        return "the pictures are others"
    if there.get("network") != here.get("network"):
        return "the network or its weights are others"
    return "the training is another"


def changed_code(there: dict[str, Any], here: dict[str, Any]) -> str:
    """The first piece of the user's code that differs, in words; empty for none."""
    first, second = there.get("code"), here.get("code")
    if not isinstance(first, dict) or not isinstance(second, dict):
        return ""
    return next((name for name in {**second, **first} if first.get(name) != second.get(name)), "")


def _command(run: dict[str, Any]) -> str:
    """What began a run: a command, or a function."""
    study = str(run.get("study", "")).partition(" ")[0]
    words = str(run.get("command", "")).split()[1:3]
    if words[:1] == ["squeeze"]:
        return "`maxprune squeeze`"
    if words[:1] != ["reproduce"] or study in COMMANDS:
        return f"`maxprune {COMMANDS.get(study, study)}`"
    return f"`maxprune {' '.join(words)}`"


def _settings(run: dict[str, Any]) -> dict[str, Any]:
    """The settings of a run by their names, those first that the user knows best."""
    return dict(_flat(run, run.get("study") in ("lenet", "demo")))


def _flat(record: dict[str, Any], trained: bool) -> Iterator[tuple[str, Any]]:
    """All settings in a record and those inside it.

    Args:
        record: the description of a run, or a part of it.
        trained: whether the settings of its training are the user's.
    """
    for name, value in record.items():
        if name == "first":
            yield from _first(value).items()
        elif isinstance(value, dict) and name not in UNSAID and (trained or name != "training"):
            yield from _flat(value, trained)
        elif not isinstance(value, dict) and name not in UNSAID:
            yield name, value


def _first(training: dict[str, Any] | None) -> dict[str, Any]:
    """The training before all others, as the options say it."""
    if training is None:
        return {"train_epochs": 0}
    each = training.get("judge_every") or training["iterations"]
    return {"train_epochs": training["iterations"] / each, "train_rate": training["rate"]}


def _with(name: str, value: Any) -> str:
    """A setting and its value as the user gives them."""
    if on_command_line() and name in OF_PAPER:
        return f"{'without' if value else 'with'} {called('paper')}"
    if on_command_line() and isinstance(value, bool) and name == "keep_last":
        return f"with {called('keep_last' if value else 'cut_last')}"
    if on_command_line() and name == "stream":
        return f"with --{'stream' if value else 'no-stream'}"
    if value is None or value == []:
        return f"without {called(name)}"
    return f"with {giving(name, _said(name, value))}"


def _said(name: str, value: Any) -> str:
    """A value in the unit of its option."""
    if isinstance(value, list):
        return ",".join(_said(name, part) for part in value)
    if on_command_line() and name == "memory":
        value /= 2**20
    elif on_command_line() and name in ("zero", "weights") and not isinstance(value, str):
        value *= 100
    return f"{value:g}" if isinstance(value, float) else str(value)
