"""What a tutorial shows of a command's output is what the command printed."""

import doctest
import json
from pathlib import Path

import pytest
import transcript
from transcript import Block, blocks

ROOT = Path(__file__).parents[2]
TUTORIALS = sorted((ROOT / "docs/tutorials").glob("*.md"))


def kept(path: Path) -> list[dict[str, str]]:
    found = ROOT / "results/tutorials" / f"{path.stem}.json"
    return json.loads(found.read_text(encoding="utf-8"))["said"]


def lacking(shown: str, printed: str) -> list[str]:
    """The shown lines that were not printed in this order; `...` stands for any."""
    left = iter(printed.splitlines())
    return [
        line for line in shown.splitlines()
        if line.strip() not in ("", "...") and line.rstrip() not in left
    ]  # fmt: skip


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.name)
def test_commands_and_output_are_those_of_the_transcript(path: Path) -> None:
    found = list(blocks(path.read_text(encoding="utf-8")))
    said = kept(path)
    commands = [block.text.strip() for block in found if block.language == "sh"]
    assert commands == [step["command"] for step in said]
    outputs = iter(said)
    step = {"output": ""}
    for block in found:
        if block.language == "sh":
            step = next(outputs)
        if block.language == "text":
            assert lacking(block.text, step["output"]) == []


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.name)
def test_every_tutorial_shows_output_and_code_that_runs(path: Path) -> None:
    languages = [block.language for block in blocks(path.read_text(encoding="utf-8"))]
    assert languages.count("text") >= 3
    assert ">>> " in path.read_text(encoding="utf-8")


def test_a_line_that_was_not_printed_is_found() -> None:
    assert lacking("a\n...\nc\n", "a\nb\nc") == []
    assert lacking("c\na\n", "a\nb\nc") == ["a"]


def test_commands_run_in_a_folder_with_the_pages_files(tmp_path: Path) -> None:
    page = "```python\n# my.py\nprint(6)\n```\n```sh\npython3 my.py\n```\n```sh\nls\n```\n"
    said = transcript.transcript(page, tmp_path)
    assert [step["output"] for step in said] == ["6", "my.py"]
    assert list(blocks(page))[1] == Block("sh", "python3 my.py\n")


def test_examples_of_the_tool() -> None:
    done = doctest.testmod(transcript)
    assert done.attempted
    assert not done.failed
