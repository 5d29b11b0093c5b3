"""Damaged files of every kind: a value, or one line that says what is wrong; and what once broke.

`benchmarks/fuzz.py` goes on where this stops, by hand: the same targets, 100,000 inputs each.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from fuzz_changes import changed
from fuzz_target import Finding, Target
from fuzz_targets import TARGETS
from hypothesis import given, settings
from hypothesis import strategies as st

from maxprune.errors import DataError

CORPUS = Path(__file__).with_name("corpus")
SLOW = (
    "caffe", "cifar10-copy", "coded", "coded-file", "keras-json", "matconvnet", "matconvnet-packed",
    "model-description", "model-file", "model-weights", "vgg-face-safetensors", "vgg-face-torch",
)  # fmt: skip
"""Targets that take more than 3 ms an input."""

IN_LIBRARY = ("keras-hdf5", "matconvnet-hdf5")
"""What may not end, in HDF5's library; `tests/store/test_hdf5.py` shows that this is held up."""

BROKEN = sorted(path for path in CORPUS.glob("*/*") if path.parent.name not in IN_LIBRARY)

NEVER_READ = ("cifar10-copy", "lfw-archive", "picture-folder")
"""Of which a seed would be a whole data set."""


@pytest.fixture(scope="module", params=sorted(TARGETS.keys() - {*IN_LIBRARY}))
def target(request: pytest.FixtureRequest) -> Target:
    found = TARGETS[request.param]
    found.warm()
    return found


def test_whole_files_are_read(target: Target) -> None:
    said = [target.check(content) for content in target.seeds()]
    assert target.name in NEVER_READ or "" in said, said


def test_damage_is_refused_or_harmless(target: Target) -> None:
    seeds = target.seeds()
    examples = 25 if target.name in SLOW else 200

    @settings(deadline=None, max_examples=examples, derandomize=True, database=None)
    @given(st.sampled_from(seeds), st.integers(0, 2**32 - 1))
    def damaged(seed: bytes, chance: int) -> None:
        target.check(changed(seed, target.form, seeds, random.Random(chance)))

    damaged()


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_once_broke(path: Path) -> None:
    target = TARGETS[path.parent.name]
    target.warm()
    target.check(path.read_bytes())


def test_every_folder_of_the_corpus_is_of_a_target() -> None:
    assert {path.parent.name for path in BROKEN} <= {*TARGETS}
    text = (CORPUS / "README.md").read_text(encoding="utf-8")
    assert [p for p in BROKEN if f"`{p.parent.name}/{p.name}`" not in text] == []


def _raise(error: BaseException) -> Callable[[bytes], object]:
    def read(content: bytes) -> object:
        raise error

    return read


def _endless(content: bytes) -> object:
    while True:
        pass


@pytest.mark.parametrize(
    ("read", "says"),
    [
        (_raise(ValueError("oops")), "ValueError: oops"),
        (_raise(RecursionError()), "RecursionError"),
        (_raise(SystemExit(2)), "SystemExit: 2"),
        (lambda content: b"1" * (80 << 20), "memory: "),
        (_endless, "time: over"),
    ],
)
def test_a_finding_is_found(
    read: Callable[[bytes], object], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fuzz_target.SECONDS", 0.2)
    with pytest.raises(Finding, match=says):
        Target("made up", read, lambda: [b""]).check(b"1")


def test_a_message_is_one_line_that_no_terminal_obeys() -> None:
    """Whatever is in a file: the errors see to that."""
    bad = Target("made up", _raise(DataError("a\nb \x1b[31m" + "x" * 9999)), lambda: [b""])
    said = bad.check(b"")
    assert said.startswith(r"a\nb \x1b[31mx")
    assert len(said) == 2000
