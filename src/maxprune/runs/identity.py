"""What tells one run's data and network from another's: checksums."""

from __future__ import annotations

import hashlib

from torch import nn

from maxprune.data.loaded import Loaded
from maxprune.data.samples import Splits, fingerprint


def of_data(data: Splits) -> str:
    """A checksum of all samples; of a training loader, whose order may change, of their number."""
    digest = hashlib.sha256(f"{data.name} {data.input_shape}".encode())
    for samples in (data.train, data.validation, data.test, data.stopping):
        if samples is not None:
            digest.update(f"{samples.classes} {samples.about()}".encode())
            if samples is not data.train or not isinstance(samples, Loaded):
                digest.update(fingerprint(samples).encode())
    return digest.hexdigest()


def of_network(model: nn.Module) -> str:
    """A checksum of what a network is made of and of its weights."""
    digest = hashlib.sha256(repr(model).encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
