"""The table of the study: rates, their mean over folds, p-values, the published figures."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from maxprune.data.faces import Faces
from maxprune.data.images import Images
from maxprune.data.pairs import Pairs
from maxprune.errors import UsageError
from maxprune.measure import choose_threshold, percent, roc, verified
from maxprune.report.faces import faces_plot, faces_table
from maxprune.report.plain import as_text
from maxprune.studies.faces import face_table, largest_free_share
from maxprune.studies.faces.people import FoldData
from maxprune.verification_results import FaceCell, FaceRun, Pictured

COUNT = 200


def pairs() -> Pairs:
    same = torch.arange(COUNT) < COUNT // 2
    return Pairs(torch.zeros(COUNT, 2, dtype=torch.int64), same, torch.zeros(COUNT).long())


def fold() -> FoldData:
    faces = Faces(
        torch.zeros(1, 1, 1, 1, dtype=torch.uint8), ("A",), torch.zeros(1).long(),
        torch.ones(1).long(),
    )  # fmt: skip
    return FoldData(faces.pixels, Images(faces.pixels, faces.person, 1), pairs(), pairs())


def distances(seed: int, apart: float) -> Tensor:
    """The two sorts of pairs lie so many standard deviations apart."""
    noise = torch.randn(COUNT, generator=torch.Generator().manual_seed(seed))
    return noise + apart * (torch.arange(COUNT) >= COUNT // 2)


def pictured(name: str, seed: int, apart: float, zeros: float = 0.0) -> Pictured:
    return Pictured(
        name=name, k=1, parameters=100 if name == "no maxout" else 50,
        nonzero=100 if name == "no maxout" else round(50 * (1 - zeros)), macs=7,
        tested=distances(seed, apart).tolist(), held=distances(seed + 50, apart).tolist(),
    )  # fmt: skip


def runs(apart: dict[str, float], network: str = "mfc", folds: int = 2) -> list[FaceRun]:
    """The same steps in all folds, with other distances."""
    found = []
    for number in range(folds):
        steps = [
            pictured(name, 10 * number + i, far, 0.01 * int(name[8:-1]) if "%" in name else 0.0)
            for i, (name, far) in enumerate(apart.items())
        ]
        sizes = [100 * (i + 1 + number) for i in range(len(steps))]
        found.append(FaceRun(network=network, fold=number, steps=steps, sizes=sizes))
    return found


DATA = {0: fold(), 1: fold()}
APART = {"no maxout": 3.0, "maxout k=4": 3.0, "weights 10%": 3.0, "weights 98%": 0.5}


def test_the_figures_of_a_cell() -> None:
    cells = face_table(runs(APART), DATA)
    assert [cell.step for cell in cells] == list(APART)
    first = cells[0]
    eers = [100 * roc(distances(10 * i, 3.0), pairs().same).eer for i in range(2)]
    assert first.eers == pytest.approx(eers)
    assert first.mean == pytest.approx(sum(eers) / 2)
    assert first.standard_error == pytest.approx(abs(eers[0] - eers[1]) / 2)
    assert first.folds == [0, 1]
    assert (first.removed, first.zeroed, first.bytes) == (0, 0, 150)
    assert all(
        abs(right - (100 - eer)) < 8 for right, eer in zip(first.accuracies, eers, strict=True)
    )
    assert cells[1].removed == 0.5
    assert cells[2].zeroed == pytest.approx(0.1)


def test_published_figures_stand_beside_ours() -> None:
    by_step = {cell.step: cell.published for cell in face_table(runs(APART), DATA)}
    assert by_step == {
        "no maxout": 3.7, "maxout k=4": 3.33, "weights 10%": 2.9, "weights 98%": 50.0,
    }  # fmt: skip
    assert all(cell.published is None for cell in face_table(runs(APART, "mc-pls"), DATA))


def test_only_a_real_loss_is_significant() -> None:
    cells = face_table(runs(APART), DATA)
    assert cells[0].p_value == 1
    assert cells[1].p_value > 0.05
    assert cells[3].p_value < 0.001


def test_the_largest_share_that_costs_nothing() -> None:
    cells = face_table(runs(APART), DATA)
    free = largest_free_share(cells)
    assert free is not None
    assert free.step == "weights 10%"


def test_no_share_is_free_behind_one_that_is_not() -> None:
    apart = {"no maxout": 3.0, "weights 10%": 0.5, "weights 98%": 3.0}
    assert largest_free_share(face_table(runs(apart), DATA)) is None


def test_it_is_chosen_by_the_people_held_out() -> None:
    cells = face_table(runs(APART), DATA)
    other = [cell.model_copy(update={"p_value": 0.0, "mean": 50.0}) for cell in cells]
    free = largest_free_share([FaceCell.model_validate(cell.model_dump()) for cell in other])
    assert free is not None
    assert free.step == "weights 10%"


def test_a_step_that_a_fold_lacks_is_left_out() -> None:
    found = runs(APART)
    short = found[1].model_copy(update={"steps": found[1].steps[:2], "sizes": found[1].sizes[:2]})
    assert [cell.step for cell in face_table([found[0], short], DATA)] == list(APART)[:2]


def test_a_fold_that_is_missing() -> None:
    with pytest.raises(UsageError, match="mfc was not run in all folds"):
        face_table(runs(APART, folds=1), DATA)


def test_thresholds_are_chosen_on_as_many_pairs_of_each_sort() -> None:
    """Twice as many pairs of two people held out would make the threshold too strict."""
    data = fold()
    more = [distances(seed, 1.0)[COUNT // 2 :] for seed in (4, 5)]
    far = torch.cat([distances(3, 1.0), *more])
    same = torch.arange(2 * COUNT) < COUNT // 2
    uneven = replace(data, held=Pairs(torch.zeros(2 * COUNT, 2).long(), same, same.long()))
    (run,) = runs({"no maxout": 1.0}, folds=1)
    steps = [step.model_copy(update={"held": far.tolist()}) for step in run.steps]
    (cell,) = face_table([run.model_copy(update={"steps": steps})], {0: uneven})
    even = torch.cat([far[: COUNT // 2], far[COUNT // 2 : COUNT]])
    threshold = choose_threshold(even, pairs().same)
    expected = percent(verified(distances(0, 1.0), pairs().same, threshold))
    assert cell.accuracies == [pytest.approx(expected)]
    assert choose_threshold(far, same) < threshold


def test_a_coded_network_has_its_row_and_its_place_in_the_plot() -> None:
    cells = face_table(runs(APART), DATA)
    coded = cells[2].model_copy(update={"step": "10%, 5 bits", "bits": 5, "bytes": 12_345})
    table = as_text(faces_table([*cells, coded], "faces"))
    assert sum("10%, 5 bits" in line for line in table.splitlines()) == 1
    assert "\u2026" not in as_text(faces_table([*cells, coded], "faces"), width=80)
    assert "coded, 12 KB" in faces_plot([*cells, coded])
    assert "coded" not in faces_plot(cells)
