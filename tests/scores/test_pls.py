"""Partial Least Squares: golden values of scikit-learn, algebra, and inputs that break others."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cross_decomposition import PLSRegression
from torch import Tensor

from maxprune.errors import UsageError
from maxprune.scores.pls import Pls, fit_pls


def data(rows: int, columns: int, classes: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Columns of other sizes and means, some of which go along with the classes."""
    generator = torch.Generator().manual_seed(seed)
    options = {"generator": generator, "dtype": torch.float64}
    labels = torch.arange(rows) % classes
    x = torch.randn(rows, columns, **options) + torch.randn(classes, columns, **options)[labels]
    x = x * torch.rand(columns, **options) * 10 + torch.randn(columns, **options) * 5
    return x, torch.nn.functional.one_hot(labels, classes).double()


def fit(x: Tensor, y: Tensor, components: int, rows: int = 97) -> Pls:
    return fit_pls(lambda: zip(x.split(rows), y.split(rows), strict=True), components)


def golden(x: Tensor, y: Tensor, components: int) -> np.ndarray:
    """VIP by scikit-learn, its power iteration converged."""
    regression = PLSRegression(components, scale=True, tol=1e-30, max_iter=100_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it cannot converge to 1e-30
        regression.fit(x.numpy(), y.numpy())
    w, t, q = regression.x_weights_, regression.x_scores_, regression.y_loadings_
    explained = (q**2).sum(0) * (t**2).sum(0)
    shares = (w / np.linalg.norm(w, axis=0)) ** 2
    return np.asarray(np.sqrt(len(w) * (shares @ explained) / explained.sum()))


def collinear(x: Tensor) -> Tensor:
    half = x.shape[1] // 2
    return torch.cat([x[:, :half], x[:, :half] @ torch.randn(half, half, dtype=x.dtype)], 1)


def with_constants(x: Tensor) -> Tensor:
    x = x.clone()
    x[:, 1], x[:, 4] = 0.0, 2.0
    return x


@pytest.mark.parametrize("components", [1, 2, 4])
@pytest.mark.parametrize(
    ("change", "rows", "columns", "classes"),
    [
        (lambda x: x, 400, 30, 10),
        (lambda x: x, 300, 6, 2),
        (collinear, 400, 30, 5),
        (with_constants, 400, 30, 5),
        (lambda x: x, 40, 200, 6),
        (lambda x: x + 1e6, 400, 30, 5),
        (lambda x: x, 400, 6, 40),
    ],
    ids=["random", "two classes", "collinear", "constant", "wide", "far from 0", "many classes"],
)
def test_vip_is_that_of_scikit_learn(
    change: object, rows: int, columns: int, classes: int, components: int
) -> None:
    torch.manual_seed(0)
    x, y = data(rows, columns, classes)
    x = change(x)  # type: ignore[operator]
    assert fit(x, y, components).vip.numpy() == pytest.approx(
        golden(x, y, components), rel=1e-6, abs=1e-12
    )


def test_real_targets_are_explained_too() -> None:
    x, _ = data(300, 12, 3)
    y = x[:, 2:4] @ torch.tensor([[1.0, 0.5], [0.0, -2.0]], dtype=torch.float64)
    found = fit(x, y, 2)
    assert found.vip.numpy() == pytest.approx(golden(x, y, 2), rel=1e-6)
    assert set(found.vip.argsort(descending=True)[:2].tolist()) == {2, 3}


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000), rows=st.integers(20, 90), block=st.integers(1, 100))
def test_what_holds_of_every_fit(seed: int, rows: int, block: int) -> None:
    x, y = data(rows, 9, 4, seed)
    found = fit(x, y, 3, block)
    assert float(found.vip.square().sum()) == pytest.approx(9)
    torch.testing.assert_close(found.weights.T @ found.weights, torch.eye(3).double())
    order = torch.randperm(9, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(fit(x[:, order], y, 3, block).vip, found.vip[order])
    scale = torch.rand(9, dtype=torch.float64) * 100 + 0.01
    moved = fit(x * scale - 3, y * 7 + 1, 3, block)
    torch.testing.assert_close(moved.vip, found.vip, rtol=1e-7, atol=1e-9)


def test_a_column_that_carries_the_classes_counts_most() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(500, 8, generator=generator)
    labels = torch.arange(500) % 2
    x[:, 5] += 3 * labels
    found = fit(x, torch.nn.functional.one_hot(labels, 2), 1).vip
    assert int(found.argmax()) == 5
    assert float(found[5]) > 2.5  # of sqrt(8), what it would be with all of the weight


def test_a_constant_column_has_no_importance_even_if_no_float_is_its_value() -> None:
    x, y = data(301, 5, 3)
    x[:, 2] = 0.1
    assert float(fit(x, y, 2).vip[2]) == 0.0
    assert fit(torch.full_like(x, 0.1), y, 2).vip.tolist() == [0.0] * 5


def test_no_more_components_than_there_are() -> None:
    x, y = data(200, 20, 5)
    x = x[:, :4] @ torch.randn(4, 20, generator=torch.Generator().manual_seed(1)).double()
    found = fit(x, y, 9)
    assert (found.weights.shape, found.asked) == ((20, 4), 9)
    assert found.vip.numpy() == pytest.approx(golden(x, y, 4), rel=1e-6)
    alone = fit(x[:, :1], y, 3)
    assert (alone.weights.shape[1], alone.vip.tolist()) == (1, [1.0])


def test_nothing_is_left_once_y_is_explained() -> None:
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)).double()
    x = torch.linalg.qr(x - x.mean(0)).Q  # orthogonal columns
    found = fit(x, x[:, :1], 3)
    assert found.weights.shape[1] == 1
    assert found.vip.tolist() == pytest.approx([3**0.5, 0, 0], abs=1e-7)


def test_the_sums_add_up_over_processes() -> None:
    x, y = data(300, 20, 4)
    parts, barrier = (0, 20, 170, 300), threading.Barrier(3)
    slots: list[Tensor] = [torch.zeros(0)] * 3
    found: dict[int, Tensor] = {}

    def process(rank: int) -> None:
        own = slice(parts[rank], parts[rank + 1])

        def reduce(sums: Tensor) -> Tensor:
            slots[rank] = sums
            barrier.wait(20)
            total = torch.stack(slots).sum(0)
            barrier.wait(20)
            return total

        found[rank] = fit_pls(lambda: [(x[own], y[own])], 3, reduce).vip

    threads = [threading.Thread(target=process, args=(rank,)) for rank in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    torch.testing.assert_close(found[0], fit(x, y, 3).vip)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_single_and_half_precision_are_summed_in_double() -> None:
    x, y = data(500, 10, 4)
    whole = fit(x.half().double(), y, 2).vip
    assert torch.equal(fit(x.half(), y.float(), 2).vip, whole)


def test_one_sample_of_a_class_is_enough() -> None:
    x, y = data(60, 8, 3)
    y = torch.cat([y, torch.zeros(60, 1, dtype=torch.float64)], 1)
    y[0] = torch.tensor([0, 0, 0, 1])
    assert fit(x, y, 2).vip.numpy() == pytest.approx(golden(x, y, 2), rel=1e-6)


X, Y = data(10, 3, 2)


@pytest.mark.parametrize(
    ("blocks", "components", "message"),
    [
        ([(X, Y)], 0, "at least 1 component, not 0"),
        ([(X, Y)], True, "at least 1 component, not True"),
        ([], 2, "at least 2 rows, not 0"),
        ([(X[:0], Y[:0])], 2, "at least 2 rows, not 0"),
        ([(X[:1], Y[:1])], 2, "at least 2 rows, not 1"),
        ([(X, Y[:, 0])], 2, r"not \(10, 3\) and \(10,\)"),
        ([(X[:, :0], Y)], 2, r"not \(10, 0\) and \(10, 2\)"),
        ([(X, Y), (X, Y[:5])], 2, r"not \(10, 3\) and \(5, 2\)"),
        ([(X, Y[:5])], 2, r"not \(10, 3\) and \(5, 2\)"),
        ([(X.where(X[4, 1] != X, torch.nan), Y)], 2, "column 1 of X has a value that is not"),
        ([(X, Y.where(Y != 1, torch.inf))], 2, "column 0 of Y has a value that is not"),
    ],
)
def test_what_cannot_be_fitted(
    blocks: Iterable[tuple[Tensor, Tensor]], components: int, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        fit_pls(lambda: blocks, components)


def test_rows_that_are_gone_in_another_pass_are_noticed() -> None:
    passes = iter([[(X, Y)] * 2, [(X, Y)] * 2, []])
    with pytest.raises(UsageError, match="a pass has 0 rows, where the first had 20"):
        fit_pls(lambda: next(passes), 2)


def test_a_constant_column_is_nothing_among_more_targets_than_columns() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(300, 30, generator=generator), torch.randint(0, 100, (300,))
    x[:, [4, 20]] = 3.0
    found = fit_pls(lambda: [(x, torch.nn.functional.one_hot(y, 100))], 2).vip
    assert found[[4, 20]].tolist() == [0.0, 0.0]
    assert int((found == 0).sum()) == 2
