"""`maxprune verify` and `maxprune faces`: are these the same person, and who is it?

Nothing here imports torch.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from maxprune.errors import UsageError

if TYPE_CHECKING:
    from maxprune.verify import Described, Verifier

Picture = Annotated[Path, typer.Argument(help="A picture of one face.", show_default=False)]
Model = Annotated[
    Path,
    typer.Option(
        help="Folder of a verifier, for example maxprune-faces/verifier.", show_default=False
    ),
]
Detect = Annotated[
    Literal["viola-jones", "none"],
    typer.Option(help="How the face is found; none where a picture shows nothing but a face."),
]
Face = Annotated[
    Literal["only", "largest"],
    typer.Option(help="Of several faces in a picture: only refuses them, largest takes that one."),
]
Far = Annotated[
    float | None,
    typer.Option(
        help="Largest share of different people to be accepted, in percent. Default: where as many "
        "are accepted wrongly as rejected wrongly.",
        show_default=False,
    ),
]
File = Annotated[Path, typer.Option(help="The gallery's file.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

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


def verify_command(
    first: Picture,
    second: Picture,
    model: Model,
    detector: Detect = "viola-jones",
    face: Face = "only",
    far: Far = None,
    as_json: Json = False,
) -> None:
    """Do two pictures show the same person?

    Finds the face in each, prints the distance of their descriptors, the threshold, and how often
    that threshold errs, as it was measured on pairs that nothing was chosen on.
    """
    verifier = _opened(model, detector, face, far)
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
def enroll_command(
    person: Annotated[str, typer.Argument(help="The person's name.", show_default=False)],
    pictures: Annotated[
        list[Path], typer.Argument(help="Pictures of that person alone.", show_default=False)
    ],
    gallery: File,
    model: Model,
    detector: Detect = "viola-jones",
    face: Face = "only",
) -> None:
    """Add a person to a gallery; makes the file if it is not there.

    All pictures are added, or none.
    """
    from maxprune.verify import Gallery

    verifier = _opened(model, detector, face, None)
    there = gallery.exists()
    known = Gallery.read(gallery, verifier) if there else Gallery(verifier.about.sha256)
    for picture in pictures:
        known.enroll(person, verifier.describe(picture))
    known.write(gallery)
    own = sum(one == person for one in known.people)
    everybody = len(set(known.people))
    print(
        f"{person}: {own} picture{'s' if own != 1 else ''}; {gallery} knows {everybody} "
        f"{'people' if everybody != 1 else 'person'}"
    )


@faces_app.command("identify")
def identify_command(
    picture: Picture,
    gallery: File,
    model: Model,
    detector: Detect = "viola-jones",
    face: Face = "only",
    far: Far = None,
    top: Annotated[int, typer.Option(min=1, help="People to name, the nearest first.")] = 3,
    as_json: Json = False,
) -> None:
    """Who of a gallery is it, if anybody?

    The nearest person within the threshold. The rate of false acceptance is told for one pair:
    with n people in the gallery a stranger is taken for somebody up to n times as often.
    """
    from maxprune.verify import Gallery

    verifier = _opened(model, detector, face, far)
    known = Gallery.read(gallery, verifier)
    described = verifier.describe(picture)
    matches = known.identify(described)[:top]
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


def _opened(
    model: Path, detector: Literal["viola-jones", "none"], face: Literal["only", "largest"],
    far: float | None,
) -> Verifier:  # fmt: skip
    from maxprune.verify import Verifier

    verifier = Verifier(model, detector, face)
    if far is not None:
        if not 0 < far < 100:
            raise UsageError(f"--far is a percentage between 0 and 100, not {far:g}")
        verifier.at_far(far / 100)
    return verifier


def _errors(verifier: Verifier) -> str:
    far, frr = verifier.rates.at(verifier.threshold)
    return (
        f"at this threshold {100 * far:.2f}% of different people are accepted (FAR) and "
        f"{100 * frr:.2f}% of the same person rejected (FRR), measured on {verifier.about.tested}"
    )


def _face(one: Described) -> dict[str, Any]:
    box = None if one.box is None else [one.box.left, one.box.top, one.box.side]
    return {"file": one.file, "box": box}
