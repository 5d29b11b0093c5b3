import itertools

import pytest
import torch

from maxprune.data.order import batches, derive
from maxprune.errors import UsageError


def take(count: int, *args: int) -> list[list[int]]:
    return [b.tolist() for b in itertools.islice(batches(*args), count)]


@pytest.mark.parametrize(("count", "batch"), [(12, 4), (13, 4), (5, 5), (3, 8), (1, 1)])
def test_every_epoch_shows_images_once_and_epochs_differ(count: int, batch: int) -> None:
    per_epoch = max(1, count // batch)
    found = take(5 * per_epoch, count, batch, 0)
    epochs = [
        list(itertools.chain(*found[start : start + per_epoch]))
        for start in range(0, 5 * per_epoch, per_epoch)
    ]
    for epoch in epochs:
        assert len(set(epoch)) == len(epoch) == per_epoch * min(batch, count)
        assert set(epoch) <= set(range(count))
    if count > 3:
        assert len({tuple(epoch) for epoch in epochs}) == 5
    if count % batch == 0:
        assert sorted(epochs[0]) == list(range(count))


def test_images_left_out_of_one_epoch_come_in_another() -> None:
    assert set(itertools.chain(*take(30, 13, 4, 0))) == set(range(13))


def test_the_order_is_the_same_from_any_iteration_on() -> None:
    whole = take(40, 13, 4, 7)
    for start in range(20):
        assert take(20, 13, 4, 7, start) == whole[start : start + 20]


def test_the_order_depends_on_the_seed_alone() -> None:
    torch.manual_seed(0)
    first = take(3, 20, 4, 1)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    assert take(3, 20, 4, 1) == first != take(3, 20, 4, 2)
    assert torch.equal(torch.get_rng_state(), before)
    assert first[0] == [15, 11, 8, 5]  # golden: runs of other days stay comparable


def test_fewer_images_than_a_batch_are_one_batch_of_them_all() -> None:
    assert [sorted(b) for b in take(3, 3, 64, 0)] == [[0, 1, 2]] * 3


def test_no_images_are_refused() -> None:
    with pytest.raises(UsageError, match="no images"):
        next(batches(0, 64, 0))


def test_seeds_of_different_purposes_differ() -> None:
    found = {derive(seed, *names) for seed in range(5) for names in ((), ("a",), ("a", 1), ("b",))}
    assert len(found) == 20
    assert all(0 <= seed < 2**56 for seed in found)
