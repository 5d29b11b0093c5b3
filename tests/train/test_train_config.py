import pytest

from maxprune.errors import UsageError
from maxprune.train import PAPER, Training


def test_the_rate_is_that_of_caffes_inv_policy() -> None:
    # lr_policy "inv", base_lr 0.01, gamma 0.0001, power 0.75: its log's figures.
    caffe = {0: 0.01, 500: 0.00964069, 1000: 0.00931012, 5000: 0.00737788, 9500: 0.00606002}
    for iteration, rate in caffe.items():
        assert PAPER.rate_at(iteration) == pytest.approx(rate, rel=1e-6)
    other = Training(rate=0.5, gamma=0.25, power=2)
    assert [other.rate_at(i) for i in (0, 4, 12)] == [0.5, 0.125, 0.03125]


def test_the_papers_training() -> None:
    expected = {
        "iterations": 10_000, "batch": 64, "rate": 0.01, "momentum": 0.9, "weight_decay": 5e-4,
        "gamma": 1e-4, "power": 0.75, "average": 0, "ramp": 0, "boost": 1,
        "scale_dropout": False, "precision": "float32", "compiled": False,
    }  # fmt: skip
    assert PAPER.model_dump() == expected


@pytest.mark.parametrize(
    "wrong",
    [{"iterations": 0}, {"batch": 0}, {"rate": 0}, {"rate": float("nan")}, {"momentum": 1},
     {"momentum": -0.1}, {"weight_decay": -1}, {"gamma": -1}, {"power": float("inf")},
     {"average": 1.1}, {"average": -0.1}, {"ramp": 1.1}, {"ramp": -0.1}, {"boost": 0.0}],
)  # fmt: skip
def test_settings_out_of_their_range_are_refused(wrong: dict[str, float]) -> None:
    ((name, value),) = wrong.items()
    with pytest.raises(UsageError, match=rf"^{name} must be [a-z]+[^\n]*, not {value:g}$"):
        Training(**wrong)


def test_a_setting_that_there_is_not_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^there is no setting epochs; there are iterations, ba"):
        Training(epochs=1)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("iterations", "average", "expected"),
    [
        (40, 0.5, [30, 40]),
        (45, 0.5, [30, 40, 45]),
        (100, 0.9, [20, 30, 40, 50, 60, 70, 80, 90, 100]),  # 100 * (1 - 0.9) is less than 10
        (100, 0.07, [100]),
        (30, 1, [10, 20, 30]),
        (30, 0, []),
        (1, 0.5, [1]),
        (100, 1e-300, [100]),
    ],
)
def test_which_iterations_are_averaged(
    iterations: int, average: float, expected: list[int]
) -> None:
    training = Training(iterations=iterations, average=average)
    assert [i for i in range(1, iterations + 1) if training.is_averaged(i)] == expected


@pytest.mark.parametrize(
    ("iterations", "average", "ramp", "expected"),
    [(100, 0.5, 0.5, 50), (100, 0.5, 0.9, 50), (100, 0.3, 0.9, 70), (100, 0, 0.9, 90),
     (100, 1, 0.5, 0), (100, 0.5, 0, 0), (1, 0.5, 0.5, 0), (7, 0.5, 0.5, 3)],
)  # fmt: skip
def test_zeros_grow_at_most_until_the_mean_begins(
    iterations: int, average: float, ramp: float, expected: int
) -> None:
    training = Training(iterations=iterations, average=average, ramp=ramp)
    assert training.ramp_iterations() == expected
    assert not any(training.is_averaged(done) for done in range(1, expected))
