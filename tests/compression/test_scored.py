"""Networks made smaller by a score: shares, iterations, heads, what pls keeps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import maxprune
from maxprune.compress import Run
from maxprune.compression import Compression
from maxprune.compression.methods import planned
from maxprune.compression.scored import ScoreMethod
from maxprune.compression.settings import METHODS
from maxprune.data import Dataset
from maxprune.data.spec import as_splits
from maxprune.errors import StructureError, UsageError
from maxprune.networks import vgg_small
from maxprune.plan import KeepPlan
from maxprune.report.trials import conclusion
from maxprune.runs.workspace import Memory
from maxprune.scores.named import SCORES


@pytest.mark.parametrize("method", [m for m in METHODS if m != "maxout"])
def test_a_score_takes_its_share_so_many_times(
    method: str, trained: nn.Module, data: Dataset
) -> None:
    torch.manual_seed(0)
    net = trained if method != "bn-scale" else vgg_small(size=28, colours=1)
    found = maxprune.compress(net, data, method=method, share=0.1, iterations=2, epochs=0.05)
    assert [trial.taken for trial in found.trials] == [True, True]
    assert found.results.details.search.goal == "at most 2 iterations"
    plans = [plan for plan in found.plans if isinstance(plan, KeepPlan)]
    assert len(plans) == 2
    assert {plan.method for plan in plans} == {method}
    gone = sum(len(plans[0].removed(layer)) for layer in plans[0].keep)
    # Of 36 channels without the last convolution, of 96, of 36 or 40 that are ever zero, of 44.
    assert gone == {"pls": 3, "bn-scale": 9, "apoz": 3}.get(method, 4)


def test_pls_leaves_the_last_convolution_of_a_vgg_like_network_whole(
    trained: nn.Module, data: Dataset
) -> None:
    says = "The last convolution, conv2, is left whole (keep_last=False cuts it)."

    def cut(**changes: Any) -> set[str]:
        found = maxprune.compress(trained, data, share=0.5, iterations=1, epochs=0.05, **changes)
        layers = {layer for plan in found.plans for layer in plan.keep}
        assert (says in found.results.details.notes) == ("conv2" not in layers)
        return layers

    assert "conv2" not in cut(method="pls")
    assert "conv2" in cut(method="pls", keep_last=False)
    assert "conv2" in cut(method="pls", layers=["conv2", "fc1"])
    assert "conv2" not in cut(method="pls", layers=["conv2", "fc1"], keep_last=True)
    assert "conv2" not in cut(method="magnitude", keep_last=True)
    assert "conv2" in cut(method="magnitude")


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.inner = nn.Conv2d(1, 4, 5, stride=5), nn.Conv2d(4, 6, 3, padding=1)
        self.last, self.out = nn.Conv2d(6, 4, 3, padding=1), nn.Linear(4 * 25, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.out((x + self.last(torch.relu(self.inner(x)))).flatten(1))


def test_what_is_cut_along_with_a_named_layer_is_named(data: Dataset) -> None:
    how: dict[str, Any] = {"method": "magnitude", "share": 0.5, "iterations": 1, "epochs": 0.05}
    found = maxprune.compress(Residual(), data, layers=["last"], **how)
    assert "Cut together with last: stem." in found.results.details.notes
    lines = planned(Compression(layers=("last", "inner"), **how), as_splits(data), Residual())
    assert "cut are last, inner" in lines
    assert "Cut together with last: stem" in lines


@pytest.mark.parametrize("method", ["pls", "apoz", "skeletonization", "magnitude"])
def test_a_search_ends_where_nothing_is_left_to_cut(
    method: str, trained: nn.Module, data: Dataset
) -> None:
    found = maxprune.compress(
        trained, data, method=method, share=0.9, keep_accuracy=100, epochs=0.05, keep_last=False
    )
    assert found.model.fc1.out_features == 1
    assert found.model.conv1.out_channels == 1 or method == "apoz"  # none of it is ever zero


def test_a_named_layer_may_be_used_up(trained: nn.Module, data: Dataset) -> None:
    found = maxprune.compress(
        trained, data, method="magnitude", layers=["conv1", "fc1"], share=0.5,
        keep_accuracy=100, epochs=0.05,
    )  # fmt: skip
    assert (found.model.conv1.out_channels, found.model.conv2.out_channels) == (1, 8)
    assert found.model.fc1.out_features == 1


def test_a_score_that_has_nothing_to_say_is_refused(data: Dataset) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 8), nn.GELU(), nn.Linear(8, 10))
    with pytest.raises(StructureError, match="apoz has nothing to say of any channel"):
        maxprune.compress(net, data, method="apoz", share=0.5, iterations=1)


def test_milliseconds_are_not_searched_by(trained: nn.Module, data: Dataset) -> None:
    """The budget of MACs is met at once; that of time never, and each step cuts its whole share."""
    found = maxprune.compress(
        trained, data, method="magnitude", share=0.3, max_macs=10**7, max_latency_ms=1e-9,
        epochs=0.05, iterations=2,
    )  # fmt: skip
    assert [trial.title for trial in found.trials] == ["-13 channels", "-9 channels"]


def test_what_pls_keeps_of_the_samples_has_a_limit(trained: nn.Module, data: Dataset) -> None:
    how = {"method": "pls", "share": 0.3, "iterations": 1, "epochs": 0.05}
    held = maxprune.compress(trained, data, **how)
    kept = maxprune.compress(trained, data, memory=2**18, **how)
    assert [p.keep for p in held.plans] == [p.keep for p in kept.plans]
    with pytest.raises(UsageError, match="100 bytes of memory do not hold the features of one"):
        maxprune.compress(trained, data, memory=100, run=Run(lambda *_: pytest.fail("late")), **how)


class Attending(nn.Module):
    """Attention with its heads in an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.num_heads, self.size = 4, 3
        self.qkv, self.out = nn.Linear(12, 36), nn.Linear(12, 12)

    def forward(self, x: Tensor) -> Tensor:
        b, n, _ = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.num_heads, self.size).permute(2, 0, 3, 1, 4)
        y = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.out(y.transpose(1, 2).reshape(b, n, -1))


class Attentive(nn.Module):
    """Attention over the rows of a digit."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.attention = nn.Linear(28, 12), Attending()
        self.last = nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.attention(self.into(x.flatten(1, 2))).mean(1))


def test_heads_may_be_used_up(data: Dataset) -> None:
    torch.manual_seed(0)
    found = maxprune.compress(
        Attentive(), data, method="magnitude", heads=["attention"], layers=["attention.qkv"],
        share=0.5, keep_accuracy=100, epochs=0.05,
    )  # fmt: skip
    assert found.model.attention.num_heads == 1


def test_heads_go_in_a_search() -> None:
    found = maxprune.compress(
        Attentive(), maxprune.data.load("digits"), method="random", heads=["attention"],
        layers=["attention.qkv"], max_parameters=1000, epochs=0.1, share=0.3,
    )  # fmt: skip
    assert found.model.attention.num_heads == 3
    with pytest.raises(UsageError, match="heads are cut by a score"):
        maxprune.compress(
            Attentive(),
            maxprune.data.load("digits"),
            method="maxout",
            heads=["attention"],
            keep_accuracy=5.0,
        )


def test_equal_scores_and_fewer_iterations_are_said(data: Dataset) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 8), nn.ReLU(), nn.Linear(8, 10))
    for parameter in net[1].parameters():
        nn.init.constant_(parameter, 0.01)
    found = maxprune.compress(
        net, data, method="magnitude", share=0.25, iterations=9, fit=lambda m, d: None
    )
    says = [*conclusion(found.results), *found.results.details.notes]
    assert found.plans[0].keep == {"1": (2, 3, 4, 5, 6, 7)}
    first = "1: -2 channels: 2 of 8 channels with the same score, 1, went: the first of them."
    assert first in says
    assert "Only 4 of 9 iterations: a share of 0.25 of the channels that are left" in says[-1]


def test_a_run_that_goes_on_does_not_score_again(
    trained: nn.Module, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {
        "method": "pls", "share": 0.1, "iterations": 2, "epochs": 0.05, "components": 1,
    }  # fmt: skip
    whole = maxprune.compress(trained, data, folder=tmp_path, **settings)
    kept = sorted((tmp_path / "scores").iterdir())
    assert len(kept) == 2
    monkeypatch.setitem(SCORES, "pls", replace(SCORES["pls"], of=None))  # type: ignore[arg-type]
    again = maxprune.compress(trained, data, folder=tmp_path, **settings)
    assert again.trials == whole.trials
    assert again.plans == whole.plans
    monkeypatch.undo()
    kept[0].write_bytes(kept[0].read_bytes()[:50])  # a damaged file is computed again
    assert maxprune.compress(trained, data, folder=tmp_path, **settings).trials == whole.trials
    assert sorted((tmp_path / "scores").iterdir()) == kept


def test_a_share_grows_while_steps_are_taken_and_fails_count_anew(
    trained: nn.Module, data: Dataset
) -> None:
    settings = Compression(method="magnitude", share=0.1, growth=2, fails=2, keep_accuracy=1)
    method = ScoreMethod(settings, as_splits(data), trained, Memory())
    shares = []
    for good in (True, True, True, False, True, False, False):
        assert method.propose(trained) is not None
        method.answer(trained, good)
        shares.append(method.share)
    assert shares == pytest.approx([0.2, 0.4, 0.5, 0.25, 0.5, 0.25, 0.125])
    assert method.propose(trained) is None
    steady = ScoreMethod(
        settings.model_copy(update={"growth": 1.0}), as_splits(data), trained, Memory()
    )
    for good in (False, True, False):
        assert steady.propose(trained) is not None
        steady.answer(trained, good)
    assert steady.share == pytest.approx(0.025)
    assert steady.propose(trained) is None  # two have failed in all
