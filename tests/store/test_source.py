"""Networks by name, and their weights."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from maxprune import apply, keep_plan, load, save, save_coded
from maxprune.commands.bench import _named
from maxprune.errors import MaxpruneError, StoreError, UsageError
from maxprune.networks import lenet5
from maxprune.store.source import is_built, open_network

NET = """
import torch
from torch import nn

class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))

def build():
    return Net()

def sized(width, depth=2):
    return Net()

def fails():
    raise RuntimeError("no such thing\\nat all")

def text():
    return "net"

number = 3
"""
numbered = iter(range(1000))


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network's file under a name of its own, since modules stay imported."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    path = tmp_path / f"own_net_{next(numbered)}.py"
    path.write_text(NET)
    return path


def test_a_function_in_a_file_a_class_and_a_module(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(open_network(f"{file}:build"), nn.Sequential)
    assert not open_network(f"{file}:Net").training
    monkeypatch.chdir(file.parent)
    assert isinstance(open_network(f"{file.name}:build"), nn.Sequential)
    assert isinstance(open_network("maxprune.networks:lenet5"), nn.Sequential)


SIBLING = """
from sibling_{0} import WIDTH
from torch import nn

def build():
    import late_{0}
    return nn.Linear(WIDTH, late_{0}.WIDTH)
"""


def with_siblings(folder: Path, name: str) -> Path:
    """A network's file that imports another beside it, and one more as it is built."""
    folder.mkdir(exist_ok=True)
    (folder / f"sibling_{name}.py").write_text("WIDTH = 3")
    (folder / f"late_{name}.py").write_text("WIDTH = 5")
    (folder / f"net_{name}.py").write_text(SIBLING.format(name))
    return folder / f"net_{name}.py"


def test_a_file_may_import_its_siblings_and_lets_no_file_beside_it_hide_a_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [*sys.path]
    monkeypatch.setattr(sys, "path", [*before])
    path = with_siblings(tmp_path, "file")
    assert open_network(f"{path}:build").out_features == 5
    assert sys.path == [*before, str(tmp_path)]
    (tmp_path / "wave.py").write_text(path.read_text())
    with pytest.raises(UsageError, match=r"wave\.py cannot be imported: another module is called"):
        open_network(f"{tmp_path / 'wave.py'}:build")
    assert "wave" not in sys.modules


def test_the_current_folder_is_looked_in_last_and_only_for_what_lies_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.chdir(tmp_path)
    before = [*sys.path]
    assert isinstance(open_network("maxprune.networks:lenet5"), nn.Sequential)
    (tmp_path / "tabnanny.py").write_text("def build(): raise ValueError")
    with pytest.raises(UsageError, match="tabnanny has no 'build'"):
        open_network("tabnanny:build")  # Python's own
    assert sys.path == before
    monkeypatch.chdir(with_siblings(tmp_path / "here", "module").parent)
    assert open_network("net_module:build").out_features == 5
    assert sys.path == [*before, str(tmp_path / "here")]


def test_a_network_of_an_unmarked_function_can_be_saved_and_opened(
    file: Path, tmp_path: Path
) -> None:
    net = open_network(f"{file}:build")
    folder = save(net, tmp_path / "model")
    x = torch.randn(3, 4)
    with torch.no_grad():
        assert torch.equal(load(folder)(x), net(x))
        assert torch.equal(open_network(str(folder))(x), net(x))


def test_a_saved_model_of_an_unmarked_function_opens_elsewhere_with_the_function(
    file: Path, tmp_path: Path
) -> None:
    folder = save(open_network(f"{file}:build"), tmp_path / "model")
    code = (
        f"import sys; sys.path.insert(0, {str(file.parent)!r}); import maxprune, {file.stem} as m\n"
        "try: maxprune.load(sys.argv[1])\n"
        "except maxprune.MaxpruneError as error: print(error)\n"
        "print(len(maxprune.load(sys.argv[1], factory=m.build)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    refused, opened = done.stdout.splitlines()
    assert "is not a function under @maxprune.factory; it is not called" in refused
    assert "factory=" in refused
    assert opened == "3"


def test_what_is_cut_from_a_model_opened_by_its_function_can_be_saved(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save(open_network(f"{file}:build"), tmp_path / "model")
    monkeypatch.setattr(sys.modules["maxprune.lineage"], "_adopted", {})
    net = open_network(str(folder), factory=f"{file}:build")
    smaller = apply(net, keep_plan({"0": 6}, {"0": (0, 2)}))
    save(smaller, tmp_path / "smaller")
    assert load(tmp_path / "smaller")[0].out_features == 2


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("{}:nothing", r"has no 'nothing'; it has Net, build, sized, fails, text"),
        ("{}:number", "'number' in .* is an int, not a function"),
        ("{}:sized", r"needs arguments \(width\)"),
        ("{}:fails", "failed: RuntimeError: no such thing$"),
        ("{}:text", "gives a str, not a torch module"),
        ("{}x:build", "is neither a .py file nor the name of a module"),
        ("{}", "is no network: give my_net.py:build"),
        ("no/such.py:build", "no/such.py does not exist"),
        ("no_such_module:build", "no_such_module cannot be imported: ModuleNotFoundError"),
        ("no_such_folder", "does not exist: give my_net.py:build"),
        ("", "'' does not exist"),
    ],
)
def test_what_is_no_network_says_why(file: Path, name: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        open_network(name.format(file))


@pytest.mark.parametrize("name", ["./c:d.maxprune", "a b=c:d", "e f:g.mxp"])
def test_what_is_there_is_no_function_whatever_its_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    net = lenet5(fc=4)
    (save_coded if name.endswith(".mxp") else save)(net, name)
    assert torch.equal(open_network(name).fc2.bias, net.fc2.bias)  # type: ignore[union-attr, arg-type]
    assert not is_built(name, None)
    assert _named([name])[0] == (Path(name).name, name)
    with pytest.raises(UsageError, match=r"is neither a \.py file nor the name of a module"):
        open_network(f"{name}x")


def test_a_file_that_does_not_import_or_is_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name, content, says in [
        ("broken_net.py", "def build(:", "SyntaxError"),
        ("leaving_net.py", "raise SystemExit('bye')", "SystemExit: bye"),
        ("json.py", NET, "another module is called 'json'"),
        ("my-net.py", NET, "rename it"),
    ]:
        (tmp_path / name).write_text(content)
        with pytest.raises(UsageError, match=says):
            open_network(f"{tmp_path / name}:build")


def state(file: Path) -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    return open_network(f"{file}:build").state_dict()


@pytest.mark.parametrize("wrap", ["plain", "state_dict", "model", "parallel", "safetensors"])
def test_weights_are_filled_in(file: Path, tmp_path: Path, wrap: str) -> None:
    own = state(file)
    path = tmp_path / ("net.safetensors" if wrap == "safetensors" else "net.pt")
    if wrap == "safetensors":
        save_file(own, path)
    elif wrap == "parallel":
        torch.save({f"module.{key}": value for key, value in own.items()}, path)
    else:
        torch.save(own if wrap == "plain" else {wrap: own, "epoch": 3}, path)
    filled = open_network(f"{file}:build", path).state_dict()
    assert all(torch.equal(value, own[key]) for key, value in filled.items())


def test_weights_that_do_not_fit_say_which(file: Path, tmp_path: Path) -> None:
    own, path = state(file), tmp_path / "net.pt"
    cases: list[tuple[object, type[MaxpruneError], str]] = [
        (
            {k: v for k, v in own.items() if k != "0.bias"},
            UsageError,
            r"lacks '0.bias' \(1 in all\)",
        ),
        (own | {"9.bias": own["0.bias"]}, UsageError, "has '9.bias', which the network has not"),
        (own | {"0.bias": torch.zeros(7)}, UsageError, r"'0.bias' is \(7,\) there and \(6,\) in"),
        ([1, 2], StoreError, "holds no state dict"),
        (nn.Linear(2, 2), StoreError, "not a state dict that can be read safely"),
    ]
    for content, kind, says in cases:
        torch.save(content, path)
        with pytest.raises(kind, match=says):
            open_network(f"{file}:build", path)
    path.write_bytes(b"nonsense")
    with pytest.raises(StoreError, match="not a state dict"):
        open_network(f"{file}:build", path)
    (tmp_path / "net.safetensors").write_bytes(b"nonsense")
    with pytest.raises(StoreError, match="is damaged"):
        open_network(f"{file}:build", tmp_path / "net.safetensors")
    with pytest.raises(UsageError, match="does not exist"):
        open_network(f"{file}:build", tmp_path / "none.pt")
