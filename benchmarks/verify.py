"""How long it takes to verify two faces, to score 6,000 pairs, and to describe many pictures.

The network is that of `maxprune reproduce faces` with three of four neurons of its first hidden
layer gone, a discriminant, 90% of its weights zero and 32 values for those of each layer, as it is
written for `maxprune verify`; the weights are random, which take as long as any others. With
--verifier the verifications are those of one that the study has written. The
pictures are those of LFW's View 2 (in MAXPRUNE_DATA/lfw, or --data). One thread. A verification is:
read two JPEG files of 250x250, find the face in each, describe both with ONNX Runtime, compare.

    python3 benchmarks/verify.py [--repeat 100] [--verifier DIR] [--data DIR] [--out FILE]
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import torch
from shared import options, show

from maxprune import share_plan, zero_plan
from maxprune.compression.winning import without_last
from maxprune.data.lfw import lfw, lfw_folder
from maxprune.data.lfw_files import in_archive
from maxprune.data.pairs import view2
from maxprune.errors import DataError
from maxprune.measure import (
    descriptors,
    fold_accuracies,
    pair_distances,
    parameters,
    roc,
)
from maxprune.networks import Discriminant, Mirrored, descriptor_network, vgg_face_small
from maxprune.plan import maxout_plan
from maxprune.runs.environment import environment
from maxprune.store.verifier import save_verifier
from maxprune.surgery import apply
from maxprune.verify import Verifier

COUNT = 2000  # pictures to describe
BATCH = 256
DIMENSIONS = 64  # of a descriptor, as in the study


def network() -> torch.nn.Module:
    """With 128 of 512 neurons left in fc1, few weights and few values; both sides of a face."""
    torch.manual_seed(0)
    model = apply(vgg_face_small(), maxout_plan("fc1", 4))
    for _ in range(3):
        model = without_last(model, "fc1")
    share = 0.9 * parameters(descriptor_network(model)) / parameters(model)
    model = apply(model, zero_plan(model, share)).eval()

    def untrained(network: torch.nn.Module) -> Discriminant:
        found = Discriminant(network(torch.zeros(1, 1, 64, 64)).shape[1], DIMENSIONS)
        weight = found.linear.weight
        weight.data *= torch.rand(weight.shape) < 0.1
        return found

    body = descriptor_network(model, untrained)
    return Mirrored(apply(body, share_plan(body, 5)))


def seconds(work: Callable[[], Any]) -> float:
    """How long it takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def verifications(verifier: Verifier, files: list[Path], repeat: int) -> dict[str, Any]:
    """Milliseconds of verifications of two files each, and how many found one face in both."""
    found, failed = [], 0
    verifier.verify(files[0], files[0])  # the first loads the cascade
    for first, second in zip(files[::2], files[1::2], strict=True):
        started = time.perf_counter()
        try:
            verifier.verify(first, second)
        except DataError:
            failed += 1
            continue
        found.append(1000 * (time.perf_counter() - started))
        if len(found) == repeat:
            break
    found.sort()
    return {
        "median_ms": statistics.median(found), "p90_ms": found[int(0.9 * len(found))],
        "verified": len(found), "no_or_several_faces": failed,
    }  # fmt: skip


def main() -> None:
    chosen = options(__doc__, ("verifier",), repeat=100)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    root = chosen.data
    faces = lfw(root)
    pairs, model = view2(faces, root), network()
    rows = torch.rand(len(faces), 512)
    answer: dict[str, Any] = {"benchmark": "verify", "parameters": parameters(model)}

    def score() -> None:
        distances = pair_distances(rows, pairs.places, "euclidean")
        roc(distances, pairs.same)
        fold_accuracies(distances, pairs.same, pairs.fold)

    score()
    scored = [seconds(score) for _ in range(5)]
    answer["score_6000_pairs_seconds"] = statistics.median(scored)
    some = faces.pixels[:COUNT]
    batches = [part.float() / 255 for part in some.split(BATCH)]

    def bare() -> None:
        with torch.inference_mode():
            for batch in batches:
                model(batch)

    def described() -> None:
        descriptors(model, "", (part.float() / 255 for part in some.split(BATCH)))

    bare()
    times = [(seconds(described), seconds(bare)) for _ in range(5)]
    ours, plain = (statistics.median(t) for t in zip(*times, strict=True))
    answer |= {"descriptors_per_second": COUNT / ours, "forward_pass_per_second": COUNT / plain}
    answer["ratio"] = plain / ours
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        tested = torch.rand(600), torch.arange(600) < 300
        held = torch.rand(4000), torch.arange(4000) < 1000
        written = chosen.verifier or save_verifier(
            model, place / "v", some[:16], tested, held, 1.1, "none", distance="euclidean"
        )
        files = []

        for name, number, file, _ in in_archive(lfw_folder(root) / "lfw-deepfunneled.tgz"):
            path = place / f"{name}_{number}.jpg"
            path.write_bytes(file if isinstance(file, bytes) else file.read())
            files.append(path)
            if len(files) == 4 * chosen.repeat:
                break
        answer["verifier"] = "of the study" if chosen.verifier else "with random weights"
        answer["verification"] = verifications(Verifier(written), files, chosen.repeat)
        answer["verifier_bytes"] = sum(f.stat().st_size for f in written.iterdir())
    answer["environment"] = environment(1)
    show(answer, chosen.out)


if __name__ == "__main__":
    main()
