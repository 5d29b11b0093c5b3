"""Targets of `maxprune.store` and `maxprune.coding`: saved models, coded files and their parts."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import zlib
from pathlib import Path
from typing import Any

import fuzz_repairs
import numpy as np
import torch
from fuzz_target import Target, folder, of_file
from safetensors import SafetensorError
from safetensors.torch import save as serialise
from torch import nn

from maxprune.coding import Coded, decode, encode
from maxprune.coding.bits import varint
from maxprune.coding.file import FORMAT, HEAD, MAGIC
from maxprune.coding.onnx import decode_weights, encode_weights
from maxprune.coding.words import DICTIONARIES
from maxprune.errors import StoreError
from maxprune.files import parse_json
from maxprune.networks import lenet5
from maxprune.plan import KeepPlan, MaxoutPlan
from maxprune.runs.workspace import _read_scores
from maxprune.store import describe, load, load_coded, save
from maxprune.store.coded import as_coded, open_coded
from maxprune.store.graph import as_graph, from_graph, write_graph
from maxprune.store.parts import DESCRIPTION, WEIGHTS, as_file
from maxprune.store.source import _fill, _state
from maxprune.store.weights import as_safetensors, from_safetensors
from maxprune.surgery import apply
from maxprune.train.checkpoint import Progress, read_checkpoint, write_checkpoint
from maxprune.units import least_winning
from maxprune.verify.gallery import Gallery
from maxprune.weights import share_plan, zero_plan

NETWORKS = 1088 << 20  # bytes: a small file may ask for a network of 2^28 numbers, and no more
VERIFIER = "0123456789abcdef" * 4


def _network() -> nn.Module:
    torch.manual_seed(0)
    return lenet5(fc=8, conv=[2, 4]).eval()


@functools.cache
def _cut() -> nn.Module:
    """A maxout that has gone again, and filters; values that are few."""
    model = apply(_network(), MaxoutPlan(layer="fc1", k=2))
    model = apply(model, least_winning("fc1", torch.tensor([[1, 2], [3, 1], [5, 5], [0, 9]])))
    model = apply(model, KeepPlan(neurons={"conv2": 4}, keep={"conv2": (0, 2, 3)}))
    return apply(model, zero_plan(model, 0.7))


@functools.cache
def _shared() -> nn.Module:
    return apply(_cut(), share_plan(_cut(), 2))


@functools.cache
def _saved() -> Path:
    """A saved model with a graph, whose description has the checksums of whatever is put there."""
    return save(_cut(), folder() / "model", {"accuracy": 97.5}, example=torch.rand(2, 1, 28, 28))


def _part(name: str) -> bytes:
    return (_saved() / name).read_bytes()


def _described(content: bytes) -> object:
    """The model with this description."""
    (_saved() / DESCRIPTION).write_bytes(content)
    try:
        return describe(_saved()), load(_saved())
    finally:
        (_saved() / DESCRIPTION).write_bytes(_description())


@functools.cache
def _description() -> bytes:
    return _part(DESCRIPTION)


@functools.cache
def _weights() -> bytes:
    return _part(WEIGHTS)


def _weighted(content: bytes) -> object:
    """The model with these weights, and a description that has their checksum."""
    about = json.loads(_description()) | {"sha256": hashlib.sha256(content).hexdigest()}
    (_saved() / WEIGHTS).write_bytes(content)
    (_saved() / DESCRIPTION).write_bytes(fuzz_repairs.description(_text(about)))
    try:
        return load(_saved())
    finally:
        (_saved() / WEIGHTS).write_bytes(_weights())
        (_saved() / DESCRIPTION).write_bytes(_description())


def _text(content: Any) -> bytes:
    return json.dumps(content, indent=1).encode()


def _file() -> bytes:
    return as_file({p.name: p.read_bytes() for p in sorted(_saved().iterdir(), reverse=True)})


@functools.cache
def _graphs() -> list[bytes]:
    small = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.BatchNorm1d(2))
    return [
        write_graph(as_graph(model, x))
        for model, x in ((_cut(), torch.rand(2, 1, 28, 28)), (small.eval(), torch.rand(3, 2)))
    ]


def _graphed(content: bytes) -> object:
    return from_graph(parse_json(content, Path("graph.json")), _cut().state_dict())


@functools.cache
def _coded() -> list[bytes]:
    some = {"a": np.arange(12, dtype=np.float32).reshape(3, 4) % 3, "b": np.arange(2),
            "c": np.zeros((40, 40), np.float32), "e": np.arange(300, dtype=np.float32)}  # fmt: skip
    some["d"] = some["a"]
    some["c"][::9, 3] = 0.5
    return [as_coded(_shared(), {"a": 1}), encode(Coded("m:f", {"a": [1]}, [], some))]


@functools.cache
def _opened(number: int) -> tuple[bytes, bytes]:
    """The description of a coded file as text, and the tensors behind it."""
    content = _coded()[number]
    opener = zlib.decompressobj(-15, zdict=DICTIONARIES[FORMAT])
    length, at = 0, HEAD + 8
    for shift in range(0, 63, 7):
        length |= (content[at] & 127) << shift
        at += 1
        if content[at - 1] < 128:
            break
    return opener.decompress(content[at : at + length]), content[at + length :]


def _described_as(text: bytes, number: int = 0) -> bytes:
    """A coded file with this description."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -15, 9, zdict=DICTIONARIES[FORMAT])
    description = packer.compress(text) + packer.flush()
    rest = varint(len(description)) + description + _opened(number)[1]
    return fuzz_repairs.coded(MAGIC + bytes([FORMAT]) + bytes(8) + rest)


@functools.cache
def _safetensors() -> list[bytes]:
    one = torch.arange(4.0)
    both = {"a": one, "b": torch.ones(2, 3, dtype=torch.int8), "c": one, "d": torch.zeros(0, 2)}
    return [as_safetensors(both), as_safetensors({"x": torch.ones(1, dtype=torch.bfloat16)})]


def _tensors(content: bytes) -> object:
    """Tensors, by the rule of those who call this: they catch that error as well."""
    try:
        return from_safetensors(content)
    except SafetensorError as error:
        raise StoreError(str(error)) from error


def _header(content: bytes) -> bytes:
    """A safetensors file with this header, and as many bytes behind it as it says."""
    ends = [int(end) for end in re.findall(rb'"data_offsets":\s*\[\s*\d+\s*,\s*(\d+)', content)]
    size = min(max(ends, default=0), 1 << 16)
    return len(content).to_bytes(8, "little") + content + bytes(size)


def _headers() -> list[bytes]:
    return [file[8 : 8 + int.from_bytes(file[:8], "little")].strip() for file in _safetensors()]


def _filled(suffix: str) -> Any:
    """Weights that somebody fills into a network of theirs."""

    def read(path: Path) -> object:
        _state(path)
        return _fill(_network(), path)

    return of_file(read, f"weights{suffix}")


class _Verifier:
    """As much of a verifier as a gallery asks for."""

    class about:  # noqa: N801
        checksum = staticmethod(lambda: VERIFIER)


def _gallery() -> list[bytes]:
    path = folder() / "seed"
    Gallery(VERIFIER, ["Ada", "Ben"], [np.ones(3, np.float32)] * 2).write(path)
    return [path.read_bytes()]


def _gallery_of(people: bytes) -> bytes:
    """The same with other people, and what else the header says."""
    return _header(people)


def _training() -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = nn.Linear(2, 2)
    return model, torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)


@functools.cache
def _checkpoints() -> list[bytes]:
    model, optimizer = _training()
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    path = folder() / "seed.part"
    progress = Progress(3, (1, 2), (0.5, 0.25), (1.0,))
    best = {name: value.clone() for name, value in model.state_dict().items()}
    write_checkpoint(path, model, optimizer, None, progress, "key", best)
    return [path.read_bytes()]


def _resumed(path: Path) -> object:
    best: dict[str, torch.Tensor] = {}
    state = torch.get_rng_state()
    try:
        return read_checkpoint(path, *_training(), None, "key", best)
    finally:
        torch.set_rng_state(state)


def _scores() -> list[bytes]:
    return [serialise({"a": torch.ones(3)}, {"remarks": '["b"]'})]


TARGETS = [
    Target("model-description", _described, lambda: [_description()], fuzz_repairs.description,
           "json", NETWORKS),
    Target("model-weights", _weighted, lambda: [_weights()]),
    Target("model-file", of_file(load, "m.maxprune"), lambda: [_file()], fuzz_repairs.model_file),
    Target("graph", _graphed, _graphs, form="json"),
    Target("coded", of_file(decode), _coded, fuzz_repairs.coded),
    Target("coded-description", lambda text: decode(_described_as(text, 1)),
           lambda: [_opened(1)[0]], form="json"),
    Target("coded-network", lambda text: open_coded(_described_as(text)),
           lambda: [_opened(0)[0]], form="json", free=NETWORKS),
    Target("coded-file", of_file(load_coded, "m.mxp"), lambda: _coded()[:1], fuzz_repairs.coded),
    Target("coded-onnx-weights", decode_weights, lambda: [encode_weights(
        {"a": np.ones((3, 4), np.float32) * np.array([[1], [2], [3]], np.float32)},
        {"a": np.ones((3, 4), np.float32)})], fuzz_repairs.coded),
    Target("safetensors", _tensors, _safetensors),
    Target("safetensors-header", lambda text: _tensors(_header(text)), _headers, form="json"),
    Target("state-safetensors", _filled(".safetensors"), lambda: [
        as_safetensors(_network().state_dict()), *_safetensors()]),
    Target("gallery", of_file(lambda p: Gallery.read(p, _Verifier())), _gallery),
    Target("checkpoint", of_file(_resumed, "c.part"), _checkpoints, fuzz_repairs.checkpoint),
    Target("scores", lambda content: _read_scores(content, Path("scores")), _scores),
]  # fmt: skip
