from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_sample import sample_results, sample_step

from maxprune.errors import OutputError
from maxprune.report import render_page, write_page
from maxprune.results import Details


@pytest.fixture(scope="module")
def page() -> str:
    return render_page(sample_results())


def test_nothing_comes_from_elsewhere_and_nothing_runs(page: str) -> None:
    assert not re.search(r"https?://|//cdn|@import|<script|javascript:|\son\w+=", page)
    links = re.findall(r'(?:href|src)="([^"]*)"', page)
    assert links
    assert all(link.startswith(("#", "data:")) for link in links)
    assert "FLOP" not in page.upper()


def test_is_the_same_twice(page: str) -> None:
    assert render_page(sample_results()) == page


def test_sections_without_details_vanish() -> None:
    page = render_page(sample_results(details=Details(), control=None))
    found = set(re.findall(r'<(?:section|figure) id="([^"]*)"', page))
    assert found == {"steps", "words", "plot-accuracy", "plot-sizes"}


def test_columns_that_say_nothing_vanish_with_what_is_said_of_them(page: str) -> None:
    fields = {"k", "nonzero", "zeroed", "accuracy_before_retraining"}
    step = sample_step("1", 129_388, accuracy_before_retraining=None)
    less = render_page(sample_results(steps=[step], control=None, details=Details()))
    for text, seen in ((page, True), (less, False)):
        found = set(re.findall(r'<td data-step="[^"]*" data-field="([^"]*)"', text))
        assert found >= {"parameters", "macs", "bytes", "accuracy", "p_value"}
        assert (found & fields == fields) is seen
        assert ("“Before” is the accuracy" in text) is seen
        assert ("Above, the test accuracy" in text) is seen
    assert not set(re.findall(r'data-field="([^"]*)"', less)) & fields


def test_no_steps_is_a_page_too() -> None:
    page = render_page(sample_results(steps=[], control=None, details=Details()))
    assert "Nothing was pruned" in page
    assert "plot-accuracy" not in page


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def test_every_text_is_escaped() -> None:
    evil = "<script>alert(1)</script>"
    quote = '" onload="alert(1)'
    results = sample_results(
        study=evil,
        dataset=evil,
        network=evil,
        steps=[sample_step(evil, 129_388), sample_step(quote, 129_388)],
        details=Details(
            command=evil, environment={evil: quote}, training={quote: evil}, notes=[evil]
        ),
    )
    page = render_page(results)
    found = Elements()
    found.feed(page)
    assert "svg" in found.tags
    assert "script" not in found.tags
    assert "data-step" in found.attributes
    assert "onload" not in found.attributes
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 10


def test_the_verdict_is_on_top(page: str) -> None:
    assert "accuracy 98.27% against 98.30%: no significant loss (p = 0.8129)." in page
    steps = [sample_step("s", 129_388, accuracy=90.0, p_value=0.001)]
    bad = render_page(sample_results(steps=steps, details=Details()))
    assert 'data-outcome="worse"' in bad
    assert "significantly worse (p = 0.0010)" in bad


def test_times_smaller_is_rounded_down(page: str) -> None:
    assert "67.3 times smaller" in page  # 440,812 / 6,547 = 67.33
    assert "96.2 times smaller" in page  # 1,765,168 / 18,344 = 96.23


def test_write_page(tmp_path: Path, page: str) -> None:
    path = tmp_path / "new" / "report.html"
    write_page(sample_results(), path)
    assert path.read_text("utf-8") == page
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]
    with pytest.raises(OutputError, match="cannot write"):
        write_page(sample_results(details=Details()), path / "below-a-file.html")
