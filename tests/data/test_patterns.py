"""Local binary patterns, by hand and by what must not change them."""

from __future__ import annotations

import torch

from maxprune.data.patterns import histograms, patterns, uniform


def test_patterns_with_two_changes_have_numbers_of_their_own() -> None:
    numbers = uniform()
    own = [i for i in range(256) if numbers[i] < 58]
    assert sorted(numbers[own].tolist()) == list(range(58))
    for i in range(256):
        ring = f"{i:08b}"
        changes = sum(a != b for a, b in zip(ring, ring[1:] + ring[:1], strict=True))
        assert (i in own) == (changes <= 2)


def test_a_pattern_by_hand() -> None:
    """Nothing is darker than the least pixel; a corner, bright; a checkered ring."""
    x = torch.zeros(1, 5, 5)
    assert patterns(x).tolist() == [[[int(uniform()[255])]]]
    x[0, 2, 2] = 1
    assert patterns(x).tolist() == [[[int(uniform()[0])]]]
    x[0, 0, 0] = 2
    assert patterns(x).tolist() == [[[int(uniform()[1])]]]
    x[0, 0, 4] = x[0, 4, 4] = x[0, 4, 0] = 2
    assert patterns(x).tolist() == [[[58]]]
    assert patterns(x, radius=1).tolist()[0][1][1] == int(uniform()[0])


def test_light_does_not_change_a_pattern() -> None:
    x = torch.rand(3, 20, 24, generator=torch.Generator().manual_seed(0))
    assert torch.equal(patterns(x), patterns(0.2 + 0.5 * x))
    assert patterns(x).shape == (3, 16, 20)


def test_every_pattern_is_counted_in_each_square_it_is_in() -> None:
    found = torch.randint(0, 59, (4, 13, 17), generator=torch.Generator().manual_seed(0))
    counts = histograms(found, 4).view(4, 59, 2, 3)
    inner = found[:, :12]  # a row is left over below, and half a column on either side
    square = inner[2, 4:12, 4:12]
    assert counts[2, :, 1, 1].tolist() == torch.bincount(square.flatten(), minlength=59).tolist()
    assert counts.sum(1).eq(64).all()
