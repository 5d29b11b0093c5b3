import copy
import errno
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import store_factories
import torch
from store_helpers import cut, maxout, same, small, zeroed
from torch import fx, nn

import maxprune
from maxprune.errors import OutputError, UsageError
from maxprune.lineage import lineage
from maxprune.plan import MaxoutPlan
from maxprune.store import describe, load, save
from maxprune.surgery import apply, remove_dead
from maxprune.units import least_winning


def branching() -> nn.Module:
    torch.manual_seed(0)
    model = store_factories.branching(width=8)
    model(torch.rand(32, 6))  # moves the batch norm's statistics
    model = apply(model.eval(), MaxoutPlan(layer="first", k=4))
    wins = torch.tensor([[1, 2, 3, 4], [4, 3, 2, 1]])
    return apply(model, least_winning("first", wins))


def dead() -> nn.Module:
    model = small()
    with torch.no_grad():
        model.fc1.weight[[1, 4]] = 0
        model.fc1.bias.uniform_(0.5, 1)
    return remove_dead(model).model


def dead_before_a_layer_without_a_bias() -> nn.Module:
    model = store_factories.branching(width=8).eval()
    with torch.no_grad():
        model.first.weight[[1, 4]] = 0
        model.norm.bias.fill_(0.5)
    return remove_dead(model).model


def dead_in_a_graph() -> nn.Module:
    model = branching()
    with torch.no_grad():
        model.second.weight[[0]] = 0
        model.third.weight[:, 2] = 0
    return remove_dead(model).model


def half() -> nn.Module:
    return store_factories.plain().half()


MODELS = [
    small, maxout, cut, zeroed, dead, branching, dead_before_a_layer_without_a_bias,
    dead_in_a_graph, half, store_factories.tied, store_factories.Holder.inner,
    lambda: store_factories.plain([6, 4], bias=False), lambda: copy.deepcopy(branching()),
]  # fmt: skip


@pytest.mark.parametrize("make", MODELS)
def test_what_was_saved_is_opened_to_the_bit(make: Any, tmp_path: Path) -> None:
    model = make()
    before = {n: (t.data_ptr(), t.clone()) for n, t in model.state_dict().items()}
    assert save(model, tmp_path / "m", {"accuracy": 97.5}) == tmp_path / "m"
    for name, tensor in model.state_dict().items():
        assert tensor.data_ptr() == before[name][0]
        assert torch.equal(tensor, before[name][1])
    state = torch.get_rng_state()
    again = load(tmp_path / "m")
    assert torch.equal(torch.get_rng_state(), state)
    assert same(model, again)
    assert lineage(again) == lineage(model)
    assert not any(m.training for m in again.modules())
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == ["model.json", "model.safetensors"]
    assert [p.name for p in tmp_path.iterdir()] == ["m"]
    save(again, tmp_path / "n")
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in "mn"]
    assert weights[0] == weights[1]


def test_weights_in_another_memory_order_are_the_same_weights(tmp_path: Path) -> None:
    model = small().to(memory_format=torch.channels_last)
    assert not model.conv2.weight.is_contiguous()
    again = load(save(model, tmp_path / "m"))
    assert same(small(), again)


def test_saving_leaves_the_random_state_and_the_mode(tmp_path: Path) -> None:
    model = small().train()
    state = torch.get_rng_state()
    save(model, tmp_path / "m")
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training


def test_the_description_says_what_the_format_says(tmp_path: Path) -> None:
    folder = save(cut(), tmp_path / "m", {"accuracy": 97.5})
    found = describe(folder)
    assert found.format == 1
    assert found.maxprune == maxprune.__version__
    assert found.factory == "maxprune.networks.lenet:lenet5"
    assert found.arguments == {"fc": 8, "conv": [2, 4]}
    assert [plan["kind"] for plan in found.plans] == ["maxout", "keep", "keep"]
    assert found.kept == {"fc1": [1, 2, 4, 7], "conv2": [0, 2, 3]}
    assert found.about == {"accuracy": 97.5}
    weights = (folder / "model.safetensors").read_bytes()
    assert found.sha256 == hashlib.sha256(weights).hexdigest()
    raw = (folder / "model.json").read_bytes()
    zeroed = raw.replace(found.checksum.encode(), b"0" * 64)
    assert found.checksum == hashlib.sha256(zeroed).hexdigest()
    assert list(json.loads(raw))[-1] == "checksum"
    assert raw.endswith(b'"\n}\n')


def test_a_process_that_has_only_the_factory_opens_it(tmp_path: Path) -> None:
    model = branching()
    save(model, tmp_path / "m")
    with torch.no_grad():
        expected = model(torch.ones(2, 6)).tolist()
    code = (
        "import sys, json, torch\n"
        "from maxprune import load\n"
        f"model = load({str(tmp_path / 'm')!r})\n"
        "assert 'test_store_model' not in sys.modules\n"
        "with torch.no_grad(): print(json.dumps(model(torch.ones(2, 6)).tolist()))\n"
    )
    here = Path(__file__).parent
    environ = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(here)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environ)
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout) == expected


def test_an_older_saved_model_is_replaced_whole(tmp_path: Path) -> None:
    save(small(fc=6), tmp_path / "m")
    save(cut(), tmp_path / "m")
    assert same(cut(), load(tmp_path / "m"))
    (tmp_path / "empty").mkdir()
    assert same(small(), load(save(small(), tmp_path / "empty")))
    (tmp_path / "link").symlink_to(tmp_path / "m")
    save(small(), tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert same(small(), load(tmp_path / "m"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "link", "m"]


@pytest.mark.parametrize("names", [["notes.txt"], ["model.json"], ["model.json",
    "model.safetensors", "notes.txt"]])  # fmt: skip
def test_other_folders_are_refused(tmp_path: Path, names: list[str]) -> None:
    (tmp_path / "m").mkdir()
    for name in names:
        (tmp_path / "m" / name).write_text("mine")
    with pytest.raises(OutputError, match="exists and is not a saved model"):
        save(small(), tmp_path / "m")
    assert {p.name: p.read_text() for p in (tmp_path / "m").iterdir()} == dict.fromkeys(
        names, "mine"
    )


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m").write_text("mine")
    with pytest.raises(OutputError, match="not a saved model"):
        save(small(), tmp_path / "m")
    with pytest.raises(OutputError, match="cannot write"):
        save(small(), tmp_path / "m" / "deep")
    assert (tmp_path / "m").read_text() == "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
@pytest.mark.parametrize("moment", range(8))
def test_an_interrupted_save_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, moment: int
) -> None:
    """Stop at the first, second, ... call that makes a change on the disk."""
    old, new = small(fc=6), cut()
    save(old, tmp_path / "m")
    count = iter(range(100))

    def once(call: Any) -> Any:
        def guarded(*args: Any, **kwargs: Any) -> Any:
            if next(count) == moment:
                raise error
            return call(*args, **kwargs)

        return guarded

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", once(Path.replace))
        patch.setattr(Path, "write_bytes", once(Path.write_bytes))
        patch.setattr("tempfile.mkdtemp", once(__import__("tempfile").mkdtemp))
        with pytest.raises(OutputError if isinstance(error, OSError) else KeyboardInterrupt):
            save(new, tmp_path / "m")
    assert next(count) > moment
    assert same(old, load(tmp_path / "m"))
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def local_factory() -> nn.Module:
    @maxprune.factory
    def build() -> nn.Module:
        return nn.Linear(1, 1)

    return build()


def of_main() -> nn.Module:
    model = small()
    model.__dict__["_maxprune_lineage"] = maxprune.Lineage("__main__:build")
    return model


def with_a_callable() -> nn.Module:
    model = small()
    model.__dict__["_maxprune_lineage"] = maxprune.Lineage("a:b", {"activation": nn.ReLU})
    return model


def with_another_module() -> nn.Module:
    model = small()
    model.relu = nn.Tanh()
    return model


def with_another_setting() -> nn.Module:
    model = small()
    model.dropout.p = 0.1
    return model


def with_another_shape() -> nn.Module:
    model = small()
    model.fc2 = nn.Linear(8, 3)
    return model


def without_its_factory() -> nn.Module:
    model = small()
    model.__dict__["_maxprune_lineage"] = maxprune.Lineage("store_factories:gone")
    return model


def with_something_else() -> nn.Module:
    class Extra(nn.ReLU):
        def get_extra_state(self) -> str:
            return "x"

    model = small()
    model.relu = Extra()
    return model


REFUSED = [
    (lambda: nn.Linear(2, 2), "factory is not known"),
    (lambda: fx.symbolic_trace(nn.Sequential(nn.Linear(2, 2))), "factory is not known"),
    (local_factory, "cannot be imported later; move it into a module"),
    (of_main, "cannot be imported later; move it into a module"),
    (with_a_callable, "an argument of a:b cannot be saved"),
    (with_another_module, r"relu is Tanh\(\), but ReLU\(\) when maxprune.networks.lenet:lenet5"),
    (with_another_setting, r"dropout is Dropout\(p=0.1, inplace=False\), but Dropout\(p=0.5"),
    (with_another_shape, r"would not open again: the weights do not fit .*fc2"),
    (without_its_factory, "would not open again: .*cannot be imported"),
    (with_something_else, "_extra_state is not a dense tensor"),
    (store_factories.failing, "would not open again: .*'store_factories:failing' failed: no$"),
]


@pytest.mark.parametrize(("make", "reason"), REFUSED)
def test_what_would_not_open_is_not_saved(make: Any, reason: str, tmp_path: Path) -> None:
    store_factories.calls.clear()
    with pytest.raises(UsageError, match=reason) as caught:
        save(make(), tmp_path / "m")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("about", [{"x": float("nan")}, {"x": object()}, {"x": {1}}])
def test_what_stands_beside_it_must_be_json(about: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="about cannot be saved"):
        save(small(), tmp_path / "m", about)
    assert list(tmp_path.iterdir()) == []
