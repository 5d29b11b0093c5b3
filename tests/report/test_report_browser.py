"""The page as a reader has it: in a real browser, from a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from report_browser import Browser
from report_sample import sample_results, sample_step

from maxprune.report import write_page
from maxprune.results import Details, Results

FRACTIONS = ("removed", "zeroed")
FIELDS = set(sample_step("any", 1, nonzero=1).model_dump()) - {"name"}
CELLS = """[...document.querySelectorAll('table.steps td')].map(cell => ({
    ...cell.dataset, text: cell.innerText, row: cell.parentElement.dataset.row,
    width: cell.getBoundingClientRect().width}))"""
PLOTS = """[...document.querySelectorAll('figure')].map(figure => {
    const box = figure.querySelector('svg').getBoundingClientRect();
    const marks = [...figure.querySelectorAll('svg path, svg use')].filter(
        mark => mark.getBoundingClientRect().width + mark.getBoundingClientRect().height > 0);
    return {id: figure.id, width: box.width, height: box.height, marks: marks.length}})"""
OVERLAPS = """[...document.querySelectorAll('svg')].flatMap(svg => {
    const boxes = [...svg.querySelectorAll('text')].map(text => [text.textContent,
        text.getBoundingClientRect()]).filter(([text, box]) => text.trim());
    const edge = svg.getBoundingClientRect(), found = [];
    boxes.forEach(([text, a], i) => {
        if (a.left < edge.left - 1 || a.right > edge.right + 1 || a.top < edge.top - 1
            || a.bottom > edge.bottom + 1) found.push('outside: ' + text);
        boxes.slice(i + 1).forEach(([other, b]) => {
            if (a.left + 1 < b.right && b.left + 1 < a.right
                && a.top + 3 < b.bottom && b.top + 3 < a.bottom)
                found.push(text + ' / ' + other)})});
    return found})"""


@pytest.fixture(scope="module")
def written(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The page, and the results file that it was made from as a reader finds it."""
    sample_results().write(folder / "results.json")
    write_page(Results.read(folder / "results.json"), folder / "report.html")
    return folder / "report.html", json.loads((folder / "results.json").read_text())


def shown(text: str) -> float:
    return float(text.replace(",", ""))


def test_asks_for_nothing_and_complains_about_nothing(
    browser: Browser, written: tuple[Path, dict[str, Any]]
) -> None:
    visit = browser.open(written[0])
    assert visit.complaints == []
    assert visit.requests == [written[0].as_uri()]


def test_the_browser_would_tell(browser: Browser, folder: Path) -> None:
    path = folder / "bad.html"
    path.write_text(
        "<script>console.error('one'); missing()</script><img src='http://127.0.0.1:9/x.png'>"
    )
    visit = browser.open(path)
    assert any("'one'" in text or '"one"' in text for text in visit.complaints)
    assert any("missing" in text for text in visit.complaints)
    assert "http://127.0.0.1:9/x.png" in visit.requests


def test_every_figure_is_that_of_the_results_file(
    browser: Browser, written: tuple[Path, dict[str, Any]]
) -> None:
    path, content = written
    browser.resize(1200)
    browser.open(path)
    expected = {("baseline", "no maxout"): content["baseline"]}
    expected |= {("step", step["name"]): step for step in content["steps"]}
    expected[("control", content["control"]["name"])] = content["control"]
    seen = set()
    for cell in browser.evaluate(CELLS):
        row, field = (cell["row"], cell["step"]), cell["field"]
        assert cell["width"] > 0
        value = expected[row].get(field, 0.0 if field == "removed" else None)
        seen.add((*row, field))
        if value is None:
            assert cell["text"] == "\N{EN DASH}"
            assert "value" not in cell
            continue
        assert float(cell["value"]) == value
        factor = 100 if field in FRACTIONS else 1
        places = {"p_value": 4, "seconds": 1}.get(field, 2)
        wanted = factor * value
        assert shown(cell["text"]) == (
            value if isinstance(value, int) else pytest.approx(wanted, abs=0.5001 * 10**-places)
        )
    assert seen == {(*row, field) for row in expected for field in FIELDS}


def test_layers_settings_and_environment_are_all_there(
    browser: Browser, written: tuple[Path, dict[str, Any]]
) -> None:
    path, content = written
    browser.open(path)
    details = content["details"]
    found = browser.evaluate(
        "[...document.querySelectorAll('table.layers td[data-field]')].map(cell => "
        "[cell.dataset.step, cell.dataset.layer, cell.dataset.field, cell.innerText])"
    )
    expected = [
        (state["step"], state["layer"], field, f"{state[field]:,}")
        for state in details["layers"]
        for field in ("inputs", "neurons", "alive", "parameters", "nonzero")
    ]
    assert sorted(map(tuple, found)) == sorted(expected)
    settings = browser.evaluate(
        "Object.fromEntries([...document.querySelectorAll('[data-setting]')].map("
        "item => [item.dataset.setting, item.dataset.value]))"
    )
    assert settings == {key: str(value) for key, value in details["training"].items()}
    text = browser.evaluate("document.body.innerText")
    for value in [*details["environment"].values(), *details["notes"], details["command"]]:
        assert value in text


def test_plots_are_drawn(browser: Browser, written: tuple[Path, dict[str, Any]]) -> None:
    browser.resize(1200)
    browser.open(written[0])
    plots = {plot["id"]: plot for plot in browser.evaluate(PLOTS)}
    assert set(plots) == {f"plot-{n}" for n in ("accuracy", "sizes", "layers", "wins", "loss")}
    for plot in plots.values():
        assert plot["width"] > 500
        assert plot["height"] > 150
        assert plot["marks"] > 15


def test_no_label_covers_another_or_leaves_its_plot(
    browser: Browser, written: tuple[Path, dict[str, Any]]
) -> None:
    browser.resize(1200)
    browser.open(written[0])
    assert browser.evaluate(OVERLAPS) == []


@pytest.mark.parametrize("width", [390, 768, 1200])
@pytest.mark.parametrize("dark", [False, True])
def test_fits_the_screen(
    browser: Browser, written: tuple[Path, dict[str, Any]], width: int, dark: bool
) -> None:
    browser.resize(width, dark=dark)
    browser.open(written[0])
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    style = "getComputedStyle(document.{}).{}"
    ground = browser.evaluate(style.format("body", "backgroundColor"))
    assert ground == ("rgb(18, 23, 29)" if dark else "rgb(244, 246, 248)")
    card = browser.evaluate(style.format("querySelector('.plot')", "backgroundColor"))
    assert card == "rgb(255, 255, 255)"


def test_a_step_named_like_a_tag_stays_text(browser: Browser, folder: Path) -> None:
    name = "<script>alert(1)</script>"
    results = sample_results(steps=[sample_step(name, 129_388)], control=None, details=Details())
    write_page(results, folder / "evil.html")
    visit = browser.open(folder / "evil.html")
    assert visit.complaints == []
    assert browser.evaluate("document.scripts.length") == 0
    names = browser.evaluate("[...document.querySelectorAll('tbody th')].map(x => x.innerText)")
    assert names == ["no maxout", name]


def test_results_without_details_are_a_page_too(browser: Browser, folder: Path) -> None:
    results = sample_results(details=Details(), control=None)
    write_page(results, folder / "bare.html")
    visit = browser.open(folder / "bare.html")
    assert visit.complaints == []
    headings = browser.evaluate("[...document.querySelectorAll('h2')].map(x => x.innerText)")
    assert headings == ["Every step", "What the words mean"]
