"""Networks side by side, in processes of their own."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from bench_networks import plain
from command_line import call
from torch import nn

import maxprune
from maxprune.commands.bench import _named
from maxprune.errors import UsageError
from maxprune.networks import lenet5
from maxprune.runtime import Benched, bench
from maxprune.runtime.records import Machine, Rate
from maxprune.runtime.side_by_side import sources_of
from maxprune.runtime.sized import sized
from maxprune.runtime.worker import Gone, Job
from maxprune.store import export_onnx

HERE = Path(__file__).parent / "bench_networks.py"
MACHINE = Machine(macs=1e10, reading=(Rate(size=10**6, rate=1e10),), starting={})
QUICK = {"rounds": 2, "seconds": 0.02}


@pytest.fixture(scope="module")
def found() -> Benched:
    names = {name: f"{HERE}:{name}" for name in ("plain", "zeros")}
    return bench(names, (1024,), batches=(1, 8), engines=("torch", "onnx", "sparse"), **QUICK)


def test_all_that_can_be_measured_is(found: Benched) -> None:
    there = {(t.network, t.engine, t.batch) for t in found.timings}
    dense = itertools.product(("plain", "zeros"), ("torch", "onnx"), (1, 8))
    assert there == {*dense, ("zeros", "sparse", 1), ("zeros", "sparse", 8)}
    assert found.missing == ()  # that the others have no zeros goes without saying


def test_what_a_network_has(found: Benched) -> None:
    sizes = {n.name: (n.parameters, n.nonzero, n.macs) for n in found.networks}
    assert sizes["plain"][0] == 1024 * 512 + 512 + 512 * 4 + 4
    assert sizes["plain"][2] == 1024 * 512 + 512 * 4
    assert sizes["zeros"][0] == sizes["plain"][0]
    assert sizes["zeros"][1] == pytest.approx(0.1 * sizes["plain"][0], rel=0.01)
    net = nn.Sequential(nn.Flatten(), nn.Linear(8, 4), nn.ReLU())
    counted = sized("net", net, torch.zeros(2, 2, 4))
    assert counted.operations == 2  # flattening moves nothing
    assert counted.activations == 2 * 4 * 4


def test_the_spread_and_the_throughput(found: Benched) -> None:
    for timing in found.timings:
        assert 0 < timing.low <= timing.milliseconds <= timing.high
        assert timing.passes >= 2 * 3
        assert timing.throughput == pytest.approx(1000 * timing.batch / timing.milliseconds)


def test_ratios_are_to_the_first_network_in_the_same_engine(found: Benched) -> None:
    beside = {(t.network, t.engine): t.beside for t in found.timings}
    assert beside["plain", "torch"] is None
    assert beside["plain", "onnx"] is None
    assert beside["zeros", "onnx"] == ("plain", "onnx")
    assert beside["zeros", "sparse"] == ("plain", "torch")  # it is not there in sparse rows
    for timing in found.timings:
        if timing.faster is not None:
            assert timing.faster_low is not None
            assert timing.faster_high is not None
            assert timing.faster_low <= timing.faster <= timing.faster_high


def test_files_are_those_that_the_engine_opens(found: Benched) -> None:
    files = {(t.network, t.engine): t.file for t in found.timings}
    assert files["plain", "torch"] > 4 * 1024 * 512
    assert files["zeros", "torch"] == files["zeros", "sparse"] == files["plain", "torch"]
    assert files["plain", "onnx"] != files["plain", "torch"]
    assert files["plain", "onnx"] == pytest.approx(files["plain", "torch"], rel=0.01)


def test_files_are_compared_without_what_else_is_in_them(
    told: list[tuple[str, int, int]], tmp_path: Path
) -> None:
    net = lenet5(fc=16)
    places = [tmp_path / "folder", tmp_path / "file.maxprune", tmp_path / "coded.mxp"]
    maxprune.save(net, places[0])
    maxprune.save(net, places[1])
    maxprune.save_coded(net, places[2])
    networks = {"here": net, **{place.stem: place for place in places}}
    found = bench(networks, (1, 28, 28), engines=("torch",), batches=(1,))
    weights, *others = (timing.file for timing in found.timings)
    assert others == [weights, weights, places[2].stat().st_size]
    assert weights == (tmp_path / "folder/model.safetensors").stat().st_size
    assert found.table().count("file: bytes of the weights as safetensors") == 2


SCRIPT = """
import maxprune
names = {{name: "{here}:" + name for name in ("wide", "fragile")}}
found = maxprune.bench(
    names, (4000,), batches=(1, 4, 1024), engines=("torch",), rounds=2, seconds=0.02
)
print(found.model_dump_json())
"""


@pytest.fixture(scope="module")
def odd() -> Benched:
    """64 MB of weights, beside a network that refuses a batch and dies of a larger one.

    In a script whose main part is not guarded, which processes that are started must not run.
    """
    command = [sys.executable, "-c", SCRIPT.format(here=HERE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    return Benched(**json.loads(done.stdout))


def test_what_fails_in_its_process_is_missing(odd: Benched) -> None:
    assert [tuple(m.model_dump().values()) for m in odd.missing] == [
        ("fragile", "torch", 4, "ValueError: one sample at a time"),
        ("fragile", "torch", 1024, "its process died (exit code 3)"),
    ]  # fmt: skip
    assert "fragile in torch, batch 4, is not measured: ValueError: one s" in odd.table()


def test_batches_that_work_are_kept_where_a_larger_one_fails(odd: Benched) -> None:
    assert [(t.network, t.batch) for t in odd.timings] == [
        ("wide", 1), ("wide", 4), ("wide", 1024), ("fragile", 1),
    ]  # fmt: skip


def test_memory_is_that_of_the_weights_and_of_the_batch(odd: Benched) -> None:
    one, _, many, _ = odd.timings
    weights, batch = 4 * 4000 * 4000, 4 * 1024 * 4000
    assert weights <= one.memory < 1.3 * weights
    assert one.memory + batch <= many.memory < one.memory + 4 * batch


def test_the_peak_of_a_process() -> None:
    script = (
        "from maxprune.runtime.memory import peak, reset, resident\n"
        "done, before = reset(), resident()\n"
        "block = bytearray(b'x' * 50_000_000)\n"
        "print(int(done), peak() - before)\n"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout
    done, grown = map(int, said.split())
    assert not done or 49_000_000 <= grown < 120_000_000


def test_torch_networks_are_saved_for_their_processes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = lenet5(fc=16)
    (source,) = sources_of({"net": net}, tmp_path)
    opened = source.opened()
    assert torch.equal(opened.fc1.weight, net.fc1.weight)  # type: ignore[union-attr, arg-type]
    with pytest.raises(
        UsageError, match=r"mine: .* is not known; build.*or give its name: 'my_net"
    ):
        sources_of({"mine": plain()}, tmp_path)


@pytest.mark.parametrize(
    ("networks", "says"),
    [
        ([], "there is no network"), (plain(), "needs a name here"), ([plain()], "needs a name"),
        (["a", Path("a")], "two networks have the same name"),
    ],
)  # fmt: skip
def test_networks_without_a_name_of_their_own(networks: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=says):
        sources_of(networks, tmp_path)
    assert [source.place for source in sources_of("out/model", tmp_path)] == ["out/model"]


def test_an_onnx_file_knows_its_shape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("maxprune.runtime.side_by_side.probe", lambda *_: MACHINE)
    place = export_onnx(plain(), tmp_path / "net.onnx", torch.randn(2, 1024))
    options = ("--engine", "onnx", "--rounds", 1, "--seconds", 0.01, "--batch", 2)
    networks = (f"file={place}", f"{HERE}:plain")
    code, said, _ = call(monkeypatch, capsys, "bench", *networks, *options, "--json")
    assert code == 0
    told = Benched(**json.loads(said))
    assert [(t.network, t.engine, t.batch) for t in told.timings] == [
        ("file", "onnx", 2), ("plain", "onnx", 2),
    ]  # fmt: skip
    assert told.timings[0].file == place.stat().st_size
    assert told.networks[0].macs is None
    text = told.table()
    assert "So many times as good as file" in text
    assert text.count("ONNX Runtime") == 2


def test_a_batch_that_does_not_fit_into_memory_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("maxprune.runtime.side_by_side.probe", lambda *_: MACHINE)
    options = ("--input", 1024, "--engine", "torch", "--batch", 10**15)
    code, _, said = call(monkeypatch, capsys, "bench", f"{HERE}:plain", *options)
    assert code == 2
    assert said.splitlines()[-1] == (
        "maxprune: nothing can be measured: plain: there is no memory for a batch of "
        "1,000,000,000,000,000"
    )


class Measured:
    """In the place of processes: ONNX files are refused, sparse rows run where they can."""

    loading = 1

    def __init__(self, job: Job) -> None:
        if job.engine == "onnx":
            raise Gone("it has no such operator")

    def __enter__(self) -> Measured:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def prepared(self, batch: int) -> tuple[int, float]:
        return 100, 0.5

    def timed(self, batch: int, seconds: float) -> list[float]:
        return [1.0, 2.0, 3.0]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """Without processes; what is told of progress."""
    monkeypatch.setattr("maxprune.runtime.side_by_side.probe", lambda *_: MACHINE)
    monkeypatch.setattr("maxprune.runtime.side_by_side.Worker", Measured)
    return []


def test_engines_that_are_left_out_are_said(
    told: list[tuple[str, int, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> Path:
        raise UsageError("it has a loop")

    place = tmp_path / "net.onnx"
    place.write_bytes(b"opened by nobody here")
    monkeypatch.setattr("maxprune.runtime.side_by_side.export_onnx", refused)
    names = {"plain": f"{HERE}:plain", "file": place}

    def missing(**changes: Any) -> list[tuple[str, str, str]]:
        found = bench(names, (1024,), **changes)
        return [(m.network, m.engine, m.reason) for m in found.missing]

    loop, operator = ("plain", "onnx", "it has a loop"), ("file", "onnx", "it has no such operator")
    assert missing() == [loop, operator]
    (zeros,) = missing(engines=("torch", "sparse"))[:1]
    assert zeros[:2] == ("plain", "sparse")
    alone = [("file", e, "an ONNX file runs in ONNX Runtime alone") for e in ("torch", "sparse")]
    assert missing(engines=("torch", "sparse"))[1:] == alone
    text = bench(names, (1024,), engines=("torch", "sparse")).table()
    assert "file in torch, sparse rows is not measured: an ONNX file runs in ONNX Runtime" in text
    names = {"plain": f"{HERE}:plain", "zeros": f"{HERE}:zeros"}
    assert missing(engines=("torch", "sparse")) == []  # few zeros; another one has more
    monkeypatch.setattr("maxprune.runtime.side_by_side.sparse_rows", refused)
    assert missing() == [
        loop, ("zeros", "onnx", "it has a loop"), ("zeros", "sparse", "it has a loop"),
    ]  # fmt: skip


def test_progress_goes_to_its_end(told: list[tuple[str, int, int]]) -> None:
    bench(
        {name: f"{HERE}:{name}" for name in ("plain", "zeros")}, (1024,), rounds=3,
        engines=("torch", "sparse"), tell=lambda *step: told.append(step),
    )  # fmt: skip
    assert told[:4] == [
        ("opened", 1, 2), ("opened", 2, 2), ("machine measured", 0, 1), ("machine measured", 1, 1),
    ]  # fmt: skip
    assert [done for _, done, _ in told[4:]] == sorted(done for _, done, _ in told[4:])
    assert {(what, total) for what, _, total in told[4:]} == {("measured", 3 * (1 + 3))}
    assert told[-1] == ("measured", 12, 12)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((f"{HERE}:plain", "--input", "1024", "--batch", "0"), "--batch must be at least 1, not 0"),
        ((f"{HERE}:plain", "--input", "1024", "--engine", "tensorrt"), "--engine must be"),
        ((f"{HERE}:plain", "--input", "1024", "--threads", "0"), "--threads must be at least 1"),
        ((f"{HERE}:plain", "--input", "1024", "--threads", "100000"), "must be at most 1024"),
        ((f"{HERE}:plain", "--input", "1024", "--seconds", "0"), "--seconds must be above 0"),
        ((f"{HERE}:plain", "--input", "1024", "--seconds", "1e30"), "must be at most 3600, not"),
        (("missing.onnx", "--input", "3", "--engine", "torch"), "missing.onnx does not exist"),
        ((f"{HERE}:plain", "--input", "1024", "--rounds", "0"), "--rounds must be at least 1"),
        ((f"{HERE}:plain", "--input", "1024", "--device", "tpu"), "--device must be"),
        ((f"{HERE}:plain", "--input", "1024", "--kind", "text"), "--kind is float or int"),
        ((f"{HERE}:plain", "--input", "77"), "does not take inputs of shape (77,)"),
        ((f"{HERE}:plain",), "say the shape of an input"),
        (("nothing/there", "--input", "3"), "does not exist: give my_net.py:build, package"),
        ((f"{HERE}", "--input", "3"), "is no network: give my_net.py:build"),
        (("", "--input", "3"), "'' names no network"),
        (("x=", "--input", "3"), "'x=' names no network: give NETWORK or NAME=NETWORK"),
        (("missing.onnx", "--weights", "w.pt"), "--weights is for networks that a function builds"),
        (("missing.onnx", "--factory", "a.py:b"), "--factory is for saved models; there is none"),
        ((f"{HERE}:plain", "--input", "1,99999999,99999999"), "there is no memory for 2 inputs of"),
        (("missing.onnx",), "does not exist"),
        ((f"{HERE}:plain", f"{HERE}:plain", "--input", "1024"), "the same name"),
        ((f"{HERE}:small", "--input", "1024", "--engine", "sparse"), "nothing can be measured"),
    ],
)
def test_bad_input(
    arguments: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    code, _, said = call(monkeypatch, capsys, "bench", *arguments)
    assert code == 2
    *progress, last = said.splitlines()
    assert last.startswith("maxprune: ")
    assert says in last
    assert all(line.startswith("opened: ") for line in progress)


def test_networks_are_named_as_briefly_as_they_differ() -> None:
    found = dict(_named(["out/steps/unpruned", "out/model/", "x=b/net.py:build"]))
    assert found == {
        "unpruned": "out/steps/unpruned", "model": "out/model/", "x": "b/net.py:build",
    }  # fmt: skip
    assert [name for name, _ in _named(["one/model", "two/model"])] == ["one/model", "two/model"]
    assert [name for name, _ in _named(["one/model", "net.py:build"])] == ["model", "build"]


def test_cuda_is_refused_where_there_is_none() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    with pytest.raises(UsageError, match="no CUDA device here"):
        maxprune.bench([f"{HERE}:plain"], (1024,), device="cuda")
