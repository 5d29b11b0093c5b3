"""The networks of the study, its table, its sentences and its plot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from maxprune.errors import OutputError
from maxprune.measure import nonzero, parameters
from maxprune.networks.weighted import weighted_layers
from maxprune.report.claim import claim_parts, claim_plot
from maxprune.report.plain import as_text
from maxprune.runtime import Bench, Benched, Sized, Timing
from maxprune.runtime.records import Machine, Rate
from maxprune.studies import runtime
from maxprune.studies.accounting import accounting, faces_accounting
from maxprune.studies.runtime import SUBJECTS, Measured, measure


def test_lenet_is_that_of_the_paper_at_every_k() -> None:
    found = dict(SUBJECTS["lenet"].variants())
    table = {row["k"]: row for row in accounting(["mfc"], [512])}
    assert parameters(found["no maxout"]) == table[4]["baseline"]
    for k, row in table.items():
        assert parameters(found[f"k = {k}"]) == row["parameters"]
    for share in SUBJECTS["lenet"].shares:
        left = nonzero(found[f"{100 * share:g}% zero"]) / parameters(found["k = 1"])
        assert left == pytest.approx(1 - share, abs=0.01)


def test_vgg16_is_that_of_the_paper_at_every_k() -> None:
    subject = SUBJECTS["vgg16"]
    with torch.device("meta"):
        model = subject.build()
    assert parameters(model) == faces_accounting(["mfc"])[0]["baseline"]
    assert weighted_layers(model)[subject.layer].in_features == 512 * 7 * 7


def test_its_linear_layers_are_those_of_vgg16() -> None:
    with torch.device("meta"):
        whole, part = SUBJECTS["vgg16"].build(), SUBJECTS["vgg16-fc"].build()
    shapes = {n: p.shape for n, p in whole.named_parameters() if n.startswith("fc")}
    assert {n: p.shape for n, p in part.named_parameters()} == shapes


def ran(name: str, engine: Any, count: int, times: float) -> Timing:
    first = name == "no maxout"
    return Timing(
        network=name, engine=engine, batch=1, passes=9, milliseconds=1 / times, low=0.1, high=2.0,
        throughput=5.0, memory=4 * count, loading=1, file=4 * count, compiling=0.0,
        faster=None if first else times, faster_low=0.5, faster_high=9.0,
        beside=None if first else ("no maxout", "torch"),
    )  # fmt: skip


def benched(names: list[str], times: dict[str, float]) -> Benched:
    """Networks that take so many times less of everything, made up."""
    sizes, timings = [], []
    for name in names:
        count, zero = int(1e6 / times[name]), name.endswith("zero")
        left = count // (10 if zero else 1)
        sizes.append(
            Sized(
                name=name, parameters=count, nonzero=left, macs=count, operations=5, activations=10
            )
        )
        engines = ("torch", "sparse") if zero else ("torch",)
        timings += [ran(name, engine, count, times[name]) for engine in engines]
    machine = Machine(macs=1e10, reading=(Rate(size=10**6, rate=1e10),), starting={})
    return Benched(
        networks=tuple(sizes), timings=tuple(timings), missing=(), machine=machine, threads=1,
        rounds=3, environment={"device": "a machine"},
    )  # fmt: skip


TIMES = {"no maxout": 1.0, "k = 1": 3.0, "90% zero": 3.0}


def test_the_table_and_the_sentences() -> None:
    found = [Measured(subject="vgg16-fc", found=benched(list(TIMES), TIMES))]
    text = as_text(*claim_parts(found, whole=True))
    row = next(line for line in text.splitlines() if line.startswith("90% zero"))
    assert row.split() == [
        "90%", "zero", "3.00x", "30.00x", "3.00x", "3.00x", "3.00x", "3.00x", "3.00x",
    ]  # fmt: skip
    assert "3.0000 times fewer parameters: within 1%" in " ".join(text.split())
    assert "3.00 times as fast, with 3.00 times fewer bytes to read: within 15%" in " ".join(
        text.split()
    )


def test_a_target_that_is_missed_is_said() -> None:
    found = benched(list(TIMES), TIMES)
    slow = [t.model_copy(update={"faster": 2.0}) for t in found.timings]
    found = found.model_copy(update={"timings": tuple(slow)})
    text = " ".join(as_text(*claim_parts([Measured(subject="vgg16-fc", found=found)])).split())
    assert "2.00 times as fast, with 3.00 times fewer bytes to read: NOT within 15%" in text


def test_the_plot_has_a_line_for_each_way() -> None:
    found = [Measured(subject=name, found=benched(list(TIMES), TIMES)) for name in SUBJECTS]
    plot = claim_plot(found)
    for words in ("neurons removed", "then zeros, dense", "then zeros, sparse rows", "VGG16"):
        assert words in plot
    assert "proportion" in claim_plot(found[:1])


def test_what_was_measured_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def fake(networks: dict[str, Any], shape: Any, settings: Bench, tell: Any) -> Benched:
        asked.append((list(networks), shape, settings.batches))
        return benched(["no maxout", "k = 1"], TIMES)

    monkeypatch.setattr(runtime, "bench", fake)
    identity = {"study": "runtime"}
    first = measure(["lenet"], Bench(), tmp_path, identity)
    names = ["no maxout", "k = 4", "k = 3", "k = 2", "k = 1"]
    zeros = [f"{s}% zero" for s in (50, 70, 80, 90, 95, 98)]
    assert asked == [(names + zeros, (1, 28, 28), (1, 64))]
    assert measure(["lenet"], Bench(), tmp_path, identity, resume=True) == first
    assert len(asked) == 1
    (tmp_path / "lenet.json").write_text("{")
    assert measure(["lenet"], Bench(), tmp_path, identity, resume=True) == first
    assert len(asked) == 2
    with pytest.raises(OutputError, match="--resume"):
        measure(["lenet"], Bench(), tmp_path, identity)
