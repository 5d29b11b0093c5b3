import pytest
import torch

from maxprune.data import Dataset, Images
from maxprune.errors import DataError, UsageError


def images(n: int = 6, classes: int = 3) -> Images:
    pixels = torch.randint(
        0, 256, (n, 2, 4, 5), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    return Images(pixels, torch.arange(n) % classes, classes)


def test_batch_is_exactly_the_byte_over_255() -> None:
    every = torch.arange(256, dtype=torch.uint8).reshape(256, 1, 1, 1)
    data = Images(every, torch.zeros(256, dtype=torch.int64), 1)
    pixels, _ = data.batch(torch.arange(256))
    expected = (torch.arange(256, dtype=torch.float64) / 255).to(torch.float32)
    assert pixels.dtype == torch.float32
    assert torch.equal(pixels.flatten(), expected)
    assert pixels.min() == 0
    assert pixels.max() == 1


def test_batch_takes_the_pictures_in_the_order_of_the_index() -> None:
    data = images()
    pixels, labels = data.batch(torch.tensor([4, 0, 4]))
    assert pixels.shape == (3, 2, 4, 5)
    assert labels.tolist() == [1, 0, 1]
    assert torch.equal((pixels * 255).round().to(torch.uint8), data.pixels[[4, 0, 4]])


def test_batches_give_every_picture_once_in_order_and_do_not_change_the_bytes() -> None:
    data = images(7)
    before = data.pixels.clone()
    parts = list(data.batches(3))
    assert [len(labels) for _, labels in parts] == [3, 3, 1]
    assert torch.equal(torch.cat([labels for _, labels in parts]), data.labels)
    whole, _ = data.batch(torch.arange(7))
    assert torch.equal(torch.cat([pixels for pixels, _ in parts]), whole)
    assert torch.equal(data.pixels, before)


def test_batches_of_nothing_and_of_more_than_there_is() -> None:
    assert list(images(0).batches(3)) == []
    assert [len(labels) for _, labels in images(2).batches(50)] == [2]


@pytest.mark.parametrize("size", [0, -1])
def test_batch_size_below_one_is_refused_at_once(size: int) -> None:
    with pytest.raises(UsageError, match=f"batch size is {size}"):
        images().batches(size)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (torch.tensor([0, 6]), "from 0 to 6, of 6 pictures"),
        (torch.tensor([-1]), "from -1 to -1"),
        (torch.tensor([0.0]), "float32"),
        (torch.tensor([True] * 6), "bool"),
        (torch.tensor(3), r"shape \(\)"),
    ],
)
def test_a_wrong_index_is_refused(index: torch.Tensor, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        images().batch(index)
    with pytest.raises(UsageError, match=message):
        images().subset(index)


def test_subset_is_a_copy_and_keeps_the_classes() -> None:
    data = images()
    part = data.subset(torch.tensor([5, 1], dtype=torch.int32))
    assert len(part) == 2
    assert part.classes == 3
    assert part.labels.tolist() == [2, 1]
    part.pixels.zero_()
    assert data.pixels[5].any()


def test_a_batch_lies_on_the_device_asked_for() -> None:
    for batch in (images().batch(torch.tensor([1]), "meta"), next(images().batches(2, "meta"))):
        assert {part.device.type for part in batch} == {"meta"}
        assert batch[0].dtype == torch.float32


@pytest.mark.skipif(
    not torch.cuda.is_available(), reason="Images.to a GPU is not checked: there is none"
)
def test_pictures_on_a_gpu_give_the_same_batches() -> None:
    index = torch.tensor([3, 0])
    there = images().to("cuda")
    assert {there.pixels.device.type, there.labels.device.type} == {"cuda"}
    for mine, theirs in zip(images().batch(index), there.batch(index), strict=True):
        assert torch.equal(mine, theirs)


def test_to_gives_the_same_pictures() -> None:
    data = images()
    same = data.to("cpu")
    assert torch.equal(same.pixels, data.pixels)
    assert torch.equal(same.labels, data.labels)
    assert same.classes == data.classes


@pytest.mark.parametrize(("first", "value"), [(2, 3), (4, -1), (0, 255)])
def test_a_label_that_is_no_class_is_named(first: int, value: int) -> None:
    labels = torch.zeros(6, dtype=torch.int64)
    labels[first] = value
    with pytest.raises(DataError, match=rf"labels\[{first}\] is {value}, but must be in 0 to 2"):
        Images(images().pixels, labels, 3)


@pytest.mark.parametrize(
    ("pixels", "labels", "classes", "message"),
    [
        (torch.zeros(2, 1, 3, 3), torch.zeros(2).long(), 1, "pixels is torch.float32"),
        (torch.zeros(2, 3, 3).byte(), torch.zeros(2).long(), 1, "with 4 dimensions"),
        (torch.zeros(2, 1, 0, 3).byte(), torch.zeros(2).long(), 1, "no size"),
        (torch.zeros(2, 1, 3, 3).byte(), torch.zeros(2).int(), 1, "labels is torch.int32"),
        (torch.zeros(2, 1, 3, 3).byte(), torch.zeros(2, 1).long(), 1, "with 1 dimension$"),
        (torch.zeros(2, 1, 3, 3).byte(), torch.zeros(3).long(), 1, "2 pictures but 3 labels"),
        (torch.zeros(0, 1, 3, 3).byte(), torch.zeros(0).long(), 0, "classes is 0"),
        ([[0]], torch.zeros(2).long(), 1, "pixels is a list"),
    ],
)
def test_wrong_tensors_are_refused(
    pixels: torch.Tensor, labels: torch.Tensor, classes: int, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        Images(pixels, labels, classes)


def test_dataset_tells_its_shape_and_classes() -> None:
    data = Dataset("toy", images(), images(4))
    assert data.input_shape == (2, 4, 5)
    assert data.classes == 3


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (images(0), "test set has no pictures"),
        (images(6, classes=2), "3 classes in training, 2 in"),
        (Images(torch.zeros(1, 1, 4, 5).byte(), torch.zeros(1).long(), 3), r"\(1, 4, 5\)"),
    ],
)
def test_dataset_refuses_parts_that_do_not_fit(test: Images, message: str) -> None:
    with pytest.raises(DataError, match=f"toy: .*{message}"):
        Dataset("toy", images(), test)


def test_holdout_splits_without_loss_and_is_fixed_by_its_seed() -> None:
    data = Dataset("toy", images(60), images(4))
    rest, held = data.holdout(0.2, seed=3)
    assert (len(rest), len(held)) == (48, 12)
    assert torch.bincount(held.labels).tolist() == [4, 4, 4]
    whole = torch.cat([rest.pixels, held.pixels]).flatten(1)
    assert sorted(map(tuple, whole.tolist())) == sorted(
        map(tuple, data.train.pixels.flatten(1).tolist())
    )
    again = data.holdout(12, seed=3)[1]
    other = data.holdout(12, seed=4)[1]
    assert torch.equal(held.pixels, again.pixels)
    assert not torch.equal(held.pixels, other.pixels)


@pytest.mark.parametrize("size", [0, 6, 7, -1, 0.0, 1.0, 1.5, float("nan"), 0.01, 0.99, True])
def test_holdout_refuses_to_empty_a_side(size: float) -> None:
    with pytest.raises(UsageError):
        Dataset("toy", images(), images()).holdout(size, seed=0)
