"""The paper's claim, tested: removed neurons make a network faster, zeros alone do not.

Moya Rueda, Grzeszick, Fink 2017, sections 1 and 6: a network with fewer neurons is smaller and
faster wherever it runs, one with single weights at zero only in a library for sparse matrices. Here
both are timed: LeNet-5 and VGG16 at full size, at k = 4 to 1, then with 50 to 98% of what is left
at zero, dense and as compressed sparse rows. Weights are random: what they are costs no time.
"""

from __future__ import annotations

import tempfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from maxprune.compression.winning import without_last
from maxprune.data.order import sow
from maxprune.errors import StoreError
from maxprune.files import read_json, write_json
from maxprune.lineage import factory
from maxprune.networks import lenet5, vgg_face
from maxprune.networks.initial import he_normal
from maxprune.plan import maxout_plan
from maxprune.records import Checked
from maxprune.runs.workspace import claimed
from maxprune.runtime import Bench, Benched, bench
from maxprune.runtime.engines import Source
from maxprune.runtime.side_by_side import Told
from maxprune.store import save
from maxprune.surgery import apply
from maxprune.weights import zero_plan

START = "no maxout"
K = 4


@dataclass(frozen=True)
class Subject:
    """A network whose running is measured.

    Args:
        title: in tables and plots.
        build: makes it, with random weights.
        layer: behind which the maxout stands.
        shape: of one input.
        batches: samples in a forward pass.
        shares: of the parameters at k = 1 that are zero.
    """

    title: str
    build: Callable[[], nn.Module]
    layer: str
    shape: tuple[int, ...]
    batches: tuple[int, ...]
    shares: tuple[float, ...]

    def variants(self) -> Iterator[tuple[str, nn.Module]]:
        """Each network by its name: without maxout, k = 4 to 1, then with zeros."""
        model = self.build()
        yield START, model
        model = apply(model, maxout_plan(self.layer, K))
        for k in range(K, 0, -1):
            yield f"k = {k}", model
            if k > 1:
                model = without_last(model, self.layer)
        for share in self.shares:
            yield f"{100 * share:g}% zero", apply(model, zero_plan(model, share))


@factory
def linear_of_vgg16() -> nn.Sequential:
    """The linear layers of VGG16 alone: 512 maps of 7x7 in, 2,622 identities out.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     sum(p.numel() for p in linear_of_vgg16().parameters())
        130288190
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    layers |= {"fc6": nn.Linear(512 * 7 * 7, 4096), "relu6": nn.ReLU()}
    layers |= {"fc7": nn.Linear(4096, 4096), "relu7": nn.ReLU(), "fc8": nn.Linear(4096, 2622)}
    return nn.Sequential(layers).apply(he_normal)


SUBJECTS: dict[str, Subject] = {
    "lenet": Subject(
        "LeNet-5, F = 512", partial(lenet5, fc=512), "fc1", (1, 28, 28), (1, 64),
        (0.5, 0.7, 0.8, 0.9, 0.95, 0.98),
    ),
    "vgg16-fc": Subject(
        "VGG16, fc6 to fc8", linear_of_vgg16, "fc6", (512, 7, 7), (1, 64),
        (0.5, 0.7, 0.8, 0.9, 0.95, 0.98),
    ),
    "vgg16": Subject("VGG16", vgg_face, "fc6", (3, 224, 224), (1,), (0.5, 0.9, 0.98)),
}  # fmt: skip
"""fc6 to fc8 alone, too: the maxout stands there, and the convolutions take most of the time."""


class Measured(Checked):
    """One subject, and what was measured.

    Args:
        subject: its name in `SUBJECTS`.
        found: of its networks, side by side.
    """

    subject: str
    found: Benched

    def file_ratio(self, name: str = "k = 1") -> tuple[float, float]:
        """So many times as small as the network at the start: its file, and its parameters."""
        first, other = self.found.networks[0], self.found.sized(name)
        files = {t.network: t.file for t in self.found.timings if t.engine == "torch"}
        return files[first.name] / files[name], (first.parameters or 0) / (other.parameters or 1)


def measure(
    names: Sequence[str], settings: Bench, folder: Path, identity: dict[str, Any],
    resume: bool = False, tell: Callable[[str, str, int, int], None] = lambda *_: None,
) -> list[Measured]:  # fmt: skip
    """Measure subjects one after the other; each is kept as soon as it is measured.

    Args:
        names: of the subjects.
        settings: how; each subject has batches of its own.
        folder: for what was measured.
        identity: what makes this run this run.
        resume: go on where an earlier run in the folder was.
        tell: told (subject, "opened", "machine measured" or "measured", steps done, steps in all).

    Raises:
        OutputError: the folder holds something else, or cannot be written.
    """
    found = []
    with claimed(folder, identity, resume):
        for name in names:
            place = folder / f"{name}.json"
            kept = _kept(place)
            if kept is None:
                kept = _measured(name, settings, partial(tell, name))
                write_json(place, kept.model_dump(mode="json"))
            found.append(kept)
    return found


def _kept(place: Path) -> Measured | None:
    """What an earlier run measured; None where it did not, or it is damaged."""
    try:
        return Measured(**read_json(place))
    except (StoreError, TypeError, ValueError):
        return None


def _measured(name: str, settings: Bench, tell: Told) -> Measured:
    subject = SUBJECTS[name]
    sow(0)
    with tempfile.TemporaryDirectory(prefix="maxprune-") as folder:
        sources = {}
        for number, (title, model) in enumerate(subject.variants()):
            sources[title] = Source(title, str(save(model, Path(folder) / f"{number}")))
        own = settings.model_copy(update={"batches": subject.batches})
        return Measured(
            subject=name, found=bench(sources, subject.shape, own, tell=tell)
        )  # fmt: skip
