"""After every cut: does the smaller network do what the larger one does without those neurons?"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maxprune.errors import AuditError
from maxprune.modes import device_of, evaluating
from maxprune.plan import KeepPlan
from maxprune.surgery.apply import expand
from maxprune.surgery.chain import find_chain


@contextlib.contextmanager
def masked(model: nn.Module, plan: KeepPlan) -> Iterator[None]:
    """Silence the neurons that the plan removes; afterwards the model is as it was.

    In front of a maxout a silent neuron is minus infinity, so it never wins; elsewhere the next
    layer reads zero from it.
    """
    handles = []
    try:
        for layer, chain in {layer: find_chain(model, layer) for layer in plan.keep}.items():
            goes = torch.tensor(plan.removed(layer), dtype=torch.long)
            target, value = (chain.maxout, -torch.inf) if chain.maxout else (chain.reader, 0.0)
            module = model.get_submodule(target)
            neurons = plan.neurons[layer]

            def silence(
                _: nn.Module,
                args: tuple[Tensor, ...],
                goes: Tensor = goes,
                value: float = value,
                neurons: int = neurons,
            ) -> tuple[Tensor, ...]:
                index = expand(goes, args[0].shape[1] // neurons).to(args[0].device)
                return (args[0].index_fill(1, index, value), *args[1:])

            handles.append(module.register_forward_pre_hook(silence))
        yield
    finally:
        for handle in handles:
            handle.remove()


def audit(
    larger: nn.Module,
    smaller: nn.Module,
    plan: KeepPlan,
    inputs: Float[Tensor, "batch ..."],
    tolerance: float = 1e-5,
) -> float:
    """Check a cut: the smaller network gives what the larger one gives with those neurons masked.

    Args:
        larger: the network before the cut.
        smaller: the network after it.
        plan: the neurons that stayed.
        inputs: some inputs of the network.
        tolerance: largest difference accepted, relative to the largest output.

    Returns:
        The largest relative difference.

    Raises:
        AuditError: the outputs differ by more, in shape, or are not finite.
    """
    x = inputs.to(device_of(larger))
    with evaluating(larger), evaluating(smaller), torch.inference_mode():
        with masked(larger, plan):
            expected = larger(x)
        found = smaller(x)
    if expected.shape != found.shape:
        raise AuditError(f"outputs were {tuple(expected.shape)} and are {tuple(found.shape)}")
    scale = max(float(expected.abs().max()), 1e-30)
    difference = float((expected - found).abs().max()) / scale
    if not difference <= tolerance:
        layers = ", ".join(plan.keep)
        raise AuditError(f"cutting {layers} changed the outputs by {difference:.1e} (relative)")
    return difference
