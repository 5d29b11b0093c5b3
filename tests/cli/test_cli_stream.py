"""compress and compare on pictures that stay on disk: the same results, to the byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from command_line import call
from streaming_helpers import write_folder

from maxprune.comparison.part import Part
from maxprune.data.index import Index
from maxprune.errors import UsageError
from maxprune.results import Results

QUICK = ("--train-epochs", 1, "--epochs", 1, "--iterations", 1, "--batch", 16)
NETWORK = """
from torch import nn
def build():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 8), nn.ReLU(), nn.Linear(8, 3)
    )
"""


@pytest.fixture(scope="module")
def flowers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("stream")
    write_folder(root / "flowers")
    (root / "stream_net.py").write_text(NETWORK)
    return root / "flowers"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAXPRUNE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def compress(
    flowers: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Any:
    """Calls the command on these pictures."""

    def run(out: Path, *more: object) -> tuple[int, str, str]:
        network = f"{flowers.parent / 'stream_net.py'}:build"
        return call(
            monkeypatch, capsys, "compress", network, "--data", flowers, *QUICK, "--out", out, *more
        )

    return run


def figures(out: Path) -> dict[str, Any]:
    """The results without what is the clock's, and the bytes of the network."""
    found = Results.read(out / "results.json").model_dump(mode="json")
    assert 0 < found["details"].pop("waiting") < 1
    for step in found["steps"]:
        del step["seconds"]
    del found["details"]["command"]
    return found | {"bytes": (out / "model" / "model.safetensors").read_bytes()}


def test_the_results_are_those_of_pictures_in_memory(
    compress: Any, tmp_path: Path, flowers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of a run that a vanishing picture ended, once that is back."""
    code, said, _ = compress(tmp_path / "held", "--no-stream")
    assert (code, "waiting for data" in said) == (0, True)
    gone, away = flowers / "train" / "class1" / "007.jpg", tmp_path / "away.jpg"
    out, true = tmp_path / "out", Index.read

    def read(self: Index, place: int, size: Any) -> Any:
        if place == 3 and (out / "steps" / "unpruned").is_dir() and not away.exists():
            gone.rename(away)
        return true(self, place, size)

    monkeypatch.setattr(Index, "read", read)
    code, _, err = compress(out, "--stream", "--workers", 3)
    (line,) = [line for line in err.splitlines() if line.startswith("maxprune: ")]
    assert line.startswith(f"maxprune: {gone} is gone; it has to stay as it is while a run goes on")
    assert (code, (out / "steps" / "unpruned" / "model.safetensors").exists()) == (2, True)
    monkeypatch.setattr(Index, "read", true)
    away.rename(gone)
    code, _, err = compress(out, "--no-stream", "--resume")
    assert (code, "started with --stream; this one is started with --no-stream" in err) == (2, True)
    assert compress(out, "--stream", "--resume")[0] == 0
    assert figures(out) == figures(tmp_path / "held")


@pytest.mark.parametrize(("free", "stream"), [(2**40, "no"), (0, "yes")])
def test_all_parts_of_a_comparison_have_them_in_memory_or_none(
    flowers: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path,
    free: int, stream: str,
) -> None:  # fmt: skip
    """Whatever memory is free when a part begins."""
    seen: list[Part] = []

    def begun(part: Part, *_: object) -> None:
        seen.append(part)
        raise UsageError("enough")

    monkeypatch.setattr("maxprune.data.room.free", lambda: free)
    monkeypatch.setattr("maxprune.comparison.part.run_parts", begun)
    code, _, _ = call(
        monkeypatch, capsys, "compare", f"{flowers.parent / 'stream_net.py'}:build", "--data",
        flowers, "--methods", "magnitude", "--out", tmp_path / "out", "--workers", 2,
    )  # fmt: skip
    assert code == 2
    options = seen[0].options
    assert (options.stream, options.workers) == (stream, 2 if stream == "yes" else 0)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--no-stream", "--workers", 2), "workers are for pictures that are streamed"),
        (("--workers", -1), "Invalid value for '--workers'"),
        (("--stream", "--data", "digits"), "digits is in memory; streaming, with workers, is for"),
    ],
)
def test_what_does_not_fit_is_refused(
    compress: Any, tmp_path: Path, more: tuple[object, ...], says: str
) -> None:
    code, _, err = compress(tmp_path / "out", *more)
    assert code == 2
    assert says in " ".join(err.replace("│", " ").split())
    assert not (tmp_path / "out").exists()
