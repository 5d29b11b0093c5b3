"""Win counts against a count by hand, and the rules about ties, activity, modes and batches."""

from __future__ import annotations

import weakref
from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from small_networks import CASES, Case, trained
from torch import Tensor, nn

from maxprune.errors import StructureError, UsageError
from maxprune.networks import Maxout, lenet5
from maxprune.plan import MaxoutPlan
from maxprune.scores import WinCounts, count_wins, unit_wins
from maxprune.scores.wins import wins_of
from maxprune.surgery import apply


def by_hand(values: np.ndarray, k: int, above: float | None) -> list[list[int]]:
    """Every sample and position by itself: the first of the largest wins, if it is above."""
    values = values.reshape(values.shape[0], values.shape[1], -1)
    wins = [[0] * k for _ in range(values.shape[1] // k)]
    for sample in values:
        for position in range(values.shape[2]):
            for unit, counts in enumerate(wins):
                inputs = list(sample[unit * k : unit * k + k, position])
                if above is None or max(inputs) > above:
                    counts[inputs.index(max(inputs))] += 1
    return wins


def read_by_maxout(model: nn.Module, x: Tensor) -> Tensor:
    """What the maxout reads in evaluation mode."""
    seen: list[Tensor] = []
    maxout = next(m for m in model.modules() if isinstance(m, Maxout))
    handle = maxout.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach()))
    model.eval()(x)
    handle.remove()
    return seen[0]


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    k=st.integers(1, 5),
    above=st.sampled_from([None, 0.0, 1.0]),
    data=st.data(),
)
def test_unit_wins_equal_a_count_by_hand(k: int, above: float | None, data: st.DataObject) -> None:
    space = data.draw(st.sampled_from([(), (3,), (2, 2)]))
    shape = (data.draw(st.integers(1, 4)), k * data.draw(st.integers(1, 3)), *space)
    # Few different values, so that most units are ties.
    values = data.draw(hnp.arrays(np.float32, shape, elements=st.sampled_from([-1.0, 0, 1, 2])))
    assert unit_wins(torch.tensor(values), k, above).tolist() == by_hand(values, k, above)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    above=st.sampled_from([None, 0.0, 1.0]),
    data=st.data(),
)
def test_units_of_other_sizes_and_margins_equal_a_count_by_hand(
    sizes: list[int], above: float | None, data: st.DataObject
) -> None:
    space = data.draw(st.sampled_from([(), (3,), (2, 2)]))
    shape = (data.draw(st.integers(1, 4)), sum(sizes), *space)
    values = data.draw(hnp.arrays(np.float32, shape, elements=st.sampled_from([-1.0, 0, 1, 2])))
    wins = [[0] * size for size in sizes]
    margins = [[0.0] * size for size in sizes]
    starts = np.cumsum([0, *sizes])
    for sample in values.reshape(*values.shape[:2], -1):
        for position in range(sample.shape[1]):
            for unit, size in enumerate(sizes):
                inputs = [float(v) for v in sample[starts[unit] : starts[unit] + size, position]]
                best, place = max(inputs), inputs.index(max(inputs))
                if above is not None and best <= above:
                    continue
                rest = inputs[:place] + inputs[place + 1 :] + ([] if above is None else [above])
                wins[unit][place] += 1
                margins[unit][place] += best - max(rest) if rest else 0.0
    found = wins_of(torch.tensor(values), Maxout(sizes), above, margins=True)
    assert found.rows == wins
    assert found.margins is not None
    given_margins = [row[:n].tolist() for row, n in zip(found.margins, sizes, strict=True)]
    assert given_margins == margins


def test_the_first_of_equals_wins() -> None:
    values = torch.tensor([[1.0, 2.0, 2.0], [5.0, 5.0, 5.0]])
    assert unit_wins(values, 3).tolist() == [[1, 1, 0]]


def test_only_above_the_level_is_a_unit_active() -> None:
    values = torch.tensor([[0.0, -1.0], [-2.0, -1.0], [0.5, 0.25]])
    assert unit_wins(values, 2, above=0.0).tolist() == [[1, 0]]
    assert unit_wins(values, 2).tolist() == [[2, 1]]


def test_counts_are_integers_and_add_up() -> None:
    one = WinCounts(torch.tensor([[1, 2]]), 5)
    both = one + WinCounts(torch.tensor([[10, 0]]), 20)
    assert (both.wins.tolist(), both.positions) == ([[11, 2]], 25)
    assert unit_wins(torch.randn(2, 4), 2).dtype == torch.int64


DIVIDING = [
    pytest.param(case, k, id=f"{case.name} {k}")
    for case in CASES
    for k in (2, 3, 4)
    if case.neurons % k == 0
]


@pytest.mark.parametrize(("case", "k"), DIVIDING)
def test_counts_what_the_maxout_lets_through(case: Case, k: int) -> None:
    model = apply(case.model(), MaxoutPlan(layer=case.layer, k=k))
    x = case.inputs()
    counts = count_wins(model, case.layer, x.split(5))
    values = read_by_maxout(model, x)
    # Behind a ReLU the active values are the positive ones, unchanged.
    above = 0.0 if case.relu else None
    assert counts.wins.tolist() == by_hand(values.numpy(), k, above)
    assert counts.positions == values[:, 0].numel()
    assert int(counts.wins.sum(1).max()) <= counts.positions


def sequential(*behind: nn.Module) -> nn.Sequential:
    """A convolution of 6 filters, then what is given, then a flattening and an output layer."""
    body = nn.Sequential(nn.Conv2d(1, 6, 3), *behind, nn.Flatten())
    width = body(torch.zeros(1, 1, 8, 8)).shape[1]
    model = trained(nn.Sequential(*body, nn.Linear(width, 3)))
    return model.eval()  # type: ignore[return-value]


PICTURES = torch.randn(9, 1, 8, 8, generator=torch.Generator().manual_seed(5))


def rows_of(model: nn.Module) -> list[list[int]]:
    return count_wins(model, "0", [PICTURES]).wins.tolist()  # type: ignore[no-any-return]


def test_every_position_of_a_convolution_counts() -> None:
    model = sequential(nn.ReLU(), nn.MaxPool2d(2), Maxout(3))
    counts = count_wins(model, "0", [PICTURES])
    assert counts.positions == 9 * 36
    assert counts.wins.tolist() == by_hand(model[0](PICTURES).detach().numpy(), 3, 0.0)


def test_without_an_activation_every_position_counts() -> None:
    model = sequential(Maxout(2), nn.MaxPool2d(2))
    assert rows_of(model) == by_hand(model[0](PICTURES).detach().numpy(), 2, None)
    assert np.sum(rows_of(model)) == 3 * 9 * 36


def test_a_relu_behind_maxout_and_pooling_decides_what_is_active() -> None:
    model = sequential(Maxout(2), nn.MaxPool2d(2), nn.ReLU())
    assert rows_of(model) == by_hand(model[0](PICTURES).detach().numpy(), 2, 0.0)


@pytest.mark.parametrize("between", [nn.BatchNorm2d(3), nn.AvgPool2d(2), nn.Tanh()])
def test_but_not_through_what_moves_zero_or_mixes(between: nn.Module) -> None:
    model = sequential(Maxout(2), between, nn.ReLU())
    assert rows_of(model) == by_hand(model[0](PICTURES).detach().numpy(), 2, None)


@pytest.mark.parametrize("activation", [nn.GELU(), nn.SiLU(), nn.Hardswish()])
def test_behind_an_activation_that_falls_and_rises_its_outputs_count(activation: nn.Module) -> None:
    model = sequential(activation, Maxout(2))
    values = activation(model[0](PICTURES)).detach()
    assert rows_of(model) == by_hand(values.numpy(), 2, None)
    before = model[0](PICTURES).detach().numpy()
    assert rows_of(model) != by_hand(before, 2, None), "the test cannot see the difference"


def test_a_leaky_relu_has_no_level() -> None:
    model = sequential(nn.LeakyReLU(), Maxout(2))
    assert rows_of(model) == by_hand(model[0](PICTURES).detach().numpy(), 2, None)


@pytest.mark.parametrize("between", [nn.BatchNorm2d(6), nn.AvgPool2d(2)])
def test_what_reorders_behind_the_relu_is_not_looked_through(between: nn.Module) -> None:
    model = sequential(nn.ReLU(), between, Maxout(2))
    values = read_by_maxout(model, PICTURES)
    assert rows_of(model) == by_hand(values.numpy(), 2, None)
    assert rows_of(model) != by_hand(model[0](PICTURES).detach().numpy(), 2, 0.0)


def test_after_pooling_the_relu_values_before_it_count() -> None:
    model = sequential(nn.MaxPool2d(2), nn.ReLU(), Maxout(2))
    pooled = F.max_pool2d(model[0](PICTURES).detach(), 2)
    assert rows_of(model) == by_hand(pooled.numpy(), 2, 0.0)


def test_units_that_are_all_zero_behind_the_relu_count_for_nobody() -> None:
    model = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), Maxout(2), nn.Linear(1, 1))
    model[0].weight.data = torch.tensor([[1.0], [1.0]])
    model[0].bias.data = torch.tensor([-3.0, -2.0])
    counts = count_wins(model, "0", [torch.tensor([[0.0], [1.0], [10.0]])])
    assert (counts.wins.tolist(), counts.positions) == ([[0, 1]], 3)


def test_counts_without_dropout_and_gives_the_modes_back() -> None:
    model = nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.9), Maxout(2), nn.Linear(4, 2)
    )
    model = trained(model).train()  # type: ignore[assignment]
    model[1].eval()
    x = torch.randn(50, 4)
    modes = [m.training for m in model.modules()]
    statistics = model[1].running_mean.clone()
    counts = count_wins(model, "0", [x, x])
    assert [m.training for m in model.modules()] == modes
    assert torch.equal(model[1].running_mean, statistics)
    assert counts.wins.tolist() == (2 * count_wins(model.eval(), "0", [x]).wins).tolist()


def test_gives_the_modes_back_when_a_batch_fails() -> None:
    model = apply(lenet5(fc=8, conv=(2, 2)), MaxoutPlan(layer="fc1", k=2)).train()
    with pytest.raises(RuntimeError):
        count_wins(model, "fc1", [torch.rand(2, 3, 28, 28)])
    assert all(m.training for m in model.modules())


def test_leaves_hooks_and_gradients_alone() -> None:
    model = apply(lenet5(fc=8, conv=(2, 2)), MaxoutPlan(layer="fc1", k=2))
    count_wins(model, "fc1", [torch.rand(2, 1, 28, 28)])
    assert all(not m._forward_pre_hooks and not m._forward_hooks for m in model.modules())
    assert all(p.grad is None for p in model.parameters())
    model(torch.rand(2, 1, 28, 28)).sum().backward()


def test_batches_of_any_size_add_up_to_the_same() -> None:
    case = CASES[2]
    model = apply(case.model(), MaxoutPlan(layer=case.layer, k=4))
    x = case.inputs(30)
    whole = count_wins(model, case.layer, [x])
    for size in (1, 7, 30):
        parts = count_wins(model, case.layer, x.split(size))
        assert torch.equal(parts.wins, whole.wins)
        assert parts.positions == whole.positions
    first, second = (count_wins(model, case.layer, [part]) for part in (x[:11], x[11:]))
    assert torch.equal((first + second).wins, whole.wins)


def test_streams_over_a_generator_one_batch_at_a_time() -> None:
    model = apply(CASES[0].model(), MaxoutPlan(layer="0", k=4))
    alive: list[bool] = []

    def batches() -> Iterator[Tensor]:
        before: list[weakref.ref[Tensor]] = []
        for seed in range(5):
            alive.append(sum(ref() is not None for ref in before) > 1)
            x = CASES[0].inputs(4, seed)
            before.append(weakref.ref(x))
            yield x
            del x

    counts = count_wins(model, "0", batches())
    assert counts.positions == 20
    assert alive == [False] * 5


def test_runs_the_network_only_as_far_as_needed() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), Maxout(2), nn.Linear(2, 2))
    ran: list[bool] = []
    model[3].register_forward_hook(lambda *_: ran.append(True))
    count_wins(model, "0", [torch.rand(2, 3)])
    assert ran == []
    model(torch.rand(2, 3))
    assert ran == [True]


def test_counts_do_not_need_gradients_but_can_be_used_with_them() -> None:
    model = nn.Sequential(nn.Linear(3, 4), Maxout(2), nn.Linear(2, 2))
    wins = count_wins(model, "0", [torch.rand(2, 3)]).wins
    assert not wins.is_inference()


def test_refuses_a_layer_without_a_maxout() -> None:
    with pytest.raises(StructureError, match="'fc1' feeds no maxout"):
        count_wins(lenet5(fc=8), "fc1", [torch.rand(1, 1, 28, 28)])


def test_refuses_no_inputs() -> None:
    model = nn.Sequential(nn.Linear(3, 4), Maxout(2), nn.Linear(2, 2))
    with pytest.raises(StructureError, match="no inputs"):
        count_wins(model, "0", [])


def test_an_empty_batch_counts_nothing() -> None:
    model = nn.Sequential(nn.Linear(3, 4), Maxout(2), nn.Linear(2, 2))
    counts = count_wins(model, "0", [torch.rand(0, 3), torch.rand(5, 3)])
    assert counts.positions == 5
    assert counts.wins.sum(1).tolist() == [5, 5]


def test_a_network_that_gives_nan_is_refused() -> None:
    model = apply(lenet5(fc=8, conv=(2, 2)), MaxoutPlan(layer="fc1", k=2))
    with torch.no_grad():
        model.fc1.bias[3] = float("nan")
    with pytest.raises(StructureError, match="'fc1' gives NaN"):
        count_wins(model, "fc1", [torch.zeros(4, 1, 28, 28)])


def test_a_margin_is_what_the_unit_loses_without_the_neuron() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 9), nn.ReLU(), Maxout((4, 3, 2)), nn.Linear(3, 2))
    x = torch.randn(200, 3)
    counts = count_wins(model, "0", [x[:70], x[70:]], margins=True)
    units = counts.relevance("margin")
    assert units.sizes == (4, 3, 2)
    whole = model[2](model[1](model[0](x))).detach()
    first = 0
    for unit, size in enumerate(units.sizes):
        for i in range(size):
            without = model[0](x).detach()
            without[:, first + i] = -9.0
            lost = whole[:, unit] - model[2](without.relu())[:, unit]
            assert float(units.scores[unit, i]) == pytest.approx(float(lost.mean()), abs=1e-6)
        first += size


def test_relevance_by_share_is_of_the_positions_at_which_the_unit_was_active() -> None:
    counts = WinCounts(torch.tensor([[6, 2], [0, 0], [1, 0]]), 16, (2, 2, 1))
    assert counts.relevance("share").scores.tolist() == [[0.75, 0.25], [0, 0], [1, 0]]
    assert counts.relevance().scores.tolist() == [[0.375, 0.125], [0, 0], [0.0625, 0]]
    assert counts.rows == [[6, 2], [0, 0], [1]]
    with pytest.raises(UsageError, match="not asked for margins"):
        counts.relevance("margin")
    with pytest.raises(UsageError, match="by wins, share, margin, not 'luck'"):
        counts.relevance("luck")  # type: ignore[arg-type]
