"""The user's own code as checksums: what changes them, and what does not."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from torch import nn

from maxprune.lineage import adopt
from maxprune.networks import lenet5
from maxprune.runs.code import of_code

NET = '''
"""A network."""
from torch import nn
import functools

class Base(nn.Module):
    def forward(self, x):
        return self.out(x)

class Part(nn.ReLU):
    pass

class Net(Base):
    """Small."""
    def __init__(self):
        super().__init__()
        self.out, self.part = nn.Linear(4, 2), Part()

def build():
    return Net()

def fit(network, data):
    """Nothing."""
    return None

class Fit:
    def __call__(self, network, data):
        pass

partly = functools.partial(fit, data=3)

def loaders():
    return AUGMENT

AUGMENT = 1
'''


def imported(folder: Path, text: str) -> ModuleType:
    """The module my_code with this text."""
    (folder / "my_code.py").write_text(text)
    spec = importlib.util.spec_from_file_location("my_code", folder / "my_code.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["my_code"] = module
    spec.loader.exec_module(module)
    return module


def found(folder: Path, text: str) -> dict[str, str]:
    module = imported(folder, text)
    model = adopt(module.build(), module.build, "my_code:build")
    return of_code(model, module.fit, module.loaders)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("return self.out(x)", "return -self.out(x)", "the class Base in my_code.py"),
        (
            "    pass\n\nclass Net",
            "    inplace = True\n\nclass Net",
            "the class Part in my_code.py",
        ),
        ("nn.Linear(4, 2), ", "nn.Linear(4, 2, True), ", "the class Net in my_code.py"),
        ("return Net()", "return Net().eval()", "the function build in my_code.py"),
        ("return None", "return network", "the function fit in my_code.py"),
        ("AUGMENT = 1", "AUGMENT = 2", ""),
    ],
)
def test_what_has_changed_is_named(tmp_path: Path, old: str, new: str, what: str) -> None:
    before, after = found(tmp_path, NET), found(tmp_path, NET.replace(old, new))
    data = "my_code.py, which gives the data,"
    assert {name for name in before if before[name] != after[name]} == {data, what} - {""}


def test_comments_layout_and_docstrings_do_not_count(tmp_path: Path) -> None:
    other = NET.replace('"""Small."""', '"""Very small."""').replace('"""Nothing."""\n', "\n")
    other = other.replace('"""A network."""', "# Of mine").replace("return Net()", "return (Net())")
    assert found(tmp_path, NET) == found(tmp_path, other)


def test_callables_of_every_kind(tmp_path: Path) -> None:
    module = imported(tmp_path, NET)
    model = nn.Linear(2, 2)
    assert list(of_code(model, module.partly)) == ["the function fit in my_code.py"]
    assert list(of_code(model, module.Fit())) == ["the class Fit in my_code.py"]
    assert list(of_code(model, module.Fit().__call__)) == [
        "the function Fit.__call__ in my_code.py"
    ]
    assert of_code(lenet5()) == {}


def test_what_has_no_source_is_left_out_quietly() -> None:
    space: dict[str, type[nn.Module]] = {"__name__": "no_such_module"}  # type: ignore[dict-item]
    exec("from torch import nn\nclass Net(nn.ReLU): pass\ndef fit(n, d): pass", space)  # noqa: S102
    assert of_code(space["Net"](), space["fit"]) == {}
    assert of_code(adopt(nn.ReLU(), nn.ReLU, "no_such_module:build")) == {}
