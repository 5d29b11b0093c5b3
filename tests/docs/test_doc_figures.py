"""The figures in the repository are those that the script draws from results/."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import matplotlib
import pytest
from figures import FIGURES, drawn

ROOT = Path(__file__).parents[2]
METHODS = ROOT / "docs/methods"


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_what_the_script_draws(name: str) -> None:
    pinned = (ROOT / "constraints.txt").read_text()
    if f"matplotlib=={matplotlib.__version__}\n" not in pinned:
        pytest.skip("another matplotlib than the pinned one sets text a little otherwise")
    found = (METHODS / f"{name}.svg").read_text()
    assert drawn(name) == found
    assert ElementTree.fromstring(found).tag.endswith("svg")  # noqa: S314 - our own file


def test_every_figure_is_on_its_page() -> None:
    assert {path.stem for path in METHODS.glob("*.svg")} == set(FIGURES)
    for name in FIGURES:
        assert f"({name}.svg)" in (METHODS / f"{name}.md").read_text(), name
    assert {path.stem for path in METHODS.glob("*.md")} == {*FIGURES, "index"}
