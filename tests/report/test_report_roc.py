"""The plot of the error rates of face verification."""

from __future__ import annotations

import re
from xml.etree import ElementTree as Xml

import matplotlib as mpl
import pytest
import torch

from maxprune.errors import UsageError
from maxprune.measure.verification import Roc, roc
from maxprune.report.figure import CYCLE
from maxprune.report.roc import _attainable, roc_plot


def curve(pairs: int = 600, apart: float = 2.4, seed: int = 0, digits: int = 9) -> Roc:
    same = torch.arange(pairs) < pairs // 2
    noise = torch.randn(pairs, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return roc((noise - apart * same).round(decimals=digits), same)


def texts(svg: str) -> list[str]:
    tree = Xml.fromstring(svg)  # noqa: S314  (our own)
    return ["".join(node.itertext()) for node in tree.iter() if node.tag.endswith("}text")]


def test_the_legend_names_every_network_and_its_eer() -> None:
    curves = {"VGG16": curve(), "pruned": curve(seed=1)}
    assert curves["VGG16"].eer != curves["pruned"].eer
    found = texts(roc_plot(curves))
    for name, each in curves.items():
        assert f"{name}: EER {100 * each.eer:.2f}%" in found
    assert {"FAR = FRR", "different pairs accepted, FAR [%]", "same pairs accepted, TAR [%]"} <= (
        set(found)
    )


def test_is_the_same_twice_and_leaves_matplotlib_alone() -> None:
    before = dict(mpl.rcParams)
    first = roc_plot({"a": curve()})
    assert dict(mpl.rcParams) == before
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        assert roc_plot({"a": curve()}) == first
    assert first.startswith("<svg")
    assert first.endswith("</svg>")
    assert "date" not in first.lower()
    assert roc_plot({"a": curve(seed=1)}) != first


def test_networks_have_colours_and_then_lines_of_their_own() -> None:
    svg = roc_plot({f"network {i}": curve(seed=i) for i in range(len(CYCLE) + 1)})
    assert all(colour.lower() in svg for colour in CYCLE)
    dashed = re.findall(rf"stroke-dasharray: [^\"]*stroke: {CYCLE[0].lower()}", svg)
    assert len(dashed) == 2  # the eighth curve and its place in the legend
    assert not re.findall(rf"stroke-dasharray: [^\"]*stroke: {CYCLE[1].lower()}", svg)


@pytest.mark.parametrize("digits", [9, 0])
@pytest.mark.parametrize("apart", [0.0, 2.4, 50.0, -50.0])
def test_the_curve_drawn_is_the_best_tar_at_every_far(apart: float, digits: int) -> None:
    found = curve(apart=apart, digits=digits)
    far, tar = _attainable(found)
    assert far[0] == 1 / 300
    assert far == sorted(far)
    for i in range(1, 301):
        drawn = [y for x, y in zip(far, tar, strict=True) if x <= i / 300][-1]
        assert drawn == pytest.approx(100 * (found.tar_at(i / 300) or 0), abs=1e-9)


@pytest.mark.parametrize("pairs", [2, 6, 600])
@pytest.mark.parametrize("apart", [50.0, -50.0])
def test_perfect_and_useless_networks_can_be_drawn(pairs: int, apart: float) -> None:
    name = f"a: EER {0 if apart > 0 else 100:.2f}%"
    assert name in texts(roc_plot({"a": curve(pairs, apart)}))


def test_good_networks_are_not_drawn_at_the_edge() -> None:
    """40 is a figure of the upright axis only; with 4.5 apart every TAR is over 80%."""
    assert "40" in texts(roc_plot({"a": curve(apart=1.0)}))
    assert "40" not in texts(roc_plot({"a": curve(apart=4.5)}))


def test_names_are_text() -> None:
    svg = roc_plot({"<b>$x$ & 口": curve()})
    assert "<b>" not in svg
    assert any(text.startswith("<b>$x$ & 口: EER") for text in texts(svg))


def test_nothing_to_plot_is_refused() -> None:
    with pytest.raises(UsageError, match="no curves"):
        roc_plot({})
