"""Pieces of work side by side: which is begun when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from maxprune.errors import MaxpruneError
from maxprune.runs.parallel import run_all


@dataclass(frozen=True)
class Noted:
    """A piece that leaves a file, and fails where the one before it has left none."""

    name: str
    after: str = ""

    def length(self) -> int:
        return 1

    def is_done(self, folder: Path) -> bool:
        return (folder / "done").exists()

    def do(self, folder: Path, report: Callable[[int], None]) -> None:
        if self.after and not (folder.with_name(self.after) / "done").exists():
            raise MaxpruneError(f"{self.after} is not done")
        report(1)
        folder.mkdir()
        (folder / "done").touch()


def test_a_piece_waits_for_the_one_it_comes_after(tmp_path: Path) -> None:
    (tmp_path / "earlier").mkdir()
    (tmp_path / "earlier" / "done").touch()  # by an earlier run
    pieces = [
        Noted("earlier"), Noted("first", "earlier"), Noted("second", "first"), Noted("other")
    ]  # fmt: skip
    heard: list[str] = []
    run_all(pieces, tmp_path, 2, lambda piece, done: heard.append(piece.name))
    assert all(piece.is_done(tmp_path / piece.name) for piece in pieces)
    assert set(heard) == {piece.name for piece in pieces}
    assert heard.index("first") < heard.index("second")
