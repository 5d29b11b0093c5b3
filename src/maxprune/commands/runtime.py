"""`maxprune reproduce runtime`: what removed neurons and zeros bring while a network runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from maxprune.commands.shared import AsJson, command_line, names, takes, tell_if_new, terminal
from maxprune.commands.timing_options import Timed
from maxprune.errors import UsageError
from maxprune.files import write_json, write_text


@dataclass(frozen=True, kw_only=True)
class Asked(Timed):
    """The options of the command."""

    network: Annotated[
        list[str] | None,
        typer.Option(
            help="lenet, vgg16-fc (its linear layers alone), vgg16; may be repeated. Default: all. "
            "vgg16 needs 16 GiB of memory and 8 on disk.",
            show_default=False,
        ),
    ] = None
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("maxprune-runtime")
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run in --out.")] = False


@takes(Asked, engine=["torch", "onnx", "sparse"])
def runtime_command(asked: Asked, as_json: AsJson = False) -> None:
    """Measure whether fewer neurons, or zeros, make a network faster (sections 1 and 6).

    LeNet-5 with F = 512 and VGG16 at full size, with random weights: without maxout, at k = 4 to
    1, then with 50 to 98% of the parameters at zero, dense and as compressed sparse rows: file,
    memory and time, all networks in turns. Writes runtime.json, .txt and .svg.
    """
    from maxprune.report.claim import claim_parts, claim_plot
    from maxprune.report.plain import as_text
    from maxprune.report.progress import Steps
    from maxprune.studies.runtime import SUBJECTS, measure

    chosen = names("network", asked.network) or tuple(SUBJECTS)
    unknown = [name for name in chosen if name not in SUBJECTS]
    if unknown:
        raise UsageError(f"--network is {', '.join(SUBJECTS)}, not {unknown[0]!r}")
    settings, out = asked.settings(), asked.out
    if "torch" not in settings.engines:
        raise UsageError("--engine has torch in it: the others are compared with it")
    identity = {"study": "runtime", "settings": settings.model_dump(mode="json")}
    tell_if_new(out, asked.resume)
    with Steps(terminal(stderr=True), None, "runtime", "step") as steps:
        found = measure(
            chosen, settings, out, identity, asked.resume,
            lambda name, what, done, total: steps.report(f"{name}: {what}", done, total),
        )  # fmt: skip
    records = [one.model_dump(mode="json") for one in found]
    about = {"format": 1, "study": "runtime", "command": command_line(), "records": records}
    write_json(out / "runtime.json", about)
    write_text(out / "runtime.svg", claim_plot(found))
    write_text(out / "runtime.txt", as_text(*claim_parts(found, whole=True)))
    if as_json:
        typer.echo(json.dumps(records, indent=1))
        return
    console = terminal()
    for part in claim_parts(found):
        console.print(part)
    console.print(f"\nWritten: {out / 'runtime'}.json, .txt and .svg", soft_wrap=True)
