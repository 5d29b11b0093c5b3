import builtins
import hashlib
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import store_factories
import torch
from safetensors.torch import save_file
from store_helpers import cut, rewrite, same, small

from maxprune.errors import StoreError
from maxprune.store import describe, load, save


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(cut(), tmp_path_factory.mktemp("whole") / "m", {"accuracy": 97.5, "of": "x\u00e9"})


@pytest.fixture
def saved(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "m"))


def refused(folder: Path, match: str) -> str:
    with pytest.raises(StoreError, match=match) as caught:
        load(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_every_flipped_byte_is_seen(saved: Path, name: str) -> None:
    path = saved / name
    content, draw = path.read_bytes(), random.Random(0)
    places = set(range(0, len(content), max(1, len(content) // 250))) | {len(content) - 1}
    for place in sorted(places):
        flipped = content[place] ^ (1 << draw.randrange(8))
        path.write_bytes(content[:place] + bytes([flipped]) + content[place + 1 :])
        refused(saved, "damaged|newer|is not a saved model")
    path.write_bytes(content)
    assert same(cut(), load(saved))


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_every_truncation_and_every_tail_is_seen(saved: Path, name: str) -> None:
    path = saved / name
    content = path.read_bytes()
    for end in [*range(0, len(content), len(content) // 40), len(content) - 1]:
        path.write_bytes(content[:end])
        refused(saved, "damaged")
    path.write_bytes(content + b" ")
    refused(saved, "damaged")


def test_missing_files(saved: Path, tmp_path: Path) -> None:
    refused(tmp_path / "none", "is not a saved model")
    (saved / "model.safetensors").rename(saved / "kept")
    refused(saved, "does not exist")
    (saved / "model.json").unlink()
    refused(saved, "is not a saved model: model.json does not exist")
    (saved / "model.json").mkdir()
    refused(saved, "cannot read")


@pytest.mark.parametrize(("found", "reason"), [
    (3, "has model format 3, newer than this maxprune reads"),
    (0, "damaged: format"), ("1", "damaged: format"), (None, "damaged: format"),
])  # fmt: skip
def test_other_formats(saved: Path, found: Any, reason: str) -> None:
    rewrite(saved, lambda content: content.update(format=found))
    refused(saved, reason)


def test_a_newer_format_is_named_even_if_its_checksum_is_another(saved: Path) -> None:
    (saved / "model.json").write_text('{"format": 7, "unknown": 1}')
    refused(saved, "newer")


@pytest.mark.parametrize("text", ["[]", "1", "null", "{}", '{"format": 1}'])
def test_other_json(saved: Path, text: str) -> None:
    (saved / "model.json").write_text(text)
    refused(saved, "damaged")


def test_an_edited_description_is_seen(saved: Path) -> None:
    path = saved / "model.json"
    path.write_text(path.read_text().replace("97.5", "99.5"))
    with pytest.raises(StoreError, match="was edited"):
        describe(saved)


FACTORIES = [
    ("nowhere.at.all:net", "cannot be imported"),
    ("store_factories:gone", "cannot be imported"),
    ("store_factories:unmarked", "is not a function under @maxprune.factory; it is not called"),
    ("store_factories:Branching", "is not a function under"),
    ("store_factories:Holder.__init__", "is not a function under"),
    ("store_factories:factory", "is not a function under"),
    ("maxprune.networks:lenet5", "is not a function under"),  # an alias
    ("maxprune.networks.lenet:lenet5.__wrapped__", "is not a function under"),
    ("store_factories:failing", "'store_factories:failing' failed: no$"),
    ("store_factories:leaving", "failed: bye"),
    ("store_factories:number", "gives no torch module"),
    ("", "is no name"), ("net", "is no name"), (":net", "is no name"), ("a:", "is no name"),
    (".relative:net", "is no name"), ("a b:c", "is no name"), ("a:b:c", "is no name"),
    ("store_factories:local.<locals>.net", "is no name"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "reason"), FACTORIES)
def test_factories_that_are_none(saved: Path, name: str, reason: str) -> None:
    store_factories.calls[:] = ["failing"]
    rewrite(saved, lambda content: content.update(factory=name, arguments={}, plans=[], kept={}))
    refused(saved, reason)
    assert store_factories.calls == ["failing"]


def test_a_module_that_cannot_be_imported(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, line in (("one", "raise RuntimeError('broken\\nand more')"), ("two", "exit(0)")):
        (tmp_path / f"store_broken_{name}.py").write_text(line)
        monkeypatch.syspath_prepend(tmp_path)
        rewrite(saved, lambda content, n=name: content.update(factory=f"store_broken_{n}:net"))
        refused(saved, r"cannot be imported \((broken|0)\)")


DANGEROUS = [
    ("os:system", {"command": "touch {}"}),
    ("builtins:eval", {}),
    ("builtins:open", {"file": "{}", "mode": "w"}),
    ("subprocess:run", {"args": ["touch", "{}"]}),
    ("subprocess:Popen", {"args": ["touch", "{}"]}),
    ("pathlib:Path.touch", {"self": "{}"}),
    ("torch.hub:load", {"repo_or_dir": "x/y", "model": "z"}),
    ("store_factories:torch.save", {"obj": "x", "f": "{}"}),
]


@pytest.mark.parametrize(("name", "arguments"), DANGEROUS)
def test_a_strangers_function_is_refused_without_being_called(
    saved: Path, name: str, arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []

    def spy(what: str) -> Any:
        return lambda *_, **__: called.append(what)

    victim = saved / "victim"
    rewrite(
        saved,
        lambda content: content.update(
            factory=name,
            arguments={
                k: [p.format(victim) for p in v] if isinstance(v, list) else v.format(victim)
                for k, v in arguments.items()
            },
        ),
    )
    with monkeypatch.context() as patch:
        patch.setattr(os, "system", spy("system"))
        patch.setattr(builtins, "eval", spy("eval"))
        patch.setattr(subprocess, "run", spy("run"))
        patch.setattr(subprocess, "Popen", spy("Popen"))
        refused(saved, "is not a function under @maxprune.factory; it is not called")
    assert called == []
    assert not victim.exists()


def test_a_strangers_function_is_refused_in_a_fresh_process(saved: Path, tmp_path: Path) -> None:
    rewrite(
        saved,
        lambda content: content.update(
            factory="os:system", arguments={"command": f"touch {tmp_path / 'victim'}"}
        ),
    )
    code = f"import maxprune; maxprune.load({str(saved)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert b"it is not called" in done.stderr
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize(
    "arguments",
    [{"fc": "many"}, {"unknown": 1}, {"fc": 0}, {"fc": 8, "conv": [2]}, {"dropout": "x"},
     {"fc": 10**15}],
)  # fmt: skip
def test_arguments_that_do_not_fit(saved: Path, arguments: dict[str, Any]) -> None:
    rewrite(saved, lambda content: content.update(arguments=arguments, plans=[], kept={}))
    refused(saved, "lenet5' failed: ")


def test_arguments_of_another_network(saved: Path) -> None:
    rewrite(saved, lambda content: content.update(arguments={"fc": 4}, plans=[], kept={}))
    refused(saved, "weights do not fit the network: size mismatch for")


PLANS = [
    ({"kind": "maxout", "layer": "fc1", "k": 30}, "k = 30 is more than"),
    ({"kind": "maxout", "layer": "fc9", "k": 2}, "no layer 'fc9'"),
    ({"kind": "maxout", "layer": "fc1", "k": 1}, "not a plan"),
    ({"kind": "other"}, "not a plan"),
    ({}, "not a plan"),
    ({"kind": "keep", "neurons": {"fc1": 8}, "keep": {"fc1": []}}, "not a plan"),
    ({"kind": "keep", "neurons": {"fc1": 8}, "keep": {"fc1": [8]}}, "not a plan"),
    ({"kind": "keep", "neurons": {"fc1": 9}, "keep": {"fc1": [1]}}, "which has 8"),
    ({"kind": "keep", "neurons": {"fc2": 10}, "keep": {"fc2": [1]}}, "output layer"),
    ({"kind": "keep", "neurons": {"fc1": 8}, "keep": {"fc1": [1]}}, "neurons that were kept"),
    ({"kind": "zero", "share": 2, "threshold": 0, "zeroed": 0}, "not a plan"),
]


@pytest.mark.parametrize(("plan", "reason"), PLANS)
def test_plans_that_do_not_fit(tmp_path: Path, plan: dict[str, Any], reason: str) -> None:
    folder = save(small(), tmp_path / "m")
    rewrite(folder, lambda content: content.update(plans=[plan]))
    refused(folder, reason)


@pytest.mark.parametrize(
    "tensors", [{}, {"fc1.weight": torch.zeros(2)}, {"fc1.bias": torch.zeros(4, dtype=torch.int32)}]
)
def test_weights_of_another_network(saved: Path, tensors: dict[str, torch.Tensor]) -> None:
    save_file(tensors, saved / "model.safetensors")
    digest = hashlib.sha256((saved / "model.safetensors").read_bytes()).hexdigest()
    rewrite(saved, lambda content: content.update(sha256=digest))
    refused(saved, "the weights do not fit")


def test_weights_that_are_no_safetensors(saved: Path) -> None:
    (saved / "model.safetensors").write_bytes(b"\xff" * 100)
    digest = hashlib.sha256(b"\xff" * 100).hexdigest()
    rewrite(saved, lambda content: content.update(sha256=digest))
    refused(saved, "cannot be opened")
