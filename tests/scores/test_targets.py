"""What samples are, kept on disk beyond a little memory."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from maxprune.errors import OutputError, UsageError
from maxprune.scores import targets as module
from maxprune.scores.targets import Targets


@pytest.mark.parametrize("held", [1, 2**20])
@pytest.mark.parametrize("kind", ["classes", "values"])
def test_what_was_appended_comes_back(
    held: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HELD", held)
    parts: list[Tensor] = [torch.arange(n) * 1000 for n in (3, 0, 5, 1)]
    if kind == "values":
        parts = [torch.rand(len(part), 2) for part in parts]
    kept = Targets()
    for part in parts:
        kept.append(part)
    whole = torch.cat(parts)
    assert (len(kept), kept.real) == (9, kind == "values")
    assert kept.largest == (-1 if kept.real else 4000)
    for start, count in ((0, 9), (2, 4), (8, 1), (4, 0)):
        assert torch.equal(kept.of(start, count), whole[start : start + count])
    assert kept.of(0, 9).dtype == whole.dtype
    kept.append(parts[0])  # also once some were read
    assert torch.equal(kept.of(9, 3), parts[0])


def test_what_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Targets()
    kept.append(torch.arange(3))
    with pytest.raises(UsageError, match="there are 3 targets"):
        kept.of(1, 3)
    with pytest.raises(UsageError, match="not of one kind"):
        kept.append(torch.rand(3, 1))
    monkeypatch.setattr(module, "HELD", 1)
    with pytest.raises(OutputError, match="no place on disk for targets"):
        Targets("/nowhere/at/all").append(torch.arange(9))
