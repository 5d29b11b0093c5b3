"""A tensor under several names is stored once, and is one again when it is opened."""

from __future__ import annotations

from pathlib import Path

import pytest
import store_factories
import torch
from safetensors import safe_open
from safetensors.torch import load_model, save_file
from store_helpers import rewrite
from torch import nn

from maxprune.errors import Remark, UsageError
from maxprune.store import convert, load, save
from maxprune.store.source import open_network
from maxprune.store.weights import as_safetensors, bytes_of, from_safetensors

KEPT, OTHER = "embedding.weight", "decoder.weight"
X = torch.tensor([[0, 3, 7], [9, 49, 1]])


def is_one(model: nn.Module) -> bool:
    return model.get_parameter(KEPT) is model.get_parameter(OTHER)


@pytest.mark.parametrize("name", ["m", "m.maxprune", "m.mxp"])
def test_a_layer_that_is_used_twice_is_stored_once(name: str, tmp_path: Path) -> None:
    model = store_factories.words().eval()
    if name == "m":
        save(model, tmp_path / name)
    else:
        convert(model, tmp_path / name)
    again = load(tmp_path / name)
    assert is_one(again)
    with torch.no_grad():
        assert torch.equal(again(X), model(X))
    files = (path for path in tmp_path.rglob("*") if path.is_file())
    assert sum(path.stat().st_size for path in files) < 2 * 4 * 50 * 8  # of two tensors of 50 by 8


def test_the_file_is_as_safetensors_writes_and_reads_it(tmp_path: Path) -> None:
    model = store_factories.words()
    path = convert(model, tmp_path / "net.safetensors")
    with safe_open(path, "pt") as file:
        assert sorted(file.keys()) == ["decoder.bias", KEPT]
        assert file.metadata() == {"format": "pt", OTHER: KEPT}
    other = store_factories.words()
    assert load_model(other, path) == (set(), [])
    assert torch.equal(other.embedding.weight, model.embedding.weight)
    assert is_one(open_network("store_factories:words", path))
    assert bytes_of(model) == path.stat().st_size


def test_equal_tensors_are_equal_files() -> None:
    one = torch.rand(3)
    tensors = {"a": torch.rand(2), **dict.fromkeys("qwertyuiop", one)}
    content = as_safetensors(tensors)
    assert all(as_safetensors(tensors) == content for _ in range(9))
    again = from_safetensors(content)
    assert again.keys() == tensors.keys()
    assert all(torch.equal(tensor, again[name]) for name, tensor in tensors.items())
    equal = {"a": one, "b": one.clone()}  # two of the same numbers stay two
    assert len(as_safetensors(equal)) > len(as_safetensors({"a": one})) + 4 * 3


def test_what_is_shared_behind_the_factorys_back_is_shared_again(tmp_path: Path) -> None:
    def build() -> nn.Module:
        return nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))

    model = build()
    model[1].weight = model[0].weight
    again = load(save(model, tmp_path / "m", factory=build), factory=build)
    assert again[0].weight is again[1].weight
    assert again[0].bias is not again[1].bias


def test_two_tensors_for_one_are_refused(tmp_path: Path) -> None:
    model = store_factories.words()
    model.decoder.weight = nn.Parameter(torch.rand(50, 8))
    says = f"{KEPT} and {OTHER} are one in the network, but differ in the file"
    with pytest.raises(UsageError, match=f"would not open again: .*{says}"):
        save(model, tmp_path / "m")
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(UsageError, match=f"does not fit: {says}"):
        open_network("store_factories:words", tmp_path / "w.safetensors")


@pytest.mark.parametrize("left_out", ["", KEPT, OTHER])
def test_a_file_with_either_or_both_of_them_opens_too(left_out: str, tmp_path: Path) -> None:
    model = store_factories.words()
    state = {n: tensor.clone() for n, tensor in model.state_dict().items() if n != left_out}
    save_file(state, tmp_path / "w.safetensors")
    again = open_network("store_factories:words", tmp_path / "w.safetensors")
    assert is_one(again)
    assert torch.equal(again.embedding.weight, model.embedding.weight)


def test_a_graph_shares_it_too(tmp_path: Path) -> None:
    model = store_factories.words().eval()
    folder = save(model, tmp_path / "m", example=X)
    rewrite(folder, lambda content: content.update(factory="gone:build"))
    with pytest.warns(Remark, match="opened as a graph"):
        again = load(folder)
    assert sum(p.numel() for p in again.parameters()) == sum(p.numel() for p in model.parameters())
    torch.testing.assert_close(again(X), model(X))
