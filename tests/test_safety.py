"""No code of maxprune unpickles, evaluates or unpacks what comes from outside.

The rules are asked of the syntax tree of every file, so that neither another name in an import
nor a line break hides a call.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from maxprune.errors import StoreError, UsageError
from maxprune.networks.described import described
from maxprune.plain_names import is_keyword, is_plain
from maxprune.sessions import open_session
from maxprune.store import OnnxNetwork
from maxprune.store.graph import from_graph

SOURCES = sorted((Path(__file__).parents[1] / "src").rglob("*.py"))

MODULES = {
    "pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml",
    "dbm", "code", "codeop", "telnetlib", "xmlrpc",
}  # fmt: skip
"""What is never imported."""

CALLS = {
    "eval", "exec", "compile", "__import__", "input", "builtins.eval", "builtins.exec", "os.system",
    "os.popen", "shutil.unpack_archive", "torch.save", "torch.jit.load", "torch.hub.load",
    "torch.package.PackageImporter", "numpy.lib.format.read_array", "subprocess.getoutput",
    "subprocess.getstatusoutput", "onnx.load_model", "onnx.load_external_data_for_model",
}  # fmt: skip
"""What is never called."""

METHODS = {"extract", "extractall"}
"""Of an archive: its members are read, never put where their names say."""

WITH = {
    "torch.load": ("weights_only", True),
    "numpy.load": ("allow_pickle", False),
}
"""What is called with this argument only."""

OF_OURS = {("store/convert.py", "torch.export.load"), ("store/quantized.py", "onnx.load")}
"""Read again right after it was written, from a folder of this process."""


def wrong(text: str) -> Iterator[str]:
    """What a source does that it must not."""
    tree, names = ast.parse(text), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
                if alias.name.partition(".")[0] in MODULES:
                    yield f"imports {alias.name}"
        elif isinstance(node, ast.ImportFrom):
            if (node.module or "").partition(".")[0] in MODULES:
                yield f"imports {node.module}"
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from wrong_call(node, names)


def wrong_call(node: ast.Call, names: dict[str, str]) -> Iterator[str]:
    """The same of one call."""
    first, dot, rest = ast.unparse(node.func).partition(".")
    called = names.get(first, first) + dot + rest
    given = {each.arg: each.value for each in node.keywords}
    if called in CALLS | {name for _, name in OF_OURS}:
        yield f"calls {called}"
    if isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
        yield f"calls {called}"
    if called in WITH:
        name, value = WITH[called]
        argument = given.get(name)
        if not isinstance(argument, ast.Constant) or argument.value is not value:
            yield f"calls {called} without {name}={value}"
    shell = given.get("shell")
    if shell is not None and not (isinstance(shell, ast.Constant) and shell.value is False):
        yield f"calls {called} with a shell"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: "/".join(path.parts[-2:]))
def test_no_source_does_what_it_must_not(path: Path) -> None:
    allowed = {f"calls {call}" for end, call in OF_OURS if path.as_posix().endswith(end)}
    assert [
        found for found in wrong(path.read_text(encoding="utf-8")) if found not in allowed
    ] == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "def f():\n    from cloudpickle import loads",
        "import torch\ntorch.load(p)",
        "import torch as t\nt.load(p, weights_only=safe)",
        "from torch import load as get\nget(\n    p,\n    weights_only=False)",
        "import numpy as np\nnp.load(p)",
        "import numpy as np\nnp.load(p, allow_pickle=True)",
        "eval(text)",
        "exec('a')",
        "x = compile(text, '', 'exec')",
        "tarfile.open(p).extractall(q)",
        "with zipfile.ZipFile(p) as z: z.extract('a', q)",
        "import subprocess\nsubprocess.run(c, shell=True)",
        "from os import system\nsystem(c)",
        "import torch\ntorch.export.load(p)",
        "import onnx\nonnx.load(p)",
    ],
)
def test_each_rule_can_be_broken(text: str) -> None:
    assert len(list(wrong(text))) == 1


def test_what_is_allowed() -> None:
    text = (
        "import re, torch, numpy as np\nre.compile('a')\ntorch.load(p, weights_only=True)\n"
        "model.eval()\nnp.load(p, allow_pickle=False)\nsubprocess.run(c, shell=False)"
    )
    assert list(wrong(text)) == []


def outside(location: str) -> bytes:
    """An ONNX file whose weights lie in another one."""
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 4]) for n in ("x", "y"))
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4])
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value=location)
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", [x], [y], [weight])
    opsets = [helper.make_opsetid("", 18)]
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    return model.SerializeToString()


@pytest.mark.parametrize("kind", ["above", "absolute", "link"])
def test_an_onnx_file_reads_nothing_outside_its_folder(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, folder = tmp_path / "secret", tmp_path / "folder"
    secret.write_bytes(np.ones(4, np.float32).tobytes())
    folder.mkdir()
    (folder / "link").symlink_to(secret)
    monkeypatch.chdir(folder)
    content = outside({"above": "../secret", "absolute": str(secret), "link": "link"}[kind])
    (folder / "net.onnx").write_bytes(content)
    for opened in (content, folder / "net.onnx"):
        with pytest.raises(StoreError, match="External data path"):
            open_session(opened, "net.onnx", threads=1)
    with pytest.raises(StoreError, match="cannot be opened"):
        OnnxNetwork(folder / "net.onnx")


def test_onnx_runtime_says_nothing_itself(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StoreError, match="cannot be opened"):
        OnnxNetwork(outside("near").replace(b"Add", b"A\xffd"))
    assert capfd.readouterr() == ("", "")


INJECTED = (
    'a" if (_ for _ in ()).throw(KeyboardInterrupt) else "b',
    "a\n    raise KeyboardInterrupt\n",
    'a"), exit(3), getattr(self, "b',
    "None",
    "class",
)
"""Names that torch.fx would write into its code as more than a name."""


@pytest.mark.parametrize("name", INJECTED)
def test_a_name_in_a_file_is_never_code(name: str) -> None:
    """Without the check the code runs when the network does; with a line break when it is built."""
    number = torch.zeros(2)
    graph = {"format": 1, "nodes": [], "output": {"tensor": name}, "constants": {}, "buffers": []}
    with pytest.raises(StoreError, match="cannot be the name of a tensor"):
        from_graph(graph, {name: number})
    with pytest.raises(StoreError, match="cannot be the name of a tensor"):
        from_graph({**graph, "output": {"tensor": "a"}}, {"a": number, f"{name}.b": number})
    constants = {name: {"type": "float32", "numbers": [1.0]}}
    with pytest.raises(StoreError, match="cannot be the name of a tensor"):
        from_graph({**graph, "constants": constants}, {})
    layer = {"kind": "linear", "reads": [""], "in_features": 3, "out_features": 2}
    with pytest.raises(UsageError, match="cannot be the name of a layer"):
        described([{"name": name, **layer}])


@pytest.mark.parametrize("name", ["alpha = exit(3), x", "None", "a b", "1"])
def test_an_argument_in_a_file_is_never_code(name: str) -> None:
    add = {"call": "aten.add.Tensor", "args": [{"input": ""}, {"input": ""}], "kwargs": {name: 2}}
    graph = {
        "format": 1, "nodes": [{"name": "a", **add}], "output": {"node": "a"}, "constants": {},
        "buffers": [],
    }  # fmt: skip
    with pytest.raises(StoreError, match="a call has an argument that is called"):
        from_graph(graph, {})


def test_usual_names_are_plain() -> None:
    usual = ["conv1", "features.0.weight", "block1-conv (1)", "conv2d_1/kernel:0", "layer 2", "0"]
    assert all(map(is_plain, usual))
    assert not is_plain(3)
    assert not is_plain("a..b")
    assert not is_keyword(None)
