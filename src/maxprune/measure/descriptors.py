"""What a layer inside a network gives for every picture: the descriptors of faces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from maxprune.errors import StructureError, UsageError
from maxprune.halving import in_halves
from maxprune.measure.distances import pair_distances
from maxprune.modes import device_of, evaluating

BATCH = 256


def descriptors(
    model: nn.Module, layer: str, batches: Iterable[Tensor | Sequence[Tensor]]
) -> Float[Tensor, "n features"]:
    """The output of one module of a network, a row for every input, in evaluation mode.

    Args:
        model: the network; it is left as it was.
        layer: the name of the module; in `vgg_face` the descriptor of a face is "relu7". "" is
            what the whole network gives.
        batches: inputs, (batch, ...), or tuples whose first entry they are: a DataLoader, or
            `images.batches(32)`.

    Returns:
        On the CPU; what is not a row is flattened.

    Raises:
        StructureError: there is no such module, or it does not give one tensor a batch.
        UsageError: there are no inputs.

    Example:
        >>> net = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 5))
        >>> descriptors(net, "1", [torch.zeros(4, 3), torch.zeros(1, 3)]).shape
        torch.Size([5, 2])
    """
    module = dict(model.named_modules()).get(layer)
    if module is None:
        raise StructureError(f"the network has no module {layer!r}")
    given: list[object] = []
    device = device_of(model)

    def look(part: tuple[Tensor]) -> Tensor:
        given.clear()
        model(part[0].to(device))
        return _row_each(layer, given).cpu()

    handle = module.register_forward_hook(lambda _module, _inputs, output: given.append(output))
    try:
        with evaluating(model), torch.inference_mode():
            inputs = ((batch if isinstance(batch, Tensor) else batch[0],) for batch in batches)
            found = list(in_halves(inputs, look))
    finally:
        handle.remove()
    if not found:
        raise UsageError(f"no inputs to take the descriptors of layer {layer!r} of")
    return torch.cat(found).clone()


def _row_each(layer: str, given: list[object]) -> Tensor:
    """The one tensor that a module gave in a forward pass, a row for every input."""
    if len(given) != 1 or not isinstance(given[0], Tensor):
        kinds = ", ".join(type(each).__name__ for each in given) or "nothing"
        raise StructureError(f"layer {layer!r} gives {kinds} a batch, not one tensor")
    return given[0].flatten(1)


def verification_distances(
    network: nn.Module,
    pixels: UInt8[Tensor, "n c h w"],
    places: Int[Tensor, "pairs 2"],
    kind: str = "bray-curtis",
) -> Float[Tensor, " pairs"]:
    """The distances of pairs of pictures; each picture is described once.

    Args:
        network: gives a descriptor for each picture in [0, 1]; see `networks.descriptor_network`.
        pixels: 0 to 255, all pictures that pairs may be of.
        places: the two pictures of every pair.
        kind: one of `DISTANCES`; the paper takes Bray-Curtis (Moya Rueda et al. 2017, sec. 5.2).

    Raises:
        UsageError, StructureError: as for `descriptors` and `pair_distances`.
    """
    used, where = torch.unique(places, return_inverse=True)
    batches = (pixels[part].float().div_(255) for part in used.split(BATCH))
    return pair_distances(descriptors(network, "", batches), where, kind)
