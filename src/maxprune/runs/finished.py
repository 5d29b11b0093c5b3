"""A run at its end: the last network, what was measured, and ways to write both down."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from maxprune.data.samples import Samples, first_inputs
from maxprune.errors import AuditError, Remark, StructureError, UsageError
from maxprune.files import write_bytes
from maxprune.results import Results
from maxprune.store import export_onnx, save
from maxprune.store.coded import SUFFIX, is_coded, save_coded
from maxprune.store.same import CHECKED

CODED = f"model{SUFFIX}"
INT8 = "model-int8.onnx"


@dataclass(frozen=True)
class Finished:
    """A run at its end.

    Attributes:
        model: the final network.
        results: every step, measured.
        models: every step's network by the step's name.
        samples: what the steps were measured on.
        int8: the ONNX file of the last step, where that brought the network to 8 bits; `model` is
            what it was made of.
    """

    model: nn.Module
    results: Results
    models: dict[str, nn.Module]
    samples: Samples
    int8: bytes | None = field(default=None, kw_only=True, repr=False)

    def save(self, folder: str | Path, factory: Callable[..., nn.Module] | None = None) -> Path:
        """Save the final network as `maxprune.save` does, with its last step beside it.

        Args:
            folder: where to.
            factory: a function without arguments that builds the network as it was before any
                cut, for one that is not under `maxprune.factory`.
        """
        steps = self.results.steps
        about = {"step": steps[-1].model_dump(mode="json")} if steps else {}
        return save(self.model, folder, about, factory, first_inputs(self.samples, CHECKED))

    def export_onnx(self, path: str | Path) -> Path:
        """Write the final network as one ONNX file, checked on real inputs."""
        return export_onnx(self.model, path, first_inputs(self.samples, CHECKED))

    def write_report(self, path: str | Path) -> None:
        """Write the page with tables and plots: one file that opens offline."""
        _write_page(self.results, Path(path))

    def write(self, folder: str | Path, factory: Callable[..., nn.Module] | None = None) -> Results:
        """Write results.json, report.html, the saved model and the ONNX file into a folder.

        And `model.mxp`, the coded file, where weights share values, and `model-int8.onnx` where
        the last step brought the network to 8 bits.
        A network that cannot be exported is no reason to lose the rest: notes say why.

        Args:
            folder: where to.
            factory: as in `save`.

        Returns:
            The results as they were written, with that note.

        Raises:
            OutputError: something cannot be written.
        """
        folder = Path(folder)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", Remark)
            self.save(folder / "model", factory)
        notes = [_sentence(str(one.message)) for one in said if one.category is Remark]
        coded = folder / CODED
        if is_coded(self.model):
            save_coded(self.model, coded, factory=factory)
        else:
            coded.unlink(missing_ok=True)  # of an earlier run
        if self.int8 is None:
            (folder / INT8).unlink(missing_ok=True)
        else:
            write_bytes(folder / INT8, self.int8)
        results = self.results
        try:
            self.export_onnx(folder / "model.onnx")
        except (StructureError, AuditError, UsageError) as error:
            (folder / "model.onnx").unlink(missing_ok=True)
            notes.append(f"There is no ONNX file: {error}.")
        if notes:
            notes = [*results.details.notes, *notes]
            details = results.details.model_copy(update={"notes": notes})
            results = results.model_copy(update={"details": details})
        results.write(folder / "results.json")
        _write_page(results, folder / "report.html")
        return results


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _write_page(results: Results, path: Path) -> None:
    from maxprune.report import write_page  # matplotlib is slow to import

    write_page(results, path)
