"""Descriptors in which pictures of one person lie together, from any layer, without training.

Probabilistic linear discriminant analysis (Ioffe 2006; Prince, Elder 2007) takes the rows that a
layer gives for a person's pictures to lie about a middle of theirs, all with one scatter. Along the
directions that make the scatter within people a sphere and that between people diagonal, it says
how far two rows tell people apart; rows of unit length fit it better (Garcia-Romero, Espy-Wilson
2011). It has a closed form, and so it does not learn by heart whom it sees, as a trained layer does
that is given a few pictures of each of many people.
"""

from __future__ import annotations

import scipy.linalg
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from maxprune.errors import UsageError

COMPONENTS = 600  # principal ones that are looked at, at most
SHRINKAGE = 0.1  # of the scatter within people towards a sphere
LEAST = 1e-6  # scatter between people that a direction is taken to have
RIDGE = 0.01  # of the mean square, added to the squares where a map with zeros is fitted
ROUNDS = 2  # of the randomized algorithm that finds them (Halko, Martinsson, Tropp 2011)


class Discriminant(nn.Module):
    """A linear map, the length taken from what it gives, and a weight for each number.

    The Euclidean distance of two rows that it gives says whether they are of one person.

    Args:
        features: of a row.
        dimensions: of a descriptor.

    Attributes:
        linear: the map, to be fitted (`discriminant`).
        weights: (dimensions,), by how much each direction tells people apart.
    """

    weights: Tensor

    def __init__(self, features: int, dimensions: int) -> None:
        super().__init__()
        if min(features, dimensions) < 1:
            raise UsageError("a discriminant has features and dimensions, at least one of each")
        self.linear = nn.Linear(features, dimensions)
        self.register_buffer("weights", torch.ones(dimensions))

    def forward(self, x: Float[Tensor, "batch features"]) -> Float[Tensor, "batch dimensions"]:
        """Descriptors; a row of nothing stays nothing."""
        return F.normalize(self.linear(x)) * self.weights


def discriminant(
    rows: Float[Tensor, "n features"], labels: Int[Tensor, " n"], dimensions: int, *,
    components: int = COMPONENTS, zeros: float = 0.0, seed: int = 0,
) -> Discriminant:  # fmt: skip
    """Fit a discriminant to the pictures of some people.

    With e the scatter between people along a direction where that within them is 1, the log
    likelihood ratio of one person to two, for rows x and y of unit variance, is but for a constant
    the sum of b x y - a (x^2 + y^2) / 2 with a = e^2 / (2 e + 1) and b = a + e / (2 e + 1). The
    weights here are the roots of a: the Euclidean distance has the part that counts where e is
    large, and the rest, e x y / (2 e + 1), is left out.

    Args:
        rows: what a layer gives for each picture.
        labels: whom each shows.
        dimensions: of the descriptors, fewer than people and at most as many as components.
        components: principal ones that are looked at, at most.
        zeros: share of the map's numbers that are to be zero, the smallest ones of each direction;
            the others are fitted anew to what the whole map gives.
        seed: of the randomized algorithm that finds them.

    Raises:
        UsageError: too few people, features or pictures for so many dimensions, no person has two
            pictures that differ, or `zeros` is outside [0, 1).
    """
    if not 0 <= zeros < 1:
        raise UsageError(f"the share of zeros lies in [0, 1), not {zeros}")
    people, labels = torch.unique(labels, return_inverse=True)
    most = min(len(people) - 1, rows.shape[1], components)
    if not 1 <= dimensions <= most or len(rows) <= len(people):
        raise UsageError(
            f"{dimensions} dimensions cannot be had from {len(rows)} rows of {rows.shape[1]} "
            f"features of {len(people)} people"
        )
    mean = rows.mean(0)
    centred = rows - mean
    basis = _principal(centred, components, seed)
    x = (centred @ basis).double()
    counts = torch.bincount(labels).double()
    middles = x.new_zeros(len(people), x.shape[1]).index_add_(0, labels, x) / counts[:, None]
    apart = x - middles[labels]
    within = apart.T @ apart / (len(x) - len(people))
    between = (middles.T * counts) @ middles / len(x) - within * len(people) / len(x)
    level = within.trace() / len(within)
    if not level > 0:
        raise UsageError("no person has two pictures that differ")
    within = (1 - SHRINKAGE) * within + SHRINKAGE * level * torch.eye(len(within)).double()
    scatter, directions = scipy.linalg.eigh(between.numpy(), within.numpy())  # ascending
    e = torch.from_numpy(scatter).flip(0)[:dimensions].clamp_min(LEAST)
    linear = basis.double() @ torch.from_numpy(directions).flip(1)[:, :dimensions] / (e + 1).sqrt()
    linear = _sparse(linear.float(), centred, zeros) if zeros else linear.float()
    found = Discriminant(rows.shape[1], dimensions)
    with torch.no_grad():
        found.linear.weight.copy_(linear.T)
        found.linear.bias.copy_(-mean @ linear)
        found.weights.copy_(e / (2 * e + 1).sqrt())
    return found


def _sparse(
    linear: Float[Tensor, "features dimensions"], centred: Float[Tensor, "n features"], zeros: float
) -> Float[Tensor, "features dimensions"]:
    """The same with zeros, by ridge regression on the features that stay for each dimension."""
    stay = max(1, len(linear) - round(zeros * len(linear)))
    products = centred.T @ centred
    wanted = products @ linear
    found = torch.zeros_like(linear)
    for j, column in enumerate(linear.T):
        own = column.abs().topk(stay).indices
        part = products[own][:, own].double()
        part.diagonal().add_(RIDGE * part.diagonal().mean())
        found[own, j] = torch.linalg.solve(part, wanted[own, j].double()).float()
    return found


def _principal(
    centred: Float[Tensor, "n features"], count: int, seed: int
) -> Float[Tensor, "features components"]:
    """The first principal components, or all there are."""
    found: Tensor
    if min(centred.shape) <= count:
        found = torch.linalg.svd(centred, full_matrices=False)[2].T
        return found
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        found = torch.svd_lowrank(centred, q=count, niter=ROUNDS)[2]
    return found
