"""What a compression gives back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from maxprune.data.samples import Samples, Splits
from maxprune.errors import AuditError, StructureError, UsageError
from maxprune.lineage import lineage
from maxprune.plan import Plan
from maxprune.results import Results, Step, Trial
from maxprune.store import export_onnx, save


@dataclass(frozen=True)
class Compressed:
    """The network that was found, how, and ways to write it down.

    Attributes:
        model: the smallest network that was taken, in evaluation mode.
        results: the baseline and every step on the way to it, on the test set, and the search.
        models: the network of every one of these steps by its name, "unpruned" for the first.
        data: what it was trained, judged and tested on.
    """

    model: nn.Module
    results: Results
    models: dict[str, nn.Module]
    data: Splits

    @property
    def plans(self) -> tuple[Plan, ...]:
        """Everything that was applied to the network since it was built, in order."""
        return lineage(self.model).plans

    @property
    def steps(self) -> list[Step]:
        """The steps on the way to the network, measured on the test set."""
        return self.results.steps

    @property
    def trials(self) -> list[Trial]:
        """Everything that was tried, judged on validation data."""
        search = self.results.details.search
        return [] if search is None else search.trials

    def save(self, folder: str | Path) -> Path:
        """Save the network as `maxprune.save` does, with its last step beside it."""
        about = {"step": self.steps[-1].model_dump(mode="json")} if self.steps else {}
        return save(self.model, folder, about)

    def export_onnx(self, path: str | Path) -> Path:
        """Write the network as one ONNX file, checked on real inputs."""
        return export_onnx(self.model, path, some_inputs(self.data.test or self.data.validation))

    def write_report(self, path: str | Path) -> None:
        """Write the page with tables and plots: one file that opens offline."""
        _write_page(self.results, Path(path))

    def write(self, folder: str | Path) -> None:
        """Write results.json, report.html, the saved model and the ONNX file into a folder.

        A network that cannot be exported is no reason to lose the rest: a note says why.

        Raises:
            OutputError: something cannot be written.
        """
        folder = Path(folder)
        self.save(folder / "model")
        results = self.results
        try:
            self.export_onnx(folder / "model.onnx")
        except (StructureError, AuditError, UsageError) as error:
            (folder / "model.onnx").unlink(missing_ok=True)
            notes = [*results.details.notes, f"There is no ONNX file: {error}."]
            details = results.details.model_copy(update={"notes": notes})
            results = results.model_copy(update={"details": details})
        results.write(folder / "results.json")
        _write_page(results, folder / "report.html")


def _write_page(results: Results, path: Path) -> None:
    from maxprune.report import write_page  # matplotlib is slow to import

    write_page(results, path)


def some_inputs(samples: Samples, count: int = 16) -> Tensor:
    """The first inputs, at least two where there are as many."""
    found: list[Tensor] = []
    for x, _ in samples.batches(count):
        found.append(x)
        if sum(map(len, found)) >= count:
            break
    return torch.cat(found)[:count]
