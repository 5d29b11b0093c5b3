"""Write a verifier: a network for faces as an ONNX file, with its threshold and error rates.

`maxprune.verify` opens it, without torch.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from maxprune.coding.onnx import decode_weights
from maxprune.errors import UsageError
from maxprune.files import write_bytes, write_json
from maxprune.measure.verification import roc
from maxprune.modes import copied
from maxprune.sessions import open_session
from maxprune.store.coded import is_coded
from maxprune.store.detached import detached
from maxprune.store.onnx import exported
from maxprune.store.same import check_same
from maxprune.verify.verifier import ABOUT, NETWORK, WEIGHTS, About


def save_verifier(
    network: nn.Module,
    folder: str | Path,
    faces: UInt8[Tensor, "n channels size size"],
    tested: tuple[Tensor, Tensor],
    held: tuple[Tensor, Tensor],
    margin: float,
    what: str,
    about: dict[str, Any] | None = None,
    distance: Literal["bray-curtis", "hellinger", "euclidean"] = "bray-curtis",
) -> Path:
    """Write a verifier into a folder.

    Its threshold is where FAR and FRR are equal for the pairs that were held out.

    Args:
        network: gives a descriptor for each face in [0, 1]; see `networks.descriptor_network`. If
            its weights share values (`code_network`), they are kept in a coded file.
        folder: made if it is not there; a verifier in it is replaced.
        faces: some real ones, by which the ONNX file is checked.
        tested: distances of the pairs that the error rates are told of, and whether
            each is of one person.
        held: the same of other pairs, on which thresholds are chosen.
        margin: side of the square that a face is cut out by, times the side of a detector's box.
        what: the tested pairs are, in words.
        about: what should stand beside it.
        distance: of which kind all distances are.

    Raises:
        UsageError: the faces are not square, or a set of pairs is of one sort.
        StructureError, AuditError: the network cannot be exported.
        OutputError: something cannot be written.
    """
    channels, height, width = faces.shape[1:]
    if height != width:
        raise UsageError(f"faces are square, not {width}x{height}")
    folder = Path(folder)
    threshold = roc(*held).eer_threshold
    parts = _parts(network, faces.float() / 255)
    record = About(
        format=2 if WEIGHTS in parts else 1, sha256=_checksum(parts[NETWORK]),
        weights=_checksum(parts[WEIGHTS]) if WEIGHTS in parts else "",
        channels=1 if channels == 1 else 3,
        size=height, margin=margin, threshold=threshold, tested=what,
        same=_sorted(tested, True), different=_sorted(tested, False),
        held_same=_sorted(held, True), held_different=_sorted(held, False), about=about or {},
        distance=distance,
    )  # fmt: skip
    for name, content in parts.items():
        write_bytes(folder / name, content)
    if WEIGHTS not in parts:
        (folder / WEIGHTS).unlink(missing_ok=True)  # of the one that is replaced
    about_it = record.model_dump(mode="json")
    if record.format == 1:
        del about_it["weights"]
    write_json(folder / ABOUT, about_it)
    return folder


def _parts(network: nn.Module, x: Tensor) -> dict[str, bytes]:
    """The ONNX file; where the network shares values, without its weights, and these coded."""
    content = exported(network, x)
    if not is_coded(network):
        return {NETWORK: content}
    content, weights = detached(content, network)
    session = open_session(content, NETWORK, threads=1, weights=decode_weights(weights))

    def run(faces: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {"input": faces.numpy()})[0])

    check_same(copied(network).cpu().eval(), run, x, "the coded verifier's")
    return {NETWORK: content, WEIGHTS: weights}


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _sorted(pairs: tuple[Tensor, Tensor], same: bool) -> list[float]:
    """The distances of one sort, with six digits behind the point."""
    distances, answers = pairs
    chosen = distances[answers == same].double().sort().values
    return [round(float(value), 6) for value in chosen]
