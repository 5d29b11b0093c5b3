"""A network as a graph of core ATen operators, which opens without the class that it came from.

torch.export finds the graph; its own file format is read by pickle and by evaluating text as code,
so the graph is written here as plain JSON (docs/format.md), and only operators that torch tags as
core ATen are ever called.
"""

from __future__ import annotations

import contextlib
import json
import operator
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from maxprune.errors import OutputError, StoreError, StructureError, first_line
from maxprune.modes import copied
from maxprune.plain_names import is_keyword, is_plain
from maxprune.store.same import check_same

FORMAT = 1
MOST = 10_000  # numbers of a constant that is kept in the graph
FURTHER = {
    "aten.linalg_vector_norm.default", "aten.adaptive_max_pool2d.default",
    "aten.adaptive_max_pool3d.default",
}  # fmt: skip
"""Operators that are not tagged as core, but do nothing but compute."""

NUMBERS: dict[str, Callable[..., Any]] = {
    "getitem": operator.getitem, "add": operator.add, "sub": operator.sub, "mul": operator.mul,
    "floordiv": operator.floordiv, "mod": operator.mod, "neg": operator.neg,
}  # fmt: skip
"""What may be done to the numbers of a shape, besides the parts of a result."""

KINDS = {str(kind).removeprefix("torch."): kind for kind in (
    torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.uint8, torch.int8,
    torch.int16, torch.int32, torch.int64, torch.bool,
    torch.contiguous_format, torch.channels_last, torch.preserve_format, torch.strided,
)}  # fmt: skip
"""Types of numbers, memory formats and layouts by name."""


def as_graph(model: nn.Module, example: Tensor) -> dict[str, Any]:
    """The graph of a network, as JSON.

    Args:
        model: in evaluation mode, with one input and one output; it is not changed.
        example: at least two of its inputs; the number of them stays free.

    Raises:
        StructureError: torch cannot export it, or it does what the format does not have.
    """
    with exporting(model):
        program = program_of(model, example).run_decompositions()
    names, constants = _inputs(program, model.state_dict())
    (output,) = next(node for node in program.graph.nodes if node.op == "output").args
    if len(output) != 1 or not isinstance(output[0], fx.Node):
        raise StructureError("the network does not give one tensor")
    used = _used(output[0])
    nodes = [
        {"name": node.name, **_told(node, names)}
        for node in program.graph.nodes
        if node.op == "call_function" and node in used
    ]
    return {
        "format": FORMAT, "nodes": nodes, "output": _value(output[0], names),
        "constants": constants, "buffers": [name for name, _ in model.named_buffers()],
    }  # fmt: skip


def program_of(model: nn.Module, example: Tensor) -> torch.export.ExportedProgram:
    """What torch.export makes of a network in evaluation mode, for any number of inputs."""
    network, x = copied(model).cpu().eval(), example.detach().cpu()
    batch = torch.export.Dim("batch")
    return torch.export.export(network, (x,), dynamic_shapes=({0: batch},))


@contextlib.contextmanager
def exporting(model: nn.Module) -> Iterator[None]:
    """Without gradients and torch's warnings; whatever fails is one `StructureError`."""
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    except OutputError:
        raise
    except Exception as error:
        raise StructureError(
            f"the network {type(model).__name__} cannot be exported: {first_line(error)}"
        ) from error


def _used(output: fx.Node) -> set[fx.Node]:
    """The nodes that the output is made from; checks of shapes are none."""
    found, left = {output}, [output]
    while left:
        for node in left.pop().all_input_nodes:
            if node not in found:
                found.add(node)
                left.append(node)
    return found


def _inputs(
    program: torch.export.ExportedProgram, state: Mapping[str, Tensor]
) -> tuple[dict[str, dict[str, str]], dict[str, Any]]:
    """What stands for each input of the graph, and the tensors that are not in the state."""
    names: dict[str, dict[str, str]] = {}
    constants: dict[str, Any] = {}
    held = {**program.state_dict, **program.constants}
    for spec in program.graph_signature.input_specs:
        name, target = str(getattr(spec.arg, "name", "")), spec.target
        if target is None:
            if {"input": ""} in names.values():
                raise StructureError("the network has several inputs")
            names[name] = {"input": ""}
            continue
        names[name] = {"tensor": target}
        tensor = held[target]
        if target in state:
            continue
        if not isinstance(tensor, Tensor) or tensor.numel() > MOST or tensor.is_complex():
            raise StructureError(f"the network holds {target}, which is not in its state")
        kind = str(tensor.dtype).removeprefix("torch.")
        constants[target] = {"type": kind, "numbers": tensor.tolist()}
    return names, constants


def _told(node: fx.Node, names: Mapping[str, Any]) -> dict[str, Any]:
    """What a node calls, and on what."""
    if isinstance(node.target, torch._ops.OpOverload):
        call = str(node.target)
    else:
        found = [name for name, own in NUMBERS.items() if own is node.target]
        call = found[0] if found else ""
    _called(call)
    kwargs = {key: _value(value, names) for key, value in node.kwargs.items() if key != "device"}
    about = {"call": call, "args": [_value(value, names) for value in node.args]}
    return about | ({"kwargs": kwargs} if kwargs else {})


def _called(name: object) -> Callable[..., Any]:
    """The operator of that name.

    Raises:
        StructureError: it is no core ATen operator, nor one of `NUMBERS`.
    """
    if isinstance(name, str) and name in NUMBERS:
        return NUMBERS[name]
    parts = name.split(".") if isinstance(name, str) else []
    if len(parts) == 3 and parts[0] == "aten":
        packet = getattr(torch.ops.aten, parts[1], None)
        if isinstance(packet, torch._ops.OpOverloadPacket) and parts[2] in packet.overloads():
            found: torch._ops.OpOverload = getattr(packet, parts[2])
            allowed = torch.Tag.core in found.tags or name in FURTHER
            if allowed and not found._schema.is_mutable:
                return found
    raise StructureError(f"the graph calls {name!r:.60}, which is no core ATen operator")


def _value(value: Any, names: Mapping[str, Any]) -> Any:
    """An argument as JSON."""
    if isinstance(value, fx.Node):
        return names.get(value.name, {"node": value.name})
    if isinstance(value, list | tuple):
        return [_value(part, names) for part in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if abs(value) < float("inf") else {"float": str(value)}
    for name, kind in KINDS.items():
        if value is kind:
            return {"kind": name}
    raise StructureError(f"the graph has an argument {value!r:.60}, which the format has not")


def from_graph(content: Any, tensors: Mapping[str, Tensor]) -> fx.GraphModule:
    """The network of a graph, in evaluation mode.

    It gives what the exported network gave, and has its weights under their names. It is no longer
    what was built: it cannot be cut, and norms stay in evaluation mode.

    Args:
        content: as `as_graph` gave it.
        tensors: the state of the network.

    Raises:
        StoreError: it is no such graph, or calls what is not allowed.
    """
    try:
        return _built(content, tensors)
    except (
        ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, StructureError,
        SyntaxError, TypeError, ValueError,
    ) as error:  # fmt: skip
        raise StoreError(f"the graph is damaged: {first_line(error)}") from error


def _built(content: Any, tensors: Mapping[str, Tensor]) -> fx.GraphModule:
    if content["format"] != FORMAT:
        raise StructureError(f"it has format {content['format']!r:.20}, not {FORMAT}")
    root = nn.Module()
    buffers = set(content["buffers"])
    for name, tensor in tensors.items():
        _put(root, name, tensor, tensor.is_floating_point() and name not in buffers)
    for name, constant in content["constants"].items():
        kind: Any = KINDS[constant["type"]]
        _put(root, name, torch.tensor(constant["numbers"], dtype=kind), False)
    graph = fx.Graph()
    nodes: dict[str, fx.Node] = {"": graph.placeholder("input")}
    for about in content["nodes"]:
        args = tuple(_read(value, graph, nodes) for value in about["args"])
        kwargs = {key: _read(v, graph, nodes) for key, v in about.get("kwargs", {}).items()}
        if not all(map(is_keyword, kwargs)):
            raise StructureError(f"a call has an argument that is called {min(kwargs)!r:.60}")
        nodes[about["name"]] = graph.call_function(_called(about["call"]), args, kwargs)
    graph.output(_read(content["output"], graph, nodes))
    return fx.GraphModule(root, graph, "ExportedNetwork").eval()


def _put(root: nn.Module, name: str, tensor: Tensor, trained: bool) -> None:
    """Put a tensor where its dotted name says."""
    _check_plain(name)
    owner, _, leaf = name.rpartition(".")
    place = root
    for part in owner.split(".") if owner else ():
        if not isinstance(getattr(place, part, None), nn.Module):
            place.add_module(part, nn.Module())
        place = place.get_submodule(part)
    if trained:
        place.register_parameter(leaf, nn.Parameter(tensor))
    else:
        place.register_buffer(leaf, tensor)


def _check_plain(name: Any) -> None:
    """Refuse a name that torch.fx would write into the network's code as more than a name."""
    if not is_plain(name):
        raise StructureError(f"{name!r:.60} cannot be the name of a tensor")


def _read(value: Any, graph: fx.Graph, nodes: Mapping[str, fx.Node]) -> Any:
    """An argument of a node."""
    if isinstance(value, list):
        return [_read(part, graph, nodes) for part in value]
    if not isinstance(value, dict):
        return value
    ((sort, name),) = value.items()
    if sort == "tensor":
        _check_plain(name)
        return graph.get_attr(name)
    if sort in ("node", "input"):
        return nodes[name]
    return float(name) if sort == "float" else KINDS[name]


def write_graph(content: dict[str, Any]) -> bytes:
    """The bytes of `graph.json`."""
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()


def check_graph(content: bytes, model: nn.Module, example: Tensor) -> None:
    """Run the bytes of `graph.json` beside the network, on the inputs and on one of them.

    Raises:
        AuditError: the outputs differ by more than 1e-4 of the largest.
        StoreError: the bytes are no graph.
    """
    network, x = copied(model).cpu().eval(), example.detach().cpu()
    check_same(network, from_graph(json.loads(content), network.state_dict()), x, "its graph's")
