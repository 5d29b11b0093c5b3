"""The page of results says of every file what the file says of itself."""

import json
import re
from pathlib import Path

import result_pages
from result_pages import measured_page, pictures

ROOT = Path(__file__).parents[2]


def written(path: Path, **content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def test_every_folder_and_every_study_is_there() -> None:
    page = measured_page(ROOT / "results")
    for folder in (ROOT / "results").iterdir():
        assert f"\n## {folder.name}\n" in page
    for path in (ROOT / "results").rglob("*.json"):
        found = json.loads(path.read_text())
        if "command" in found and path.name != "run.json":
            study = re.sub(r" --(out \S+|resume)", "", found["command"]).split()
            assert " ".join(study[:3]) in re.sub(r"</?span[^>]*>", "", page)
    for path in (ROOT / "results").rglob("*.svg"):
        assert f"measured/{path.relative_to(ROOT / 'results')}" in pictures(ROOT / "results")


def test_no_path_of_a_machine_is_shown() -> None:
    assert not re.search(r"[\s>`](/\w+){2,}", measured_page(ROOT / "results"))


def test_what_a_file_says_of_itself_is_shown(tmp_path: Path) -> None:
    where = {"device": "a chip", "threads": "2", "torch": "2.9"}
    for seed in range(3):
        details = {
            "command": f"maxprune study --seeds {seed + 1} --out /some/where --resume",
            "environment": where,
        }
        written(tmp_path / f"mine/seed{seed}/results.json", study="mine", details=details)
    written(tmp_path / "mine/run.json", study="not a result")
    page = measured_page(tmp_path)
    (row,) = (line for line in page.splitlines() if "seed0" in line)
    assert "`seed0/results.json`<br>...<br>`seed2/results.json`" in row
    assert re.sub(r"<[^>]*>", "", row).endswith(
        "| mine | maxprune study --seeds 3 | a chip, 2 threads, torch 2.9 |"
    )
    assert "not a result" not in page


def test_tables_and_plots_are_shown(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/table.txt").write_text("a  b\n1  2\n")
    (tmp_path / "mine/plot.svg").write_text("<svg/>")
    page = measured_page(tmp_path)
    assert '??? note "table.txt"\n\n    ```text\n    a  b\n    1  2\n    ```' in page
    assert "![plot](measured/mine/plot.svg)" in page
    assert result_pages.pictures(tmp_path) == {"measured/mine/plot.svg": "<svg/>"}


def test_files_of_other_kinds_are_named(tmp_path: Path) -> None:
    written(tmp_path / "mine/of-no-script.json", benchmark="of-no-script", environment={})
    (tmp_path / "mine/list.json").write_text("[1]")
    page = measured_page(tmp_path)
    assert "| `list.json` |  |  |  |" in page
    assert "| `of-no-script.json` | of-no-script |  |  |" in page
