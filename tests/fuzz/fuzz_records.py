"""Targets that are JSON: results and what else a run writes down."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from fuzz_target import Target, folder, of_file
from pydantic import BaseModel

from maxprune.comparison.part import Rows
from maxprune.comparison.part import _read as read_rows
from maxprune.comparison.records import Compared, Comparison, Start
from maxprune.files import read_json
from maxprune.lineage import Lineage
from maxprune.plan import KeepPlan, MaxoutPlan, Member, SharePlan, ZeroPlan, read_plan
from maxprune.results import Baseline, Curve, Details, Results, Search, Step, Trial, Wins
from maxprune.runs.alone import WHO, _who
from maxprune.runs.workspace import _check
from maxprune.runtime.records import Benched, Machine, Missing, Rate, Sized, Timing
from maxprune.studies.faces.work import RESULT, read_run
from maxprune.studies.runtime import Measured, _kept
from maxprune.verification_results import FaceRun, Pictured
from maxprune.verify.verifier import ABOUT, About, _read_about

STEP = Step(
    name="k=1", k=1, parameters=50, nonzero=25, removed=0.5, zeroed=0.5, macs=7, bytes=300,
    accuracy_before_retraining=None, accuracy=97.5, p_value=0.25, seconds=1.5,
)  # fmt: skip
IDENTITY = {
    "study": "lenet", "command": "maxprune reproduce table1", "network": "mfc", "fc": 128,
    "training": {"iterations": 10, "rate": 0.01, "judge_every": None}, "seed": 0,
    "code": {"fit": "ab"}, "data": {"train": "cd"}, "sizes": [0.5, 0.25], "weights": 0.9,
    "first": {"iterations": 4, "rate": 0.1, "judge_every": 2}, "keep_last": True, "average": False,
}  # fmt: skip


def _of(*records: BaseModel) -> list[bytes]:
    return [record.model_dump_json(exclude_none=False).encode() for record in records]


def _results() -> list[bytes]:
    trial = Trial(
        step="a", title="b", parameters=3, macs=2, bytes=1, latency_ms=None,
        accuracy_before_retraining=50.0, accuracy=None, loss_bound=-0.5, taken=True,
    )  # fmt: skip
    search = Search(
        method="taylor", goal="small", keep_accuracy=0.5, samples=10, validation=90.0,
        trials=[trial], test_loss_bound=0.25,
    )  # fmt: skip
    details = Details(
        environment={"python": "3"}, training={"test samples": 40, "rate": 0.1}, notes=["n"],
        wins=[Wins(step="k=1", layer="fc", wins=[[3, 1]], keep=[0], positions=4)],
        curves=[Curve(step="k=1", iterations=[1, 2], loss=[0.5, 0.25])],
        wrong={"k=1": [7]}, last_iteration={"k=1": 97.0}, search=search,
    )  # fmt: skip
    base = Baseline(parameters=100, macs=9, bytes=400, accuracy=98.0)
    return _of(Results(
        study="s", dataset="d", network="n", seed=0, baseline=base, steps=[STEP], control=STEP,
        details=details,
    ))  # fmt: skip


START = Start(seed=0, parameters=9, macs=8, validation=90.0, accuracy=80.0)
COMPARED = Compared(
    method="taylor", seed=0, size=0.5, parameters=4, macs=3, cuts=1, before=None, validation=70.0,
    accuracy=60.0, p_value=0.5, seconds=1.0,
)  # fmt: skip


def _comparison() -> list[bytes]:
    return _of(Comparison(
        dataset="d", network="n", by="macs", methods=["taylor"], sizes=[0.5], tested="test",
        starts=[START], compared=[COMPARED], missing={"pls": "why"}, settings={"a": [1]},
    ))  # fmt: skip


def _compared(path: Path) -> object:
    """Read, and summed up as every report begins."""
    found = Comparison.read(path)
    return found.ranked()


def _face_run() -> list[bytes]:
    wins = Wins(step="k=1", layer="fc1", wins=[[1, 2]], keep=[1], positions=3)
    step = Pictured(
        name="k=1", k=1, parameters=5, nonzero=4, macs=3, tested=[0.5], held=[0.25], wins=wins,
        seconds=2.0, bits=5,
    )  # fmt: skip
    return _of(FaceRun(network="n", fold=0, steps=[step], sizes=[10]))


def _runtime() -> list[bytes]:
    timing = Timing(
        network="a", engine="onnx", batch=1, passes=3, milliseconds=1.0, low=0.5, high=2.0,
        throughput=9.0, memory=5, loading=None, file=4, compiling=0.1, beside=("b", "torch"),
    )  # fmt: skip
    machine = Machine(macs=1e9, reading=(Rate(size=1, rate=2.0),), starting={"torch": 1e-5})
    return _of(Measured(subject="lenet", found=Benched(
        networks=(Sized(name="a", parameters=3),), timings=(timing,), machine=machine, threads=1,
        missing=(Missing(network="b", engine="sparse", reason="r"),), rounds=2,
        environment={"python": "3"},
    )))  # fmt: skip


def _verifier() -> list[bytes]:
    about = About(
        sha256="0" * 64, channels=1, size=8, margin=1.1, threshold=0.5, tested="pairs",
        same=[0.1], different=[0.9], held_same=[0.2], held_different=[0.8], about={"a": 1},
    )  # fmt: skip
    return _of(about, about.model_copy(update={"format": 2, "weights": "1" * 64}))


def _plans() -> list[bytes]:
    members = {"a": (Member(name="a", side="out"), Member(name="b", side="in", start=1, each=2))}
    return _of(
        MaxoutPlan(layer="a", k=2), ZeroPlan(share=0.5, threshold=0.1, zeroed=3),
        KeepPlan(neurons={"a": 3}, keep={"a": (0, 2)}, method="m", members=members),
        KeepPlan(neurons={"a": 3, "b": 2}, keep={"a": (0,), "b": (1,)}),
        SharePlan(bits=1, values={"a": (-0.5, 0.5)}),
    )  # fmt: skip


def _planned(content: bytes) -> object:
    """A plan, and what was kept after it, as a description says it."""
    plan = read_plan(_json(content))
    return Lineage("a:b", {}, (plan,)).kept()


def _inside(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """The reader of a folder with a file of this name in it."""
    return of_file(lambda path: read(path.parent), name)


_json = of_file(read_json, "content.json")


def _run(content: bytes) -> object:
    return _check(folder(), _json(content), IDENTITY, True)


def _of_json(
    name: str, read: Callable[[bytes], object], seeds: Callable[[], list[bytes]]
) -> Target:
    return Target(name, read, seeds, form="json")


TARGETS = [
    _of_json("results", of_file(Results.read), _results),
    _of_json("comparison", of_file(_compared), _comparison),
    _of_json("comparison-rows", of_file(read_rows), lambda: _of(
        Rows(start=START, compared=[COMPARED], missing={"a": "b"}))),
    _of_json("face-run", _inside(RESULT, read_run), _face_run),
    _of_json("runtime", of_file(_kept), _runtime),
    _of_json("run", _run, lambda: [
        json.dumps(IDENTITY).encode(), json.dumps(IDENTITY | {"seed": 1}).encode()]),
    _of_json("in-use", _inside(WHO, _who), lambda: [b'{"process": 1, "since": "now"}']),
    _of_json("verifier", _inside(ABOUT, _read_about), _verifier),
    _of_json("plan", _planned, _plans),
]  # fmt: skip
