"""The tables over a grid, their plot, and the plot of Figure 1."""

import io
from xml.etree import ElementTree as Xml

import pytest
from rich.console import Console

from maxprune.report.grid import alive_plot, grid_plot, grid_table
from maxprune.results import AliveCurve, TableCell


def cell(step: str, mean: float, published: float | None = None, **other: object) -> TableCell:
    content = {
        "network": "mc", "fc": 512, "step": step, "seeds": [0, 1, 2], "parameters": 1000,
        "removed": 0.74, "zeroed": 0.0, "accuracies": [mean] * 3, "mean": mean, "spread": 0.05,
        "last_iteration": mean - 0.1, "p_values": [0.5, 0.01, 0.3], "published": published,
        "reached": None if published is None else mean >= published,
    }  # fmt: skip
    return TableCell.model_validate(content | other)


CELLS = [
    cell("no maxout", 99.1, 99.1, removed=0.0),
    cell("maxout k=1", 99.3, 99.4),
    cell("weights 90%", 99.2, 97.4, zeroed=0.9),
    cell("weights 98%", 99.0, 60.8, zeroed=0.98),
]


def printed(cells: list[TableCell]) -> str:
    file = io.StringIO()
    Console(file=file, width=100).print(grid_table(cells, "The title"))
    return file.getvalue()


def texts(svg: str) -> list[str]:
    tree = Xml.fromstring(svg)  # noqa: S314  (our own)
    return ["".join(node.itertext()) for node in tree.iter() if node.tag.endswith("}text")]


def test_the_table_says_where_the_paper_is_reached() -> None:
    lines = printed(CELLS).splitlines()
    assert lines[0].strip() == "The title"
    rows = {step: next(line for line in lines if step in line) for step in ("k=1", "98%")}
    assert rows["k=1"].split() == (
        ["maxout", "k=1", "74.00", "0.0", "99.30", "±0.05", "99.4", "<", "99.20", "0.0100..0.5000"]
    )
    assert "60.8 ok" in rows["98%"]
    assert "mean over 3 seeds" in printed(CELLS)


@pytest.mark.parametrize("control", [False, True])
def test_the_control_is_explained_where_there_is_one(control: bool) -> None:
    cells = [*CELLS, cell("control", 99.0)] if control else CELLS
    assert ("from random weights" in printed(cells)) == control


def test_published_figures_below_the_axis_are_named() -> None:
    found = texts(grid_plot(CELLS))
    assert "LeNet-MC, fc 512" in found
    assert {"60.8", "97.4"} <= set(found)
    assert "99.4" not in found or found.count("99.4") == 1  # at most as a tick, not as an arrow
    assert not {"60.8", "97.4"} & set(texts(grid_plot(CELLS[:2])))


def test_the_curves_of_figure_1() -> None:
    curves = [
        AliveCurve(network="mc", fc=512, seed=seed, step="maxout k=1", retrained=retrained,
                   zeroed=[0.0, 0.5, 0.98], alive=[1.0, 0.9, 0.3])
        for seed in (0, 1) for retrained in (False, True)
    ]  # fmt: skip
    found = texts(alive_plot(curves))
    assert found.count("mc-512 maxout k=1") == 1  # one entry for all seeds
    assert found.count("mc-512 maxout k=1, retrained") == 1
