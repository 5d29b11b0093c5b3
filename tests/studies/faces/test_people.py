"""Who is trained on, who is held out, who is tested."""

from __future__ import annotations

import pytest
import torch
from faces_helpers import EACH, PEOPLE, TESTED, small_faces

from maxprune.data.faces import Faces
from maxprune.data.images import Images
from maxprune.errors import DataError, UsageError
from maxprune.studies.faces import people as module
from maxprune.studies.faces.people import FoldData, fold_data, training_pairs

FACES, PAIRS = small_faces()


def people_of(faces: Faces, data: FoldData) -> tuple[set[int], set[int], set[int]]:
    """Those trained on, held out and tested, by what they look like."""
    by_look = {faces.pixels[i].numpy().tobytes(): int(p) for i, p in enumerate(faces.person)}
    trained = {by_look[picture.numpy().tobytes()] for picture in data.train.pixels}
    held = set(faces.person[data.held.places].flatten().tolist())
    tested = set(faces.person[data.tested.places].flatten().tolist())
    return trained, held, tested


@pytest.mark.parametrize("fold", [0, 1])
def test_nobody_is_in_two_parts(fold: int) -> None:
    data = fold_data(FACES, PAIRS, fold, held=3)
    trained, held, tested = people_of(FACES, data)
    assert tested == set(range(TESTED * fold, TESTED * (fold + 1)))
    assert not trained & (held | tested)
    assert not held & tested
    assert len(held) == 3
    assert len(trained) == PEOPLE - TESTED - 3
    assert len(data.train) == EACH * len(trained)
    assert data.train.classes == len(trained)


def test_a_label_is_one_person() -> None:
    data = fold_data(FACES, PAIRS, 0, held=3)
    for label in range(data.train.classes):
        own = data.train.pixels[data.train.labels == label]
        where = (FACES.pixels[:, None] == own[None]).flatten(2).all(2).any(1)
        assert len(torch.unique(FACES.person[where])) == 1


def test_the_pairs_of_people_held_out() -> None:
    held = fold_data(FACES, PAIRS, 0, held=3).held
    person = FACES.person[held.places]
    assert torch.equal(held.same, person[:, 0] == person[:, 1])
    assert int(held.same.sum()) == 3 * EACH * (EACH - 1) // 2
    assert 1000 < int((~held.same).sum()) <= module.DIFFERENT_PAIRS
    assert (held.places[:, 0] != held.places[:, 1]).all()


def test_a_person_gives_few_pictures_to_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PICTURES_EACH", 2)
    held = fold_data(FACES, PAIRS, 0, held=3).held
    assert int(held.same.sum()) == 3


def test_the_seed_decides_who_is_held_out() -> None:
    drawn = [fold_data(FACES, PAIRS, 0, held=3, seed=seed).held.places for seed in (0, 0, 1)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_people_of_few_pictures_are_left_out() -> None:
    faces = Faces(
        FACES.pixels[: -EACH + 1], FACES.people, FACES.person[: -EACH + 1],
        FACES.numbers[: -EACH + 1],
    )  # the last person has a single picture  # fmt: skip
    counts = [fold_data(faces, PAIRS, 0, held=3, least=least).train.classes for least in (1, 2)]
    assert counts == [PEOPLE - TESTED - 3, PEOPLE - TESTED - 3 - 1]


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"held": 1}, UsageError, "at least 2 people"),
        ({"least": 0}, UsageError, "1 picture"),
        ({"held": 9}, DataError, "fold 0 leaves 10 people with two pictures; 9 cannot"),
        ({"fold": 2}, UsageError, "no fold 2"),
    ],
)
def test_what_cannot_be_parted(settings: dict[str, int], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        fold_data(FACES, PAIRS, **{"fold": 0, "held": 3, **settings})


def test_training_pairs_are_half_of_one_person() -> None:
    images = fold_data(FACES, PAIRS, 0, held=3).train
    places, same = training_pairs(images, 200, 0)
    labels = images.labels[places]
    assert places.shape == (200, 2)
    assert int(same.sum()) == 100
    assert torch.equal(same, labels[:, 0] == labels[:, 1])
    assert (places[:, 0] != places[:, 1]).all()
    assert len(torch.unique(places[same])) == len(images)


def test_pairs_of_nobody() -> None:
    pixels = torch.zeros(3, 1, 2, 2, dtype=torch.uint8)
    for labels in ([0, 1, 2], [0, 0, 0]):
        classes = max(labels) + 1
        with pytest.raises(DataError, match="two pictures of one person, and two people"):
            training_pairs(Images(pixels, torch.tensor(labels), classes), 10, 0)
