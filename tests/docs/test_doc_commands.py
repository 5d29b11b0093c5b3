"""Every command in the pages is one that the program knows, with options that it has."""

import re
import shlex
from pathlib import Path

import pytest
from command_pages import commands_page, every_command, plain
from transcript import blocks

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
KNOWN = dict(every_command())


def options(command: object) -> set[str]:
    return {name for p in command.params for name in (*p.opts, *p.secondary_opts)} | {"--help"}


def check(words: list[str]) -> list[str]:
    """What is wrong with a command as it was typed."""
    name, rest = words[0], words[1:]
    while rest and f"{name} {rest[0]}" in KNOWN:
        name, rest = f"{name} {rest[0]}", rest[1:]
    if hasattr(KNOWN[name], "commands") and rest and not rest[0].startswith("-"):
        return [f"{name} has no command {rest[0]}"]
    named = {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
    return [f"{name} has no option {option}" for option in named - options(KNOWN[name])]


def in_blocks(page: str) -> list[list[str]]:
    """The words of every command in the shell blocks of a page."""
    text = "\n".join(block.text for block in blocks(page) if block.language == "sh")
    lines = re.split(r"\n|&&|;", text.replace("\\\n", " "))
    return [words for line in lines if (words := shlex.split(line, comments=True))]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_commands_and_their_options_are_there(path: Path) -> None:
    page = path.read_text()
    typed = [words for words in in_blocks(page) if words[0] == "maxprune"]
    outside = re.sub(r"^```.*?^```$", "", page, flags=re.DOTALL | re.MULTILINE)
    for span in re.findall(r"`(maxprune [a-z][^`]*)`", outside):
        typed += [shlex.split(part) for part in " ".join(span.split()).split(" | ")[:1]]
    assert [fault for words in typed for fault in check(words)] == []
    every = set().union(*(options(command) for command in KNOWN.values()))
    for option in re.findall(r"`(--[a-z][a-z0-9-]*)", outside):
        assert option in every, option


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_commands_in_blocks_are_complete(path: Path) -> None:
    """Nothing that is required is missing, and no value is of a wrong kind."""
    for words in in_blocks(path.read_text()):
        if words[0] == "maxprune":
            name, rest = words[0], words[1:]
            while rest and f"{name} {rest[0]}" in KNOWN:
                name, rest = f"{name} {rest[0]}", rest[1:]
            KNOWN[name].make_context(name, list(rest))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_scripts_that_pages_name_are_there(path: Path) -> None:
    page = path.read_text()
    for name in re.findall(r"(?:src|benchmarks|docs|tests|results)/[\w./-]*\w", page):
        if re.search(rf"[\w-]/{re.escape(name)}", page):
            continue  # the end of a longer path
        assert (ROOT / name).exists(), name


def test_what_is_wrong_is_found() -> None:
    assert check(["maxprune", "shrink"]) == ["maxprune has no command shrink"]
    assert check(["maxprune", "demo", "--fast"]) == ["maxprune demo has no option --fast"]
    assert check(["maxprune", "reproduce", "table9"]) == [
        "maxprune reproduce has no command table9"
    ]
    assert check(["maxprune", "reproduce", "table1", "--fc=128", "--accounting"]) == []


def test_the_reference_says_what_help_says() -> None:
    page = commands_page()
    for name, command in KNOWN.items():
        section = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        shown = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", section))
        assert options(command) - {"--help"} <= shown | set(command_arguments(command)), name
    assert "| `--keep-accuracy <float>` | Points of accuracy" in page
    assert "| `--method <str>` |" in page
    assert "| taylor |" in page


def command_arguments(command: object) -> list[str]:
    return [name for p in command.params if p.param_type_name == "argument" for name in p.opts]


def test_markdown_finds_nothing_in_help_but_code() -> None:
    assert plain("a_b *c* <d> of `e_f`\n | $g$") == (
        "a&#95;b &#42;c&#42; &#60;d&#62; of `e_f` &#124; &#36;g&#36;"
    )
