"""Two processes of torchrun against one: the same steps, counts, scores and plans."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from reference import double, found_alone, pictures, small

from maxprune.distributed import launched
from maxprune.errors import UsageError
from maxprune.measure import correct

SHARED = Path("/dev/shm")  # noqa: S108  (looked into only)
HERE = Path(__file__).parent
EXACT = 1e-12  # in double precision


def begun(*words: object, processes: int) -> subprocess.Popen[str]:
    """torchrun, as a user starts it."""
    start = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}"]
    there = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [*start, *map(str, words)], env=there, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def torchrun(*words: object) -> tuple[int, str, str]:
    """Two processes on this machine: exit code, output and error stream."""
    done = begun("--standalone", *words, processes=2)
    out, said = done.communicate(timeout=300)
    return done.returncode, out, said


@pytest.fixture(scope="module", params=["two machines", "one machine"])
def found(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    """What each of two processes has found, that meet as those of two machines or of one do."""
    folder = tmp_path_factory.mktemp("several")
    if request.param == "one machine":
        code, _, said = torchrun(HERE / "several.py", folder)
        assert code == 0, said
    else:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        meet = ["--nnodes=2", "--master-addr=127.0.0.1", f"--master-port={port}"]
        started = [
            begun(*meet, f"--node-rank={rank}", HERE / "several.py", folder, processes=1)
            for rank in (0, 1)
        ]
        for one in started:
            _, said = one.communicate(timeout=300)
            assert one.returncode == 0, said
    found = [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]
    assert found[0]["shares memory"] == (request.param == "one machine")
    return found


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    """What one process finds."""
    return json.loads(json.dumps(found_alone()))


def test_all_have_the_same(found: list[dict[str, Any]]) -> None:
    first, second = found
    assert first["size"] == second["size"] == 2
    assert first == second


@pytest.mark.parametrize("name", ["weights", "own"])
def test_they_take_the_steps_of_one(
    name: str, found: list[dict[str, Any]], alone: dict[str, Any]
) -> None:
    for tensor, values in alone[name].items():
        torch.testing.assert_close(
            torch.tensor(found[0][name][tensor], dtype=torch.float64),
            torch.tensor(values, dtype=torch.float64), rtol=0, atol=EXACT,
        )  # fmt: skip


def test_the_loss_is_that_of_whole_batches(
    found: list[dict[str, Any]], alone: dict[str, Any]
) -> None:
    assert found[0]["loss"] == pytest.approx(alone["loss"], abs=1e-6)


def test_wins_and_the_cut_are_exactly_equal(
    found: list[dict[str, Any]], alone: dict[str, Any]
) -> None:
    assert found[0]["wins"] == alone["wins"]
    assert found[0]["width"] == alone["width"] == 6


def test_scores_are_equal(found: list[dict[str, Any]], alone: dict[str, Any]) -> None:
    for name, groups in alone["scores"].items():
        assert found[0]["scores"][name].keys() == groups.keys()
        for group, scores in groups.items():
            assert found[0]["scores"][name][group] == pytest.approx(scores, rel=1e-9, abs=1e-12)


def test_answers_are_in_their_order(found: list[dict[str, Any]]) -> None:
    assert found[0]["correct"] == correct(double(small()), pictures(), batch=7).tolist()


def test_what_they_tell_each_other(found: list[dict[str, Any]]) -> None:
    assert found[1]["told"] == {"rank": 0}
    assert found[1]["sum"] == [1, 2]
    assert found[1]["equal"] == [[0.0, 0.0], [0.0, 0.0]]
    assert found[1]["alone"] == 1
    same, other = found[1]["agreed"]
    assert same == ""
    assert other.startswith("the processes do not have the same plan of 0; start them with")


def test_the_others_get_what_the_first_has(found: list[dict[str, Any]]) -> None:
    assert found[1]["mirrored"] == {"deep/a": "first"}


def lines(said: str) -> list[str]:
    """What maxprune says of what is wrong; torchrun says a lot besides."""
    return [line for line in said.splitlines() if line.startswith("maxprune:")]


def test_a_command_writes_once_and_one_process_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "out"
    network = f"{HERE / 'reference.py'}:dense"
    asked = [
        "compress", network, "--data", "digits", "--out", out, "--train-epochs", 2, "--epochs", 1,
        "--method", "taylor", "--share", 0.5, "--iterations", 1, "--batch", 64,
    ]  # fmt: skip
    code, shown, said = torchrun("-m", "maxprune", *asked)
    assert code == 0, said
    assert shown.count("The page:") == 1
    results = json.loads((out / "results.json").read_text())
    assert results["details"]["environment"]["processes"] == "2"
    assert results["steps"][0]["parameters"] < results["baseline"]["parameters"]
    assert {"model", "model.onnx", "report.html", "run.json", "steps"} <= set(os.listdir(out))
    taken = (out / "model" / "model.safetensors").read_bytes()
    again = [sys.executable, "-m", "maxprune", *map(str, asked), "--resume"]
    alone = subprocess.run(again, capture_output=True, text=True, timeout=300)
    assert alone.returncode == 0, alone.stderr
    assert (out / "model" / "model.safetensors").read_bytes() == taken


def test_what_is_for_one_process_is_refused_once() -> None:
    code, _, said = torchrun("-m", "maxprune", "diff", "a", "b")
    assert code != 0
    assert lines(said) == ["maxprune: diff a is for one process: start it without torchrun"]


@pytest.mark.parametrize(
    ("there", "says"),
    [
        ({"WORLD_SIZE": "2"}, "RANK is '', but WORLD_SIZE is set: start several processes by"),
        ({"WORLD_SIZE": "x"}, "WORLD_SIZE is 'x', but WORLD_SIZE is set: start several"),
    ],
)
def test_half_of_torchruns_environment_is_refused(
    there: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in there.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=says), launched():
        pass


def test_lightning_has_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORLD_SIZE", "RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "0" if name == "RANK" else "2")
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    with (
        pytest.raises(UsageError, match="several processes need lightning-fabric: python3 -m"),
        launched(),
    ):
        pass


def test_alone_nothing_changes() -> None:
    numbers = torch.ones(2)
    with launched() as world:
        assert (world.rank, world.size, world.leads) == (0, 1, True)
        assert world.sum(numbers) is numbers
        assert world.own(Path("out")) == Path("out")


def test_several_go_on_where_one_process_was(tmp_path: Path) -> None:
    """What an earlier run has left is known to all of them, or they would wait for each other."""
    shared = [
        "--dataset", "digits", "--fc", 128, "--seeds", 1, "--network", "mfc", "--iterations", 10,
        "--out", tmp_path / "out",
    ]  # fmt: skip
    first = [sys.executable, "-m", "maxprune", "reproduce", "table1", *map(str, shared)]
    assert subprocess.run([*first, "--jobs", "1"], capture_output=True, timeout=300).returncode == 0
    before = json.loads((tmp_path / "out" / "mfc-128-seed0" / "results.json").read_text())
    code, _, said = torchrun("-m", "maxprune", "reproduce", "table2", *shared, "--resume")
    assert code == 0, said
    found = json.loads((tmp_path / "out" / "mfc-128-seed0" / "results.json").read_text())
    assert found["control"] == before["control"]  # of the first run, which the second does not ask
    assert found["steps"][: len(before["steps"])] == before["steps"]
    assert len(found["steps"]) > len(before["steps"])


def test_the_mean_is_taken_in_shared_memory_which_leaves_nothing(tmp_path: Path) -> None:
    before = set(SHARED.glob("maxprune-*"))
    code, _, said = torchrun(HERE / "sharing.py", tmp_path)
    assert code == 0, said
    for rank in (0, 1):
        found = json.loads((tmp_path / f"{rank}.json").read_text())
        assert not Path(found.pop("private")).exists()
        assert found == {f"torch.{name}": True for name in ("float32", "float64", "bfloat16")}
    assert set(SHARED.glob("maxprune-*")) <= before


def test_nobody_waits_for_a_process_that_was_killed_and_nothing_stays(tmp_path: Path) -> None:
    torchrun(HERE / "sharing.py", tmp_path, "gone")
    found = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)]
    assert found[0]["gone"] == "another process has ended"
    assert found[1]["private"].startswith(tempfile.gettempdir())
    assert not Path(found[1]["private"]).exists()
