import errno
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from train_helpers import LONG, SHORT, network, pictures, weights

from maxprune.data.images import Images
from maxprune.errors import OutputError, StoreError, TrainingDiverged
from maxprune.train import Checkpoints, Progress, Training, Watch, train
from maxprune.train.checkpoint import before

plain_batch = Images.batch


def run(
    place: Checkpoints | None,
    training: Training = SHORT,
    seed: int = 0,
    sparse: bool = True,
    images: Images | None = None,
    zeroed: float | None = None,
    shared: int | None = None,
) -> tuple[nn.Module, Progress]:
    model = network(sparse)
    images = images or pictures()
    return model, train(model, images, training, seed, place, zeroed=zeroed, shared=shared)


@pytest.fixture
def place(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "deep" / "step.part", every=10, key="step")


class Stop(BaseException):
    """Not an error: somebody pulled the plug."""


def stop_at(patch: pytest.MonkeyPatch, iteration: int) -> None:
    """Stop when the batch of that iteration, counted from here on, is asked for."""
    count = iter(range(10**9))

    def batch(self: Images, index: torch.Tensor, device: torch.device | str = "cpu") -> object:
        if next(count) == iteration:
            raise Stop
        return plain_batch(self, index, device)

    patch.setattr(Images, "batch", batch)


def counted(patch: pytest.MonkeyPatch) -> list[int]:
    """How many images of each batch are asked for from now on."""
    asked: list[int] = []

    def batch(self: Images, index: torch.Tensor, device: torch.device | str = "cpu") -> object:
        asked.append(len(index))
        return plain_batch(self, index, device)

    patch.setattr(Images, "batch", batch)
    return asked


def interrupted(place: Checkpoints, iteration: int, **settings: object) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, iteration)
        with pytest.raises(Stop):
            run(place, **settings)


@pytest.mark.parametrize("average", [0, 0.5, 1])
@pytest.mark.parametrize(
    ("sparse", "zeroed", "shared"),
    [(False, None, None), (True, None, None), (True, 0.8, None), (True, None, 2)],
)
def test_an_interrupted_training_ends_as_one_that_was_not(
    place: Checkpoints, average: float, sparse: bool, zeroed: float | None, shared: int | None
) -> None:
    training = SHORT.model_copy(update={"average": average})
    more = {"sparse": sparse, "zeroed": zeroed, "shared": shared}
    model, progress = run(None, training, **more)
    expected = weights(model)
    for iterations in ([0], [9], [10], [11], [15, 12, 7], [20, 10, 9], [30, 5], [42]):
        for iteration in iterations:
            interrupted(place, iteration, training=training, **more)
        again, found = run(place, training, **more)
        assert weights(again) == expected, iterations
        assert found == progress
        assert list(place.path.parent.iterdir()) == []


def test_a_checkpoint_is_really_used(place: Checkpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(place, 39)
    asked = counted(monkeypatch)
    run(place)
    assert len(asked) == 13  # after the checkpoint at 30, of 43


def test_a_tick_or_a_last_that_fails_loses_nothing(place: Checkpoints) -> None:
    expected = weights(run(None)[0])

    def stop(*_: object) -> None:
        raise Stop

    for _ in range(3):
        with pytest.raises(Stop):
            train(network(True), pictures(), SHORT, 0, place, watch=Watch(tick=stop))
    with pytest.raises(Stop):
        train(network(True), pictures(), SHORT, 0, place, watch=Watch(last=stop))
    assert weights(run(place)[0]) == expected


def test_a_killed_process_goes_on_where_it_was(place: Checkpoints) -> None:
    script = Path(__file__).with_name("train_killed.py")
    place = Checkpoints(place.path, every=100, key="killed")
    died = subprocess.run(
        [sys.executable, script, place.path],
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert died.returncode == -signal.SIGKILL
    assert place.path.exists()
    expected = weights(run(None, LONG)[0])
    assert weights(run(place, LONG)[0]) == expected


DAMAGES = {
    "empty": lambda b: b"",
    "short": lambda b: b[:20],
    "half": lambda b: b[: len(b) // 2],
    "one byte less": lambda b: b[:-1],
    "one byte more": lambda b: b + b"\0",
    "text": lambda b: b"not a checkpoint" * 100,
    **{
        f"flip at {i}/16": lambda b, i=i: (
            b[: len(b) * i // 16] + bytes([b[len(b) * i // 16] ^ 1]) + b[len(b) * i // 16 + 1 :]
        )
        for i in range(16)
    },
}


@pytest.mark.parametrize("damage", list(DAMAGES))
def test_a_damaged_checkpoint_is_set_aside_and_the_training_starts_again(
    place: Checkpoints, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    training = SHORT.model_copy(update={"iterations": 14})
    interrupted(place, 12, training=training)
    broken = DAMAGES[damage](place.path.read_bytes())
    place.path.write_bytes(broken)
    with caplog.at_level(logging.WARNING, "maxprune"):
        model, _ = run(place, training)
    assert weights(model) == weights(run(None, training)[0])
    aside = place.path.with_name("step.part.damaged")
    assert [p.name for p in place.path.parent.iterdir()] == [aside.name]
    assert aside.read_bytes() == broken
    (note,) = caplog.messages
    assert str(place.path) in note
    assert "starts again" in note
    assert "\n" not in note


def flip(path: Path) -> None:
    """One bit of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("both", "left", "says"),
    [
        (False, 23, "is damaged; kept as {0}.damaged, and its step goes on from the one before, "
                    "at iteration 20"),
        (True, 43, "and the one before it are damaged; kept as {0}.damaged and "
                   "{0}.before.damaged, and its step starts again"),
    ],
    ids=["the last", "both"],
)  # fmt: skip
def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    place: Checkpoints, both: bool, left: int, says: str, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    expected, progress = run(None)
    interrupted(place, 35)
    assert {p.name for p in place.path.parent.iterdir()} == {"step.part", "step.part.before"}
    for one in [place.path, before(place.path)][: 1 + both]:
        flip(one)
    asked = counted(monkeypatch)
    with caplog.at_level(logging.WARNING, "maxprune"):
        model, found = run(place)
    assert caplog.messages == [f"checkpoint {place.path} {says.format(place.path)}"]
    assert len(asked) == left
    assert weights(model) == weights(expected)
    assert found == progress
    assert all(p.name.endswith(".damaged") for p in place.path.parent.iterdir())


@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.replace", "pathlib.Path.chmod"])
@pytest.mark.parametrize("number", range(1, 4))
def test_at_any_moment_of_writing_a_whole_checkpoint_is_there(
    place: Checkpoints, call: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(place, 15)
    name, _, attribute = call.rpartition(".")
    owner = os if name == "os" else Path
    plain, count = getattr(owner, attribute), iter(range(1, 10**9))

    def pulled(*arguments: object) -> object:
        if next(count) == number:
            raise Stop
        return plain(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(owner, attribute, pulled)
        with pytest.raises(Stop):
            run(place)
    asked = counted(monkeypatch)
    assert weights(run(place)[0]) == weights(run(None)[0])
    assert len(asked) - 43 <= 33  # from iteration 10 on at least; the other was from the start


def test_a_full_disk_keeps_the_checkpoints_before(
    place: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    interrupted(place, 25)
    there = {p.name: p.read_bytes() for p in place.path.parent.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(OutputError, match=r"cannot write .*step.part: No space left on dev"):
            run(place)
    assert {p.name: p.read_bytes() for p in place.path.parent.iterdir()} == there
    assert weights(run(place)[0]) == weights(run(None)[0])


OTHERS = {
    "key": lambda place: run(Checkpoints(place.path, 10, "other")),
    "seed": lambda place: run(place, seed=1),
    "training": lambda place: run(place, SHORT.model_copy(update={"rate": 0.04})),
    "average": lambda place: run(place, SHORT.model_copy(update={"average": 0})),
    "zeros": lambda place: run(place, sparse=False),
    "images": lambda place: run(place, images=pictures(40)),
    "zeroed": lambda place: run(place, zeroed=0.8),
}
ALONE = {
    "key": lambda: run(None),
    "seed": lambda: run(None, seed=1),
    "training": lambda: run(None, SHORT.model_copy(update={"rate": 0.04})),
    "average": lambda: run(None, SHORT.model_copy(update={"average": 0})),
    "zeros": lambda: run(None, sparse=False),
    "images": lambda: run(None, images=pictures(40)),
    "zeroed": lambda: run(None, zeroed=0.8),
}


@pytest.mark.parametrize("what", list(OTHERS))
def test_the_checkpoint_of_another_training_is_not_resumed(place: Checkpoints, what: str) -> None:
    interrupted(place, 35)
    model, progress = OTHERS[what](place)
    expected, alone = ALONE[what]()
    assert weights(model) == weights(expected)
    assert progress == alone
    assert list(place.path.parent.iterdir()) == []


def test_after_a_divergence_the_last_good_checkpoint_stays(
    place: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain_rate = Training.rate_at
    # At iteration 19 the loss is still finite, and the step ruins the weights.
    for bad in (15, 19):

        def rate(self: Training, i: int, bad: int = bad) -> float:
            return float("inf") if i == bad else plain_rate(self, i)

        with monkeypatch.context() as patch:
            patch.setattr(Training, "rate_at", rate)
            with pytest.raises(TrainingDiverged):
                run(place)
        assert weights(run(place)[0]) == weights(run(None)[0])
        interrupted(place, 11)


def test_a_checkpoint_that_cannot_be_read_or_written(place: Checkpoints, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="cannot write"):
        run(Checkpoints(tmp_path / "file" / "step.part", 10))
    place.path.mkdir(parents=True)
    with pytest.raises(StoreError, match="cannot read"):
        run(place)
