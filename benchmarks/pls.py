"""Partial Least Squares: ours beside scikit-learn's, and one that fits in no memory.

Side by side on the same matrix, in turns: the VIP of 4,000 features by 50,000 samples of 10
classes, 2 components. Then 26,560 features, which are all filters of ResNet-50, by 200,000 samples:
kept on disk in half precision under a budget of memory, and the most memory that this process had.

    python3 benchmarks/pls.py [--rounds 3] [--samples 200000] [--out FILE]
"""

from __future__ import annotations

import resource
import time
import warnings
from statistics import median
from typing import Any

import numpy as np
import torch
from shared import options, show
from sklearn.cross_decomposition import PLSRegression
from torch import Tensor

from maxprune.runs.environment import environment
from maxprune.scores import fit_pls
from maxprune.scores.features import Features

ROWS, COLUMNS, CLASSES, COMPONENTS = 50_000, 4_000, 10, 2
FILTERS, BUDGET, BATCH = 26_560, 2**30, 1000


def drawn(rows: int, columns: int, seed: int) -> tuple[Tensor, Tensor]:
    """Features of which every tenth goes along with the classes, and the classes."""
    generator = torch.Generator().manual_seed(seed)
    means = torch.randn(CLASSES, columns, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(0, CLASSES, (rows,), generator=generator)
    x = torch.randn(rows, columns, generator=generator)
    x[:, ::10] += means[labels][:, ::10]
    return x, labels


def golden(x: np.ndarray, y: np.ndarray, **how: Any) -> tuple[np.ndarray, list[int]]:
    """VIP by scikit-learn, and the iterations of each component."""
    found = PLSRegression(COMPONENTS, scale=True, **how).fit(x, y)
    explained = (found.y_loadings_**2).sum(0) * (found.x_scores_**2).sum(0)
    shares = (found.x_weights_ / np.linalg.norm(found.x_weights_, axis=0)) ** 2
    vip = np.sqrt(len(shares) * (shares @ explained) / explained.sum())
    return np.asarray(vip), [int(count) for count in found.n_iter_]


def side_by_side(rounds: int) -> dict[str, Any]:
    """Seconds of both, in turns, and how far they are apart."""
    x, labels = drawn(ROWS, COLUMNS, 1)
    y = torch.nn.functional.one_hot(labels, CLASSES)
    ours, theirs = [], []
    for _ in range(rounds):
        started = time.perf_counter()
        found = fit_pls(lambda: [(x, y)], COMPONENTS).vip
        ours.append(time.perf_counter() - started)
        started = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            iterations = golden(x.numpy(), y.double().numpy())[1]
        theirs.append(time.perf_counter() - started)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        converged = golden(x[:10_000].double().numpy(), y[:10_000].double().numpy(),
                           tol=1e-30, max_iter=10_000)[0]  # fmt: skip
    part = fit_pls(lambda: [(x[:10_000], y[:10_000])], COMPONENTS).vip.numpy()
    return {
        "rows": ROWS, "columns": COLUMNS, "classes": CLASSES, "components": COMPONENTS,
        "ours_seconds": ours, "scikit_learn_seconds": theirs,
        "times_as_fast": median(t / o for t, o in zip(theirs, ours, strict=True)),
        "largest_relative_difference_on_10000_rows": float(
            (np.abs(part - converged) / np.abs(converged)).max()
        ),
        "scikit_learn_iterations": iterations,
        "features_above_1": int((found > 1).sum()),
    }  # fmt: skip


def large(samples: int) -> dict[str, Any]:
    """As many features as ResNet-50 has filters, on disk."""
    kept, labels = Features(FILTERS, BUDGET), []
    started = time.perf_counter()
    for start in range(0, samples, BATCH):
        x, y = drawn(min(BATCH, samples - start), FILTERS, 10 + start)
        kept.append(x)
        labels.append(y)
    written = time.perf_counter() - started
    y = torch.cat(labels)

    def blocks() -> Any:
        start = 0
        for rows in kept.blocks():
            yield rows, torch.nn.functional.one_hot(y[start : start + len(rows)], CLASSES)
            start += len(rows)

    started = time.perf_counter()
    vip = fit_pls(blocks, COMPONENTS).vip
    told = vip.argsort(descending=True)[: FILTERS // 10] % 10 == 0
    return {
        "samples": samples, "filters": FILTERS, "budget_bytes": BUDGET,
        "seconds_to_draw_and_write": written, "seconds_to_fit": time.perf_counter() - started,
        "share_of_the_best_tenth_that_carries_classes": float(told.double().mean()),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }  # fmt: skip


def main() -> None:
    chosen = options(__doc__, rounds=3, samples=200_000)
    big = large(chosen.samples)  # first, since the peak is that of the whole process
    show(
        {
            "benchmark": "partial least squares",
            "environment": environment(torch.get_num_threads()),
            "large": big,
            "beside_scikit_learn": side_by_side(chosen.rounds),
        },
        chosen.out,
    )  # fmt: skip


if __name__ == "__main__":
    main()
