"""What the teacher says of people who look alike."""

from __future__ import annotations

import numpy as np
import torch
from faces_helpers import portrait

from maxprune.studies.faces.teacher import Teacher

EACH = 5


def faces(people: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    pixels = [portrait(p, n)[::4, ::4][:60, :60] for p in people for n in range(EACH)]
    labels = torch.arange(len(people)).repeat_interleave(EACH)
    return torch.from_numpy(np.stack(pixels))[:, None].contiguous(), labels


def test_everybody_has_a_direction() -> None:
    pixels, labels = faces(list(range(6)))
    found = Teacher(pixels, labels, 5).directions
    assert found.shape == (6, 5)
    assert torch.allclose(found.norm(dim=1), torch.ones(6))
    apart = found @ found.T - torch.eye(6)
    assert float(apart.max()) < 0.5
    assert torch.equal(found, Teacher(pixels, labels, 5).directions)


def test_who_looks_alike_lies_near() -> None:
    """The same person under two names."""
    pixels, labels = faces([0, 1, 2, 3, 4, 5])
    twin = torch.from_numpy(
        np.stack([portrait(5, 50 + n)[::4, ::4][:60, :60] for n in range(EACH)])
    )
    pixels = torch.cat([pixels, twin[:, None]])
    labels = torch.cat([labels, torch.full((EACH,), 6)])
    found = Teacher(pixels, labels, 4).directions
    near = found @ found.T
    assert float(near[5, 6]) > 0.8
    assert float(near[5, :5].max()) < 0.5


def test_another_picture_lies_with_its_person() -> None:
    pixels, labels = faces(list(range(6)))
    teacher = Teacher(pixels, labels, 5)
    other = np.stack([portrait(p, 77)[::4, ::4][:60, :60] for p in range(6)])
    found = teacher(torch.from_numpy(other)[:, None])
    assert torch.allclose(found.norm(dim=1), torch.ones(6))
    assert (found @ teacher.directions.T).argmax(1).tolist() == list(range(6))
    mirrored = teacher(torch.from_numpy(other)[:, None].flip(3))
    assert torch.allclose(found, mirrored, atol=1e-5)


def test_the_seed_is_that_of_the_components_alone() -> None:
    """With as few pictures as these all components are taken, and the seed says nothing."""
    pixels, labels = faces(list(range(6)))
    found, other = (Teacher(pixels, labels, 5, seed).directions for seed in (0, 1))
    assert torch.equal(found, other)
