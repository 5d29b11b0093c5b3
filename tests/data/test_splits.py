import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maxprune.data.splits import stratified
from maxprune.errors import UsageError


@given(st.lists(st.integers(0, 4), min_size=2, max_size=60), st.data())
def test_a_split_keeps_everything_and_the_proportions(labels: list[int], data: st.DataObject):
    count = data.draw(st.integers(1, len(labels) - 1))
    known = torch.tensor(labels)
    rest, chosen = stratified(known, count, seed=data.draw(st.integers(0, 2**32 - 1)))
    assert sorted(rest.tolist() + chosen.tolist()) == list(range(len(labels)))
    assert len(chosen) == count
    assert chosen.tolist() == sorted(chosen.tolist())
    for one in set(labels):
        proportional = labels.count(one) * count / len(labels)
        assert abs(int((known[chosen] == one).sum()) - proportional) < 1


def test_places_left_over_go_to_the_largest_remainder_and_on_a_tie_to_the_lower_class() -> None:
    labels = torch.tensor([0] * 3 + [1] * 4 + [2] * 3)
    _, chosen = stratified(labels, 4, seed=0)  # shares 1.2, 1.6, 1.2
    assert torch.bincount(labels[chosen]).tolist() == [1, 2, 1]
    _, chosen = stratified(torch.tensor([0, 0, 1, 1, 2, 2, 3, 3]), 2, seed=0)  # 0.5 each
    assert torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])[chosen].tolist() == [0, 1]


def test_the_draw_within_a_class_depends_on_the_seed_only() -> None:
    labels = torch.zeros(1000, dtype=torch.int64)
    assert torch.equal(stratified(labels, 10, 1)[1], stratified(labels, 10, 1)[1])
    assert not torch.equal(stratified(labels, 10, 1)[1], stratified(labels, 10, 2)[1])
    golden = [93, 296, 339, 362, 432, 465, 719, 793, 877, 934]
    assert stratified(labels, 10, 2017)[1].tolist() == golden


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(UsageError, match=f"seed is {seed}"):
        stratified(torch.tensor([0, 1]), 1, seed)
