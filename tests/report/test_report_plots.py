from __future__ import annotations

import re
from collections.abc import Callable
from xml.etree import ElementTree as Xml

import matplotlib as mpl
import pytest
from report_sample import sample_results, sample_step, sample_wins
from scipy.stats import binomtest

from maxprune.errors import StoreError, UsageError
from maxprune.report import accuracy_plot, layers_plot, loss_plot, size_plot, wins_plot
from maxprune.report.cuts import ranked
from maxprune.report.plots import sample_count, wilson
from maxprune.results import Curve, Details, LayerState, Results, Wins

PLOTS: list[Callable[[Results], str]] = [
    accuracy_plot,
    size_plot,
    wins_plot,
    layers_plot,
    loss_plot,
]


def texts(svg: str) -> list[str]:
    tree = Xml.fromstring(svg)  # noqa: S314  (our own)
    return ["".join(node.itertext()) for node in tree.iter() if node.tag.endswith("}text")]


@pytest.mark.parametrize("plot", PLOTS)
def test_is_the_same_twice_and_leaves_matplotlib_alone(plot: Callable[[Results], str]) -> None:
    before = dict(mpl.rcParams)
    first = plot(sample_results())
    assert dict(mpl.rcParams) == before
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        assert plot(sample_results()) == first
    assert "date" not in first.lower()
    assert first.startswith("<svg")
    assert first.endswith("</svg>")


def test_ids_of_different_plots_differ_and_references_hold() -> None:
    seen: set[str] = set()
    for plot in PLOTS:
        svg = plot(sample_results())
        ids = set(re.findall(r'\sid="([^"]*)"', svg))
        used = set(re.findall(r'(?:href="|url\()#([^")]*)', svg))
        assert used
        assert used <= ids
        assert not ids & seen
        seen |= ids


def test_axes_say_what_they_show() -> None:
    found = texts(accuracy_plot(sample_results()))
    assert "test accuracy [%]" in found
    assert "parameters that are left and not zero [% of the unpruned network]" in found
    for step in sample_results().steps:
        assert step.name in found
    assert {"before retraining", "after retraining", "unpruned network", "control"} <= set(found)
    sizes = texts(size_plot(sample_results()))
    assert {"parameters", "MACs for one input", "bytes on disk", "440,812", "18,344"} <= set(sizes)
    assert not any(
        "FLOP" in text.upper() for plot in PLOTS for text in texts(plot(sample_results()))
    )


def test_intervals_need_the_number_of_test_samples() -> None:
    assert sample_count(sample_results()) == 10_000
    assert "95% interval" in texts(accuracy_plot(sample_results()))
    assert "95% interval" not in texts(accuracy_plot(sample_results(details=Details())))
    for text, number in (("10,000", 10_000), ("many", None), ("0", None)):
        details = Details(environment={"test samples": text})
        assert sample_count(sample_results(details=details)) == number


@pytest.mark.parametrize(("right", "samples"), [(0, 10), (10, 10), (81, 263), (9_841, 10_000)])
def test_wilson_agrees_with_scipy(right: int, samples: int) -> None:
    bounds = binomtest(right, samples).proportion_ci(method="wilson")
    expected = (100 * bounds.low, 100 * bounds.high)
    assert wilson(100 * right / samples, samples) == pytest.approx(expected, abs=1e-4)


def test_names_are_text_and_never_formulas_or_tags() -> None:
    name = "<b>$\\frac{1}{$ & 口"
    steps = [sample_step(name, 129_388)]
    assert name in texts(accuracy_plot(sample_results(steps=steps)))
    assert "<b>" not in size_plot(sample_results(steps=steps))


def test_ranks_follow_the_wins_and_removal_follows_keep() -> None:
    wins = Wins(
        step="s",
        layer="fc",
        wins=[[10, 30, 60], [0, 0, 0], [5, 5, 0], [80, 20, 0]],
        keep=[1, 2, 3, 4, 7, 8, 10, 9],
        positions=100,
    )
    cut = ranked(wins)
    assert (cut.units, cut.silent, cut.neurons, cut.left) == (4, 1, 12, 8)
    assert cut.kept == [[60, 50, 80], [30, 20], [0]]
    assert cut.removed == [[], [50], [10, 0]]


def test_a_kept_neuron_outside_the_layer_is_refused() -> None:
    wins = Wins(step="s", layer="fc", wins=[[1, 2]], keep=[2], positions=3)
    with pytest.raises(StoreError, match="keeps neuron 2 of 2"):
        ranked(wins)


def test_a_unit_that_is_never_active_is_drawn_as_nothing() -> None:
    wins = Wins(step="s", layer="fc", wins=[[0, 0]], keep=[0], positions=3)
    assert "1st in its unit" in texts(wins_plot(sample_results(details=Details(wins=[wins]))))


def test_several_cuts_of_different_depth() -> None:
    wins = [sample_wins("b", 2, 0), sample_wins("a", 5, 1)]
    found = texts(wins_plot(sample_results(details=Details(wins=wins))))
    assert "5th in its unit" in found


def test_of_many_layers_those_that_change_are_drawn() -> None:
    states = [
        LayerState(
            step=step,
            layer=f"block{index}",
            kind="conv",
            inputs=16,
            neurons=16 - (step == "pruned" and index % 2),
            alive=16 - (step == "pruned" and index % 2),
            parameters=1,
            nonzero=1,
        )
        for step in ("whole", "pruned")
        for index in range(20)
    ]
    found = texts(layers_plot(sample_results(details=Details(layers=states))))
    assert [text for text in found if text.startswith("block")] == (
        [f"block{index}" for index in range(1, 20, 2)]
    )


def test_neurons_without_weights_are_told_apart() -> None:
    found = texts(layers_plot(sample_results()))
    assert "17 of 20" in found
    assert "512" in found


def test_losses_that_reach_zero_and_single_points() -> None:
    curves = [
        Curve(step="a", iterations=[1, 2], loss=[0.5, 0.0]),
        Curve(step="b", iterations=[1], loss=[0.5]),
        Curve(step="none", iterations=[], loss=[]),
    ]
    found = texts(loss_plot(sample_results(details=Details(curves=curves))))
    assert {"a", "b"} <= set(found)
    assert "none" not in found


@pytest.mark.parametrize("plot", [wins_plot, layers_plot, loss_plot])
def test_nothing_to_plot_is_refused(plot: Callable[[Results], str]) -> None:
    with pytest.raises(UsageError, match=r"nothing to plot|no .* to plot"):
        plot(sample_results(details=Details()))


def test_no_steps_to_plot_is_refused() -> None:
    with pytest.raises(UsageError, match="no steps"):
        accuracy_plot(sample_results(steps=[]))
