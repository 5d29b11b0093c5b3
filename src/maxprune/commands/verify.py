"""`maxprune verify` and `maxprune faces`: are these the same person, and who is it?

Nothing here imports torch.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from maxprune.commands.shared import AsJson, takes
from maxprune.errors import UsageError
from maxprune.plural import plural

if TYPE_CHECKING:
    from maxprune.verify import Described, Verifier

Picture = Annotated[Path, typer.Argument(help="A picture of one face.", show_default=False)]


@dataclass(frozen=True)
class Describing:
    """Which verifier describes faces, and how it finds them."""

    model: Annotated[
        Path,
        typer.Option(
            help="Folder of a verifier, for example maxprune-faces/verifier.", show_default=False
        ),
    ]
    detector: Annotated[
        Literal["viola-jones", "none"],
        typer.Option(help="How the face is found; none where a picture shows nothing but a face."),
    ] = "viola-jones"
    face: Annotated[
        Literal["only", "largest"],
        typer.Option(
            help="Of several faces in a picture: only refuses them, largest takes that one."
        ),
    ] = "only"

    def opened(self) -> Verifier:
        """The verifier."""
        from maxprune.verify import Verifier

        return Verifier(self.model, self.detector, self.face)


@dataclass(frozen=True)
class Deciding(Describing):
    """And at which distance two faces are those of one person."""

    far: Annotated[
        float | None,
        typer.Option(
            help="Largest share of different people to be accepted, in percent. Default: where as "
            "many are accepted wrongly as rejected wrongly.",
            show_default=False,
        ),
    ] = None

    def opened(self) -> Verifier:
        """The verifier with the threshold that was asked for."""
        verifier = super().opened()
        if self.far is not None:
            if not 0 < self.far < 100:
                raise UsageError(f"--far is a percentage between 0 and 100, not {self.far:g}")
            verifier.at_far(self.far / 100)
        return verifier


File = Annotated[Path, typer.Option(help="The gallery's file.", show_default=False)]

faces_app = typer.Typer(
    help="A small gallery of people in one file: enroll them, then ask who a picture shows.",
    invoke_without_command=True,
    rich_markup_mode=None,
)


@faces_app.callback()
def _root(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit


@takes(Deciding)
def verify_command(
    deciding: Deciding, first: Picture, second: Picture, as_json: AsJson = False
) -> None:
    """Do two pictures show the same person?

    Finds the face in each, prints the distance of their descriptors, the threshold, and how often
    that threshold errs, as it was measured on pairs that nothing was chosen on.
    """
    verifier = deciding.opened()
    found = verifier.verify(first, second)
    if as_json:
        about = {
            "same": found.same, "distance": found.distance, "threshold": found.threshold,
            "far": found.far, "frr": found.frr, "tested": verifier.about.tested,
            "faces": [_face(one) for one in found.faces],
        }  # fmt: skip
        print(json.dumps(about, indent=1))
        return
    print("same person" if found.same else "different people")
    sign = "<=" if found.same else ">"
    print(f"distance {found.distance:.4f} {sign} threshold {found.threshold:.4f}")
    print(_errors(verifier))
    for one in found.faces:
        if one.box is not None:
            print(f"{one.file}: face of {one.box} pixels")


@faces_app.command("enroll")
@takes(Describing)
def enroll_command(
    describing: Describing,
    person: Annotated[str, typer.Argument(help="The person's name.", show_default=False)],
    pictures: Annotated[
        list[Path], typer.Argument(help="Pictures of that person alone.", show_default=False)
    ],
    gallery: File,
) -> None:
    """Add a person to a gallery; makes the file if it is not there.

    All pictures are added, or none.
    """
    from maxprune.verify import Gallery

    verifier = describing.opened()
    there = gallery.exists()
    known = Gallery.read(gallery, verifier) if there else Gallery(verifier.about.checksum())
    for picture in pictures:
        known.enroll(person, verifier.describe(picture))
    known.write(gallery)
    own = plural(sum(one == person for one in known.people), "picture")
    everybody = plural(len(set(known.people)), "person", "people")
    print(f"{person}: {own}; {gallery} knows {everybody}")


@faces_app.command("identify")
@takes(Deciding)
def identify_command(
    deciding: Deciding,
    picture: Picture,
    gallery: File,
    top: Annotated[int, typer.Option(min=1, help="People to name, the nearest first.")] = 3,
    as_json: AsJson = False,
) -> None:
    """Who of a gallery is it, if anybody?

    The nearest person within the threshold. The rate of false acceptance is told for one pair:
    with n people in the gallery a stranger is taken for somebody up to n times as often.
    """
    from maxprune.verify import Gallery

    verifier = deciding.opened()
    known = Gallery.read(gallery, verifier)
    described = verifier.describe(picture)
    matches = known.identify(described, verifier)[:top]
    person = matches[0].person if matches[0].distance <= verifier.threshold else None
    if as_json:
        about = {
            "person": person, "threshold": verifier.threshold,
            "matches": [{"person": m.person, "distance": m.distance} for m in matches],
            "face": _face(described),
        }  # fmt: skip
        print(json.dumps(about, indent=1))
        return
    print(person or "nobody in the gallery")
    for match in matches:
        sign = "<=" if match.distance <= verifier.threshold else ">"
        print(f"  {match.person}: distance {match.distance:.4f} {sign} {verifier.threshold:.4f}")
    print(_errors(verifier))


def _errors(verifier: Verifier) -> str:
    far, frr = verifier.rates.at(verifier.threshold)
    return (
        f"at this threshold {100 * far:.2f}% of different people are accepted (FAR) and "
        f"{100 * frr:.2f}% of the same person rejected (FRR), measured on {verifier.about.tested}"
    )


def _face(one: Described) -> dict[str, Any]:
    box = None if one.box is None else [one.box.left, one.box.top, one.box.side]
    return {"file": one.file, "box": box}
