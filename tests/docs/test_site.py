"""The site builds strictly, stands alone, and has a page for all there is."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from report_browser import Browser, opened

import maxprune

ROOT = Path(__file__).parents[2]
PAGES = sorted(path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md"))
MADE = ("measured.html", "reference/commands.html", "reference/python.html")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("material", reason="mkdocs-material is not installed: '.[docs]'")
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_every_page_is_built_and_in_the_navigation(site: Path) -> None:
    shown = (site / "index.html").read_text()
    nav = set(re.findall(r'<a href="([^"#]+\.html)" class="md-nav__link', shown)) | {"index.html"}
    assert nav >= {str(path.with_suffix(".html")) for path in PAGES} | set(MADE)
    for name in nav:
        assert (site / name).is_file(), name


def test_a_page_fetches_nothing_from_elsewhere(site: Path) -> None:
    for path in site.rglob("*.html"):
        page = path.read_text()
        for tag in re.findall(r"<(?:script|link|img|iframe)\b[^>]*>", page):
            assert not re.search(r'(?:src|href)="(?:\w+:)?//', tag), f"{path.name}: {tag}"
        assert not re.search(r"@import|url\(['\"]?https?:", page), path.name
    for path in site.rglob("*.css"):
        assert not re.search(r"@import|url\(['\"]?(https?:)?//", path.read_text()), path.name


def test_links_to_elsewhere_are_https(site: Path) -> None:
    for path in site.rglob("*.html"):
        for link in re.findall(r'<a\b[^>]*href="(\w+:[^"]*)"', path.read_text()):
            assert re.fullmatch(r"https://[\w.-]+\.\w+(/\S*)?", link), f"{path.name}: {link}"


OPENED = ["index.html", "methods/pls.html", "tutorials/engineer.html", *MADE[:2]]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    for browser in opened(tmp_path_factory.mktemp("chromium")):
        forget = (
            "try { localStorage.clear() } catch (e) {}"  # the theme's choice of the page before
        )
        browser.call("Page.addScriptToEvaluateOnNewDocument", source=forget)
        yield browser


@pytest.mark.parametrize("name", OPENED)
def test_a_page_opens_from_a_folder_on_a_phone_too(site: Path, browser: Browser, name: str) -> None:
    for width, dark in ((1300, True), (400, False)):
        browser.resize(width, dark=dark)
        visit = browser.open(site / name, settle=0.1)
        assert visit.complaints == []
        assert [url for url in visit.requests if not url.startswith(("file:", "data:"))] == []
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
        paper = browser.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", paper)[:3])) < 200) == dark


def test_search_works_in_pages_from_a_folder(site: Path, browser: Browser) -> None:
    browser.resize(1300)
    browser.open(site / "index.html")
    browser.evaluate("document.querySelector('.md-search__input').focus()")
    browser.evaluate(
        "{ const field = document.querySelector('.md-search__input'); field.value = 'non-inferior';"
        " field.dispatchEvent(new Event('keyup')) }"
    )
    found: list[str] = []
    until = time.monotonic() + 20
    while not found and time.monotonic() < until:
        found = browser.evaluate(
            "[...document.querySelectorAll('.md-search-result__link')].map(link => link.href)"
        )
        time.sleep(0.1)
    assert any("methods/tests.html" in link for link in found)
    assert browser.visit.complaints == []


def test_formulas_are_drawn(site: Path) -> None:
    for path in (site / "methods").glob("*.html"):
        page = path.read_text()
        assert "arithmatex" not in page, path.name
        if path.name not in ("index.html", "small.html"):  # no method of their own
            assert re.search(r'<math [^>]*display="block"', page), path.name


def test_the_reference_has_every_public_name(site: Path) -> None:
    page = (site / "reference/python.html").read_text()
    own = {name: getattr(maxprune, name) for name in maxprune.__all__}
    rooms = [thing for thing in own.values() if isinstance(thing, ModuleType)]
    assert maxprune.scores in rooms
    for room in (maxprune, *rooms):
        for name in room.__all__:
            thing = getattr(room, name)
            if name in own and room is not maxprune:
                continue  # there already
            if name != "__version__" and not isinstance(thing, ModuleType):
                assert f'id="{room.__name__}.{name}"' in page, f"{room.__name__}.{name}"
    assert "def " not in re.sub(r"<code>.*?</code>", "", page, flags=re.DOTALL)
    assert 'id="maxprune.compress.compress"' in page
    assert 'id="maxprune.compress.Run"' not in page


def test_a_wrong_link_ends_the_build(tmp_path: Path) -> None:
    """By the rules of our mkdocs.yml, in a site of one page."""
    pytest.importorskip("mkdocs", reason="mkdocs is not installed: '.[docs]'")
    rules = (ROOT / "mkdocs.yml").read_text().partition("\nvalidation:")[2].partition("\nnav:")[0]
    (tmp_path / "mkdocs.yml").write_text(f"site_name: one page\nvalidation:{rules}\n")
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs/index.md"
    for link, code in (("#there", 0), ("#nowhere", 1), ("nowhere.md", 1), ("/there.md", 1)):
        page.write_text(f"# There\n\n[link]({link})\n")
        done = subprocess.run(
            [sys.executable, "-m", "mkdocs", "build", "--strict"],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == code, (link, done.stderr)


def test_links_of_the_readme_lead_to_files() -> None:
    for name in ("README.md", "CHANGELOG.md"):
        text = (ROOT / name).read_text()
        for link in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (ROOT / link).exists(), f"{name}: {link}"
