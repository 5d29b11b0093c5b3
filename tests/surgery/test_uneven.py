"""Units that lose different numbers of neurons: cut, checked, saved, coded and exported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from small_networks import CASES, Case, trained
from torch import Tensor, nn

from maxprune.errors import StructureError
from maxprune.networks import Maxout, lenet5
from maxprune.plan import KeepPlan, MaxoutPlan, keep_plan
from maxprune.scores import count_wins
from maxprune.store import export_onnx, load, load_coded, save, save_coded
from maxprune.surgery import apply, audit
from maxprune.surgery.chain import find_chain, find_maxout
from maxprune.units import least_relevant


def sizes(model: nn.Module, layer: str) -> tuple[int, ...]:
    """Neurons of each unit behind a layer."""
    maxout = find_maxout(model, find_chain(model, layer).maxout or "")
    return maxout.of_each(model.get_submodule(layer).weight.shape[0])


def uneven(model: nn.Module, layer: str, inputs: Tensor, remove: int, k: int = 4) -> nn.Module:
    """Behind a layer so many neurons are gone of units of four, the least winning of all."""
    wide = apply(model, MaxoutPlan(layer=layer, k=k)).eval()
    counts = count_wins(wide, layer, [inputs])
    return apply(wide, least_relevant({layer: counts.relevance()}, remove))


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.layer)
def test_a_cut_over_all_units_is_the_mask(case: Case) -> None:
    wide = apply(case.model(), MaxoutPlan(layer=case.layer, k=4)).eval()
    x = case.inputs(40)
    counts = count_wins(wide, case.layer, [x])
    neurons = counts.wins.numel()
    plan = least_relevant({case.layer: counts.relevance()}, neurons // 3)
    cut = apply(wide, plan)
    audit(wide, cut, plan, x)
    assert sum(sizes(cut, case.layer)) == neurons - neurons // 3
    never = int((counts.wins == 0).sum())
    if never:
        free = least_relevant({case.layer: counts.relevance()}, never)
        torch.testing.assert_close(apply(wide, free)(x), wide(x), atol=1e-6, rtol=1e-5)


def test_units_shrink_until_the_maxout_is_gone() -> None:
    x = torch.rand(60, 1, 28, 28)
    model = uneven(trained(lenet5(fc=10, conv=(2, 2))), "fc1", x, 2)
    assert sum(sizes(model, "fc1")) == 8
    assert len(sizes(model, "fc1")) == 3
    model = apply(model, least_relevant({"fc1": count_wins(model, "fc1", [x]).relevance()}, 99))
    assert not any(isinstance(m, Maxout) for m in model.modules())
    assert model.get_submodule("fc2").weight.shape == (10, 3)


def test_two_layers_are_ranked_together() -> None:
    x = torch.rand(60, 1, 28, 28)
    model = trained(lenet5(fc=16, conv=(2, 8)))
    for layer in ("conv2", "fc1"):
        model = apply(model, MaxoutPlan(layer=layer, k=4))
    model = model.eval()
    scores = {
        n: count_wins(model, n, [x], margins=True).relevance("share") for n in ("conv2", "fc1")
    }
    plan = least_relevant(scores, 9)
    cut = apply(model, plan)
    audit(model, cut, plan, x)
    assert sum(sizes(cut, "conv2")) + sum(sizes(cut, "fc1")) == 24 - 9


def test_units_of_other_sizes_are_saved_and_opened(tmp_path: Path) -> None:
    x = torch.rand(60, 1, 28, 28)
    model = uneven(trained(lenet5(fc=16, conv=(2, 4))), "fc1", x, 7).eval()
    assert len(set(sizes(model, "fc1"))) > 1
    save(model, tmp_path / "saved")
    opened = load(tmp_path / "saved")
    assert sizes(opened, "fc1") == sizes(model, "fc1")
    assert torch.equal(opened.eval()(x), model(x))
    # As many neurons as an even cut would leave: the units are not taken for even ones.
    keep = (0, 1, 2, 4, 5, 6, 8, 12)
    even = apply(
        apply(trained(lenet5(fc=16, conv=(2, 4))), MaxoutPlan(layer="fc1", k=4)),
        keep_plan({"fc1": 16}, {"fc1": keep}),
    ).eval()
    for net in (model, even):
        save_coded(net, tmp_path / "coded.mxp")
        opened = load_coded(tmp_path / "coded.mxp")
        assert sizes(opened, "fc1") == sizes(net, "fc1")
        torch.testing.assert_close(opened.eval()(x), net(x))
    assert sizes(even, "fc1") == (3, 3, 1, 1)


def test_units_of_other_sizes_are_exported(tmp_path: Path) -> None:
    x = torch.rand(5, 1, 28, 28)
    for layer in ("conv2", "fc1"):
        model = uneven(trained(lenet5(fc=16, conv=(2, 8))), layer, torch.rand(60, 1, 28, 28), 3)
        export_onnx(model.eval(), tmp_path / "net.onnx", x[:2])
        session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
        (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        np.testing.assert_allclose(found, model(x).detach().numpy(), atol=1e-5)


def test_a_plan_of_other_units_is_refused() -> None:
    model = uneven(trained(lenet5(fc=8, conv=(2, 2))), "fc1", torch.rand(60, 1, 28, 28), 2)
    with pytest.raises(StructureError, match="every unit of 'fc1_maxout' must keep at least 1"):
        apply(model, KeepPlan(neurons={"fc1": 6}, keep={"fc1": (0,)}))
