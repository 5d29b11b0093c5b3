"""Networks in coded files: the same network comes back, from few bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import store_factories
import torch
from store_helpers import cut, maxout, same, small, zeroed
from test_store_model import MODELS
from torch import nn

import maxprune
from maxprune.coding import decode, encode
from maxprune.errors import StoreError, UsageError
from maxprune.lineage import lineage
from maxprune.plan import KeepPlan, MaxoutPlan
from maxprune.store.coded import is_coded, load_coded, open_coded, save_coded
from maxprune.surgery import apply
from maxprune.units import least_winning
from maxprune.weights.sharing import share_plan


def shared() -> nn.Module:
    model = zeroed()
    return apply(model, share_plan(model, 3))


@pytest.mark.parametrize("make", [*MODELS, shared])
def test_what_was_coded_is_opened_to_the_bit(make: Any, tmp_path: Path) -> None:
    model = make()
    size = save_coded(model, tmp_path / "net.mxp", {"accuracy": 97.5})
    assert size == (tmp_path / "net.mxp").stat().st_size
    state = torch.get_rng_state()
    again = maxprune.load(tmp_path / "net.mxp")
    assert torch.equal(torch.get_rng_state(), state)
    assert same(model, again)
    assert not any(m.training for m in again.modules())
    assert decode(tmp_path / "net.mxp").about == {"accuracy": 97.5}
    save_coded(again, tmp_path / "again.mxp", {"accuracy": 97.5})
    assert (tmp_path / "again.mxp").read_bytes() == (tmp_path / "net.mxp").read_bytes()


def test_the_file_says_no_more_than_builds_the_network(tmp_path: Path) -> None:
    save_coded(shared(), tmp_path / "net.mxp")
    assert decode(tmp_path / "net.mxp").plans == [
        {
            "keep": {"fc1": "4/8", "conv2": "3/4"},
        }
    ]  # fmt: skip
    assert (tmp_path / "net.mxp").stat().st_size < 900
    assert is_coded(shared())
    assert not is_coded(zeroed())


def test_units_of_a_maxout_that_is_left_stay_whole(tmp_path: Path) -> None:
    model = apply(small(), MaxoutPlan(layer="fc1", k=4))
    model = apply(model, least_winning("fc1", torch.tensor([[1, 2, 0, 4], [4, 3, 2, 1]])))
    save_coded(model, tmp_path / "net.mxp")
    assert [plan.get("keep") for plan in decode(tmp_path / "net.mxp").plans] == [
        None, {"fc1": "6/8/2"},
    ]  # fmt: skip
    again = load_coded(tmp_path / "net.mxp")
    assert same(model, again)
    assert lineage(again).plans[1].keep == {"fc1": (0, 1, 2, 4, 5, 6)}


def test_a_network_without_a_factory_is_refused_or_given_one(tmp_path: Path) -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3, 2)

    with pytest.raises(UsageError, match="factory is not known"):
        save_coded(Own(), tmp_path / "net.mxp")
    model = Own()
    save_coded(model, tmp_path / "net.mxp", factory=Own)
    again = maxprune.load(tmp_path / "net.mxp", factory=Own)
    assert torch.equal(again.fc.weight, model.fc.weight)
    with pytest.raises(StoreError, match=r"net\.mxp cannot be opened: .*is no name of a function"):
        maxprune.load(tmp_path / "net.mxp")


def test_a_network_that_was_changed_by_hand_is_refused(tmp_path: Path) -> None:
    model = cut()
    model.relu = nn.Tanh()
    with pytest.raises(UsageError, match="would not open as it is: relu"):
        save_coded(model, tmp_path / "net.mxp")
    assert not list(tmp_path.iterdir())


def test_a_type_that_numpy_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="bfloat16, which a coded file does not have"):
        save_coded(store_factories.plain().bfloat16(), tmp_path / "net.mxp")


def test_a_folder_in_the_way_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder; a coded network is one file"):
        save_coded(small(), tmp_path)


@pytest.mark.parametrize(
    ("keep", "says"),
    [
        ("9/1", "keeps '9/1' of 8 neurons"), ("4/3", "keeps '4/3'"), ("3/2", "keeps '3/2'"),
        ("0/1", "keeps '0/1'"), ("x", "keeps 'x'"), ("4/", "keeps '4/'"), ("-4/1", "keeps '-4/1'"),
        ([9], "an index is outside"), ("1000000000000/1", "keeps '1000000000000/1' of 8"),
        ("4/1/1", "keeps '4/1/1' of 8"), ("9" * 5000 + "/1", "keeps '999"),
    ],
)  # fmt: skip
def test_plans_that_lie_are_refused(keep: Any, says: str) -> None:
    found = decode(encode_of(cut()))
    found.plans[0] |= {"neurons": {"fc1": 8}, "keep": {"fc1": keep}}
    with pytest.raises(StoreError, match=f"^the coded file cannot be opened: .*{says}"):
        open_coded(encode(found))


@pytest.mark.parametrize(
    ("keep", "says"),
    [
        ("9/8", "keeps '9/8'"), ("3/8/2", "keeps '3/8/2'"), ("4", "keeps '4'"),
        ("4/8/", "keeps '4/8/'"), ("4/8/x", "keeps '4/8/x'"), ("4/-8", "keeps '4/-8'"),
        ("9" * 5000 + "/8", "keeps '999"), ("4/8/1/1", "keeps '4/8/1/1'"),
    ],
)  # fmt: skip
def test_plans_in_brief_that_lie_are_refused(keep: str, says: str) -> None:
    found = decode(encode_of(cut()))
    found.plans[0]["keep"] = {"fc1": keep}
    with pytest.raises(StoreError, match=f"^the coded file cannot be opened: .*{says}"):
        open_coded(encode(found))


@pytest.mark.parametrize("members", ["fc2*x", "fc2*-1", "fc2*" + "9" * 5000, 3, ["fc2"]])
def test_members_in_brief_that_lie_are_refused(members: Any) -> None:
    found = decode(encode_of(cut()))
    found.plans[0]["members"] = {"fc1": members}
    with pytest.raises(StoreError, match=r"^the coded file cannot be opened: .*not a plan"):
        open_coded(encode(found))
    found.plans[0]["members"] = members
    with pytest.raises(StoreError, match=r"^the coded file cannot be opened: .*not a plan"):
        open_coded(encode(found))


def test_a_file_of_format_1_is_opened() -> None:
    """Written by maxprune before format 2, whose weights' checksum this was."""
    model = load_coded(Path(__file__).parent / "format1.mxp")
    weights = b"".join(tensor.numpy().tobytes() for tensor in model.state_dict().values())
    assert hashlib.sha256(weights).hexdigest() == (
        "6ca591df630081cbe15d2d9281ef6a8bf6fdfca5521e1d7ca54ee49707319407"
    )
    units, cut = lineage(model).plans
    assert units == MaxoutPlan(layer="fc1", k=4)
    assert isinstance(cut, KeepPlan)
    assert cut.keep == {"fc1": (0, 1, 2, 4, 5, 6)}


def encode_of(model: nn.Module) -> bytes:
    from maxprune.store.coded import as_coded

    return as_coded(model)


def test_weights_of_another_network_are_refused() -> None:
    found = decode(encode_of(maxout()))
    found.plans.append(KeepPlan(neurons={"conv2": 4}, keep={"conv2": (1,)}).model_dump(mode="json"))
    with pytest.raises(StoreError, match="the weights do not fit the network"):
        open_coded(encode(found))
    found = decode(encode_of(small()))
    found.arguments["fc"] = -1
    with pytest.raises(StoreError, match=r"factory 'maxprune\.networks.lenet:lenet5' failed"):
        open_coded(encode(found))


def test_a_layer_that_is_too_wide_to_be_one_is_refused() -> None:
    found = decode(encode_of(cut()))
    found.plans[0] |= {"neurons": {"fc1": 10**12}, "keep": {"fc1": "1000000000000/1"}}
    with pytest.raises(StoreError, match="not a plan: fc1 keeps '1000000000000/1'"):
        open_coded(encode(found))
