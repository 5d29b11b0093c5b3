"""Formulas become MathML when the site is built."""

import doctest
import re

import pytest

pytest.importorskip("latex2mathml", reason="latex2mathml is not installed: '.[docs]'")
import formulas


def span(tex: str) -> str:
    return rf'<span class="arithmatex">\({tex}\)</span>'


def test_a_formula_becomes_mathml() -> None:
    page = r'<p><div class="arithmatex">\[a &lt; \frac{b}{c}\]</div> $5</p>'
    drawn = formulas.with_formulas(page)
    assert re.search(r'<math [^>]*display="block">.*<mfrac>', drawn)
    assert "&lt;" in drawn or "&#x0003C;" in drawn
    assert drawn.endswith("</math> $5</p>")
    assert 'display="inline"' in formulas.with_formulas(span("k"))


def test_a_formula_that_cannot_be_drawn_ends_the_build() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        formulas.with_formulas(span(r"\nonsense"))


def test_the_example() -> None:
    done = doctest.testmod(formulas)
    assert done.attempted
    assert not done.failed
