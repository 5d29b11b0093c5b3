import copy
import errno
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from maxprune.errors import OutputError, StoreError
from maxprune.files import write_json
from maxprune.results import Results

STEP = {
    "name": "maxout k=1", "k": 1, "parameters": 80, "nonzero": 20, "removed": 0.2, "zeroed": 0.75,
    "macs": 70, "bytes": 500, "accuracy_before_retraining": 90.0, "accuracy": 97.5,
    "p_value": 0.25, "seconds": 1.5,
}  # fmt: skip
WHOLE: dict[str, Any] = {
    "format": 1, "study": "lenet", "dataset": "mnist", "network": "lenet-mfc-128", "seed": 3,
    "baseline": {"name": "no maxout", "parameters": 100, "macs": 90, "bytes": 600,
                 "accuracy": 98.0},
    "steps": [STEP],
    "control": {**STEP, "name": "control", "accuracy_before_retraining": None},
    "details": {
        "command": "maxprune", "environment": {"torch": "2"},
        "training": {"iterations": 5, "rate": 0.01, "policy": "inv", "test samples": 80},
        "notes": ["n"],
        "wins": [{"step": "maxout k=1", "layer": "fc1", "wins": [[3, 1]], "keep": [0],
                  "positions": 4}],
        "layers": [{"step": "maxout k=1", "layer": "fc1", "kind": "Linear", "inputs": 4,
                    "neurons": 2, "alive": 1, "parameters": 10, "nonzero": 5}],
        "curves": [{"step": "maxout k=1", "iterations": [100, 200], "loss": [0.5, 0.25]}],
        "wrong": {"maxout k=1": [0, 7], "control": [1, 2]}, "last_iteration": {"maxout k=1": 97.0},
        "waiting": 0.25,
        "search": {
            "method": "maxout", "goal": "at most 5 MACs", "keep_accuracy": 0.5, "samples": 9,
            "validation": 97.0, "guess": 12.5, "test_loss_bound": -0.5, "missed": ["macs"],
            "budgets": [{"name": "macs", "most": 5.0, "start": 90.0, "reached": 70.0}],
            "control": {"retrainings": 3, "difference": -0.5, "p_value": 0.25},
            "looks": 10,
            "frontier": [{"step": "1: fc1 k=2", "parameters": 80, "nonzero": 75, "macs": 70,
                          "bytes": 500, "accuracy": 97.5, "loss_bound": 1.5, "p_value": 0.5,
                          "taken": True}],
            "trials": [{"step": "1: fc1 k=2", "title": "fc1 k=2", "parameters": 80, "macs": 70,
                        "bytes": 500, "latency_ms": 0.5, "accuracy_before_retraining": None,
                        "accuracy": 97.5, "loss_bound": 1.5, "taken": True, "last": True,
                        "reason": "", "remark": "r"}],
        },
    },
}  # fmt: skip


def changed(place: str, value: Any) -> dict[str, Any]:
    """A copy of the whole content with one value replaced; places are dotted."""
    content = copy.deepcopy(WHOLE)
    inner: Any = content
    *way, last = [int(part) if part.isdigit() else part for part in place.split(".")]
    for part in way:
        inner = inner[part]
    inner[last] = value
    return content


def read(tmp_path: Path, content: Any) -> Results:
    (tmp_path / "results.json").write_text(json.dumps(content))
    return Results.read(tmp_path / "results.json")


def test_a_round_trip_keeps_every_value(tmp_path: Path) -> None:
    results = read(tmp_path, WHOLE)
    results.write(tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_text()) == WHOLE
    assert Results.read(tmp_path / "again.json") == results


def test_what_may_be_left_out(tmp_path: Path) -> None:
    content = {k: v for k, v in WHOLE.items() if k not in ("control", "details")}
    results = read(tmp_path, content)
    assert results.control is None
    assert results.details.curves == []


FRACTIONS = ["steps.0.removed", "steps.0.zeroed", "steps.0.p_value", "control.zeroed"]
PERCENTS = ["baseline.accuracy", "steps.0.accuracy", "steps.0.accuracy_before_retraining",
            "details.last_iteration.maxout k=1"]  # fmt: skip
COUNTS = ["seed", "baseline.parameters", "baseline.macs", "baseline.bytes", "steps.0.k",
          "steps.0.parameters", "steps.0.nonzero", "steps.0.macs", "steps.0.bytes",
          "details.wins.0.wins.0.0", "details.wins.0.keep.0", "details.wins.0.positions",
          "details.layers.0.inputs", "details.layers.0.neurons", "details.layers.0.alive",
          "details.layers.0.parameters", "details.layers.0.nonzero",
          "details.curves.0.iterations.0", "details.wrong.maxout k=1.0"]  # fmt: skip
WRONG = [
    *[(place, value) for place in FRACTIONS for value in (-0.1, 1.1, "0.5", True, None)],
    *[(place, value) for place in PERCENTS for value in (-1, 100.1, "97", False)],
    *[(place, value) for place in COUNTS for value in (-1, 1.5, "1", True, None)],
    *[("steps.0.seconds", value) for value in (-1, "1", None)],
    ("details.curves.0.loss.0", "1"),
    ("details.curves.0.loss", [0.5]),
    ("details.unknown", 1),
    ("steps.0.flops", 1),
    ("steps", {}),
    ("baseline", None),
]


@pytest.mark.parametrize(("place", "value"), WRONG)
def test_every_value_out_of_its_range_is_named(tmp_path: Path, place: str, value: Any) -> None:
    with pytest.raises(StoreError, match=r"results\.json is not a results file: ") as caught:
        read(tmp_path, changed(place, value))
    where = str(caught.value).split(": ")[1]
    assert where.startswith(place) or place.startswith(where)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("place", ["steps.0.seconds", "details.curves.0.loss.0", *FRACTIONS])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_number_is_missing_a_value(tmp_path: Path, place: str, value: float) -> None:
    with pytest.raises(StoreError, match="not JSON"):
        read(tmp_path, changed(place, value))
    with pytest.raises(ValidationError):
        Results.model_validate(changed(place, value))
    (tmp_path / "big.json").write_text(json.dumps(changed(place, "X")).replace('"X"', "1e999"))
    with pytest.raises(StoreError, match="not a results file"):
        Results.read(tmp_path / "big.json")


@pytest.mark.parametrize(
    ("place", "value"),
    [("steps.0.removed", 0.5), ("steps.0.zeroed", 0.5), ("control.zeroed", 0.123),
     ("steps.0.nonzero", 17), ("steps.0.accuracy", 12.5), ("control.accuracy", 12.5),
      ("baseline.parameters", 12345)],
)  # fmt: skip
def test_figures_that_contradict_each_other_are_refused(
    tmp_path: Path, place: str, value: Any
) -> None:
    with pytest.raises(StoreError, match="follows from other figures"):
        read(tmp_path, changed(place, value))


@pytest.mark.parametrize("found", [2, 0, "1", 1.0, True, None])
def test_another_format_is_refused(tmp_path: Path, found: Any) -> None:
    with pytest.raises(StoreError, match=r"has results format .*; this maxprune reads 1"):
        read(tmp_path, {**WHOLE, "format": found})


@pytest.mark.parametrize("content", [[], "x", 1, {}, None])
def test_other_json_is_no_results_file(tmp_path: Path, content: Any) -> None:
    with pytest.raises(StoreError, match="is not a results file: it has no format"):
        read(tmp_path, content)


def test_a_truncated_file_is_damaged_wherever_it_ends(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", WHOLE)
    content = (tmp_path / "a.json").read_bytes().rstrip()
    for end in range(0, len(content), 97):
        (tmp_path / "a.json").write_bytes(content[:end])
        with pytest.raises(StoreError, match="damaged"):
            Results.read(tmp_path / "a.json")
    with pytest.raises(StoreError, match="does not exist"):
        Results.read(tmp_path / "none.json")


def test_records_are_frozen_and_a_failing_write_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    results = read(tmp_path, WHOLE)
    with pytest.raises(ValidationError):
        results.seed = 4
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        results.model_copy(update={"seed": 4}).write(tmp_path / "results.json")
    assert Results.read(tmp_path / "results.json") == results
