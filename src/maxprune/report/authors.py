"""Our PLS iterations on ResNet-56 beside the published figures and the authors' networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table

from maxprune.plural import plural
from maxprune.report.plain import figures, plain_table
from maxprune.report.words import count, percent, probability
from maxprune.results import Author, Results


def iterations_table(
    results: Results, unpruned: int, published: Mapping[int, tuple[float, float]]
) -> Table:
    """A row for every iteration: multiply-adds left, our accuracy, the published one's gain.

    Args:
        results: of our iterations; the baseline is the network after the first one.
        unpruned: multiply-adds of the network before it.
        published: by the number of the iteration, percent of the multiply-adds that were gone and
            the points of accuracy that were gained.
    """
    table = plain_table(
        f"ResNet-56 on {results.dataset}, the authors' first network",
        f"MACs gone: of the {count(unpruned)} before any cut\n"
        "accuracy: on the test pictures, after retraining; p: against iteration 1, retrained\n"
        "published: what the authors report at that iteration, on CIFAR-10 itself: MACs gone, "
        "and points gained",
    )
    figures(
        table,
        "iteration",
        "MACs",
        "gone\n%",
        "accuracy\n%",
        "p",
        "published\ngone %",
        "published\npoints",
    )
    base = results.baseline
    rows: list[tuple[int, float, float | None]] = [(base.macs, base.accuracy, None)]
    rows += [(step.macs, step.accuracy, step.p_value) for step in results.steps]
    for number, (macs, accuracy, p_value) in enumerate(rows, 1):
        gone, gained = published.get(number, (None, None))
        table.add_row(
            str(number), count(macs), percent(100 * (1 - macs / unpruned)),
            percent(accuracy),
            "-" if p_value is None else probability(p_value),
            "-" if gone is None else f"{gone:.2f}", "-" if gained is None else f"+{gained:.2f}",
        )  # fmt: skip
    return table


def authors_table(found: Sequence[Author], final: float = 0.0) -> Table:
    """The authors' own networks on the same test pictures, and ours of the same size.

    Args:
        found: the authors' networks.
        final: epochs of the last retraining of ours.
    """
    more = f", after {plural(final, 'more epoch')}" if final else ""
    table = plain_table(
        "The authors' own networks on the same test pictures",
        "MACs: in millions\nretrained: after as many epochs on our pictures as ours had\n"
        f"ours: the first of ours with at most as many MACs{more}; p: of ours against theirs as "
        "published, and against theirs retrained",
    )
    figures(table, "iteration", "MACs\nM", "gone\n%", "theirs\n%", "retrained\n%")
    figures(table, "ours\nM", "ours\n%", "p\npublished", "p\nretrained")
    for author in found:
        table.add_row(
            str(author.iteration + 1), f"{author.macs / 1e6:.2f}", percent(100 * author.removed),
            percent(author.accuracy),
            "-" if author.retrained is None else percent(author.retrained),
            "-" if author.ours_macs is None else f"{author.ours_macs / 1e6:.2f}",
            "-" if author.ours_accuracy is None else percent(author.ours_accuracy),
            *map(_probability, (
                author.p_value_as_published, None if author.retrained is None else author.p_value
            )),
        )  # fmt: skip
    return table


def _probability(p_value: float | None) -> str:
    return "-" if p_value is None else probability(p_value)
