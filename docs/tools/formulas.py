"""Formulas as MathML, made when the site is built, so that no page loads a program for them."""

from __future__ import annotations

import html
import re

from latex2mathml.converter import convert

# What pymdownx.arithmatex leaves of $...$ and $$...$$.
_FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\(?P<open>[(\[])(?P<tex>.*?)\\[)\]]</(?P=tag)>',
    re.DOTALL,
)


def with_formulas(page: str) -> str:
    r"""The page with each TeX formula as a `<math>` element.

    Example:
        >>> with_formulas('<span class="arithmatex">\\(k\\)</span>')[:45]
        '<math xmlns="http://www.w3.org/1998/Math/Math'

    Raises:
        ValueError: a formula has a command that is not known, which would be shown as it is.
    """
    return _FORMULA.sub(_drawn, page)


def _drawn(found: re.Match[str]) -> str:
    display = "block" if found["open"] == "[" else "inline"
    tex = html.unescape(found["tex"]).strip()
    drawn: str = convert(tex, display=display)
    if "<mi>\\" in drawn:
        raise ValueError(f"{tex}: it has a command that latex2mathml does not know")
    return drawn
