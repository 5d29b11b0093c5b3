"""What mkdocs does beside Markdown: the pages that are made from the program, and the formulas."""

from __future__ import annotations

from pathlib import Path

from command_pages import commands_page
from formulas import with_formulas
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from python_pages import python_page
from result_pages import measured_page, pictures

ROOT = Path(__file__).parents[2]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that nobody writes by hand."""
    made = {
        "reference/commands.md": commands_page(),
        "reference/python.md": python_page(),
        "measured.md": measured_page(ROOT / "results"),
    }
    for name, text in {**made, **pictures(ROOT / "results")}.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Formulas become MathML, which browsers draw by themselves."""
    return with_formulas(html)
