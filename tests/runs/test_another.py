"""How a run differs from another one, in the words of the user."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from maxprune.errors import OutputError
from maxprune.files import read_json
from maxprune.naming import as_options
from maxprune.runs.another import difference, is_same
from maxprune.runs.workspace import claimed

COMPRESS: dict[str, Any] = {
    "study": "compress", "command": "maxprune compress model --k 4", "code": {"the class A": "1"},
    "settings": {"method": "maxout", "layers": [], "k": 4, "max_macs": None, "keep_last": None,
                 "memory": 2**30, "zero": None, "share": 0.2},
    "first": {"iterations": 60, "judge_every": 20, "rate": 0.05},
    "fit": None, "training": {"rate": 0.02}, "data": "d", "network": "n",
}  # fmt: skip
GRID: dict[str, Any] = {
    "study": "lenet", "dataset": "mnist", "training": {"iterations": 9, "average": 0.5},
}  # fmt: skip
HOLDS = "holds a run of `maxprune compress`, "
DEMO = {"study": "demo", "k": 4, "weights": 0.7, "training": {"iterations": 400}}


def changed(run: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    """The run with one entry changed, wherever it stands."""
    return {
        key: value if key == name else changed(own, name, value) if isinstance(own, dict) else own
        for key, own in run.items()
    }


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("k", 2, "started with --k 4; this one is started with --k 2;"),
        ("layers", ["a", "b"], "started without --layers; this one is started with --layers a,b;"),
        ("max_macs", 10, "started without --max-macs; this one is started with --max-macs 10;"),
        ("keep_last", False, "started without --keep-last; this one is started with --cut-last;"),
        ("memory", 2**29, "with --memory 1024; this one is started with --memory 512;"),
        ("zero", 0.7, "started without --zero; this one is started with --zero 70;"),
        ("zero", "most", "started without --zero; this one is started with --zero most;"),
        ("first", None, "with --train-epochs 3; this one is started with --train-epochs 0;"),
        ("iterations", 80, "with --train-epochs 3; this one is started with --train-epochs 4;"),
        ("fit", "f:g", "started without --fit; this one is started with --fit f:g;"),
        ("data", "e", "but the pictures are others than when it began;"),
        ("network", "m", "but the network or its weights are others than when it began;"),
        ("training", {"rate": 0.1}, "but the training is another than when it began;"),
        ("the class A", "2", "but the class A has changed since it began; undo that, or"),
        ("code", {}, "but the class A has changed since it began; undo that, or"),
        ("study", "demo", "and this is one of `maxprune demo`;"),
    ],
)
def test_a_run_of_compress_that_is_another_one(name: str, value: Any, says: str) -> None:
    other = changed(COMPRESS, name, value)
    assert not is_same(COMPRESS, other)
    with as_options():
        said = difference(COMPRESS, other)
    assert said.startswith(HOLDS[:-2])
    assert says in said
    assert said.endswith(" name another folder with --out")
    assert "{" not in said


def test_other_commands_and_python() -> None:
    assert f"{HOLDS}started with k=4; this one is started with k=2;" in difference(
        COMPRESS, changed(COMPRESS, "k", 2)
    )
    with as_options():
        said = difference(GRID, changed(GRID, "average", 0))
        assert (
            "of `maxprune reproduce`, started without --paper; this one is started with --" in said
        )
        said = difference(GRID, changed(GRID, "iterations", 8))
        assert "started with --iterations 9; this one is started with --iterations 8;" in said
        said = difference(DEMO, changed(DEMO, "weights", "auto"))
        assert "started with --weights 70; this one is started with --weights auto;" in said
        begun = {**COMPRESS, "command": "maxprune reproduce pls-cifar10 --out a"}
        assert difference(begun, changed(begun, "k", 2)).startswith(
            "holds a run of `maxprune reproduce pls-cifar10`, started with --k 4;"
        )


def test_how_it_was_called_and_code_that_nobody_noted_make_no_other_run() -> None:
    assert is_same(COMPRESS, {**COMPRESS, "command": "maxprune compress model"})
    earlier = {key: value for key, value in COMPRESS.items() if key not in ("code", "command")}
    assert is_same(earlier, COMPRESS)
    assert not is_same(earlier, changed(COMPRESS, "k", 2))


def test_a_setting_that_an_earlier_maxprune_did_not_know_counts_as_none() -> None:
    settings = {**COMPRESS["settings"], "bits": None}
    assert is_same(COMPRESS, {**COMPRESS, "settings": settings})
    assert not is_same(COMPRESS, {**COMPRESS, "settings": {**settings, "bits": 5}})


def test_a_squeeze_is_called_what_it_is() -> None:
    begun = {**COMPRESS, "command": "maxprune squeeze model --data digits"}
    assert difference(begun, changed(begun, "k", 2)).startswith("holds a run of `maxprune squeeze`")


def test_a_run_that_has_done_nothing_gives_its_folder_up(tmp_path: Path) -> None:
    """It may have been refused for its data, and the advice is to name others."""
    with claimed(tmp_path, COMPRESS):
        pass
    other = changed(COMPRESS, "data", "e")
    with claimed(tmp_path, other):
        (tmp_path / "steps").mkdir()
    assert read_json(tmp_path / "run.json") == other
    with (
        pytest.raises(OutputError, match="but the pictures are others"),
        claimed(tmp_path, COMPRESS),
    ):
        pass
    with pytest.raises(OutputError, match="holds this run already"), claimed(tmp_path, other):
        pass
