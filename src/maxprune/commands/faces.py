"""`maxprune reproduce faces`: face verification on LFW with a network that trains here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from maxprune.commands.face_tables import present
from maxprune.commands.shared import AsJson, Out, command_line, takes, tell_if_new, terminal
from maxprune.commands.studied import do_all
from maxprune.errors import UsageError
from maxprune.files import read_json
from maxprune.plural import plural

if TYPE_CHECKING:
    from maxprune.studies.faces import FaceStudy
    from maxprune.train.config import Precision
    from maxprune.verification_results import FaceCell

FOLDS = 10
ON_CPU = (8, 9, 10)
QUICK: dict[str, Any] = {
    "epochs": 12.0, "retrain_epochs": 2.0, "weight_epochs": 1.0, "shares": (0.5, 0.9),
}  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """Which folds and networks, how they are trained, and where the results are kept."""

    fold: Annotated[
        list[int] | None,
        typer.Option(
            help="Fold of View 2 that is tested, 1 to 10; may be repeated. "
            "Default: 8, 9 and 10 on a CPU, all on CUDA.",
            show_default=False,
        ),
    ] = None
    network: Annotated[
        list[str] | None,
        typer.Option(
            help="mfc or mc: a maxout behind the first hidden layer or the last convolution; "
            "mfc-pls or mc-pls: the same layer, cut by PLS-VIP of pairs. May be repeated. "
            "Default: all.",
            show_default=False,
        ),
    ] = None
    epochs: Annotated[
        float | None, typer.Option(help="Of the first training. Default: 60.", show_default=False)
    ] = None
    retrain_epochs: Annotated[
        float | None,
        typer.Option(
            help="With the maxout, and after each cut of neurons. Default: 8.", show_default=False
        ),
    ] = None
    weight_epochs: Annotated[
        float | None,
        typer.Option(help="After each share of weights. Default: 2.", show_default=False),
    ] = None
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="Fold 10 alone, 12, 2 and 1 epochs, two shares of weights: to see how it goes.",
        ),
    ] = False
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"],
        typer.Option(help="In which training computes; auto takes the faster by the clock."),
    ] = "auto"
    seed: Annotated[
        int, typer.Option(min=0, help="Of weights, order, augmentation and people held out.")
    ] = 0
    jobs: Annotated[
        int, typer.Option(min=0, help="Processes side by side, one thread each; 0: one a core.")
    ] = 0
    data: Annotated[
        Path | None, typer.Option(help="Folder that has lfw/. Default: $MAXPRUNE_DATA.")
    ] = None
    out: Out = Path("maxprune-faces")
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run in --out.")] = False

    def study(self) -> FaceStudy:
        """The settings of the study, checked; the faster precision is measured."""
        from maxprune.studies.faces import WAYS, FaceStudy

        settings = dict(QUICK) if self.quick else {}
        for name in ("epochs", "retrain_epochs", "weight_epochs"):
            if getattr(self, name) is not None:
                settings[name] = getattr(self, name)
        found = FaceStudy(
            folds=self._folds(), ways=tuple(self.network or WAYS), seed=self.seed, **settings
        )
        found.check()
        return found.with_precision(self._precision(found))

    def _folds(self) -> tuple[int, ...]:
        """From 0, as the library counts them."""
        from maxprune.modes import best_device

        usual = range(1, FOLDS + 1) if best_device().type == "cuda" else ON_CPU
        chosen = self.fold or ([FOLDS] if self.quick else usual)
        for one in chosen:
            if not 1 <= one <= FOLDS:
                raise UsageError(f"--fold is 1 to {FOLDS}, not {one}")
        return tuple(one - 1 for one in dict.fromkeys(chosen))

    def _precision(self, study: FaceStudy) -> Precision:
        """The one that was asked for, or that of the run in the folder, or the faster one."""
        if self.precision != "auto":
            return self.precision
        mark = self.out / "run.json"
        found = read_json(mark) if mark.exists() else None
        for precision in ("float32", "bfloat16"):
            if isinstance(found, dict) and found.get("precision") == precision:
                return precision
        from maxprune.studies.faces import faster_precision

        return faster_precision(study, self.data)


@takes(Asked)
def faces_command(asked: Asked, as_json: AsJson = False) -> None:
    """Are two faces those of one person? The paper's Tables 3 and 4 with a small network on LFW.

    In each fold of View 2 a VGG-like network (64x64 grey, four blocks, two hidden layers of 512)
    is trained on people who are not in that fold. Then it gets a maxout of k = 4, loses three of
    four neurons, and then weights; it is retrained after each step, and a discriminant of two of
    its layers, which gives the descriptors, is fitted anew. Thresholds, and which share of weights
    costs nothing, are chosen on people held out. The smallest network that costs nothing is coded
    in 5 bits, for `maxprune verify`. Needs lfw-deepfunneled.tgz and pairs.txt in the folder lfw/.
    """
    from maxprune.runs.workspace import claimed
    from maxprune.studies.faces import (
        best_free,
        coding_pieces,
        largest_free_share,
        pieces,
        read_table,
    )

    study = asked.study()
    work = pieces(study, asked.data)
    tell_if_new(asked.out, asked.resume)
    identity = {"study": "faces", "command": command_line(), **study.identity()}
    with claimed(asked.out, identity, asked.resume):
        do_all(work, asked.out, asked.jobs, plural(len(work), "network"))
        cells = read_table(work, asked.out)
        taken = best_free(cells)
        coding = coding_pieces(work, taken)
        do_all(coding, asked.out, asked.jobs, f"{plural(len(coding), 'network')} coded")
        last = coding[-1]
        last.write_verifier(asked.out / last.name, asked.out / "verifier")
    free = [largest_free_share([c for c in cells if c.network == way]) for way in study.ways]
    notes = [*study.notes(), *(_free(cell) for cell in free if cell is not None)]
    cells = read_table(work, asked.out, [piece.name for piece in coding])
    notes += [_coded(cell) for cell in cells if cell.bits is not None]
    title = "faces: face verification on LFW, View 2"
    present(cells, title, asked.out / "faces", notes, as_json, settings=study.identity())
    if not as_json:
        terminal().print(
            f"The smallest network that costs nothing ({taken.network}, {taken.step}): "
            f"maxprune verify A.jpg B.jpg --model {asked.out / 'verifier'}",
            soft_wrap=True,
        )


def _coded(cell: FaceCell) -> str:
    from maxprune.report.words import equals

    return (
        f"The network to take away ({cell.network}, {cell.step}) is a coded file of "
        f"{cell.bytes:,} bytes, mean over the folds; its EER on the tested pairs is "
        f"{cell.mean:.2f}% ({equals(cell.p_value)} against the network without maxout)."
    )


def _free(cell: FaceCell) -> str:
    from maxprune.report.words import equals

    return (
        f"{cell.network}: {100 * cell.zeroed:.0f}% of the weights can be zero without a "
        f"significant loss for the people held out; on the tested pairs the EER is then "
        f"{cell.mean:.2f}% ({equals(cell.p_value)} against the network without maxout)."
    )
