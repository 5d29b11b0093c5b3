"""A teacher that is no network: in which direction each person lies, by local binary patterns.

A small network that is trained on a few pictures of each of 1,500 people learns them by heart. What
it is taught beside their names is who looks like whom: the Fisher directions (Belhumeur, Hespanha,
Kriegman 1997, "Eigenfaces vs. Fisherfaces") of the same pictures' local binary patterns, of which
the people who are trained on are all that is seen.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import Tensor

from maxprune.data.patterns import describe

COMPONENTS = 600  # principal ones that are kept
ROUNDS = 2  # of the randomized algorithm that finds them (Halko, Martinsson, Tropp 2011)
SHRINKAGE = 0.03  # of the scatter within people towards a sphere


def directions(
    pixels: UInt8[Tensor, "n 1 s s"], labels: Int[Tensor, " n"], count: int, seed: int = 0
) -> Float[Tensor, "people count"]:
    """Where each person lies in the space in which people are furthest apart.

    Args:
        pixels: of the pictures that are trained on, and of nobody else.
        labels: whom they show, counted from 0; everybody has a picture.
        count: dimensions, fewer than people.
        seed: of the randomized principal components.

    Returns:
        Unit vectors.
    """
    plain, mirrored = describe(pixels), describe(pixels.flip(3))
    mean = plain.mean(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        components = min(COMPONENTS, *plain.shape)
        _, _, basis = torch.svd_lowrank(plain - mean, q=components, niter=ROUNDS)
    x = torch.cat([(part - mean) @ basis for part in (plain, mirrored)])
    y = labels.repeat(2)
    fisher = LinearDiscriminantAnalysis(solver="eigen", shrinkage=SHRINKAGE, n_components=count)
    found = torch.from_numpy(fisher.fit_transform(x.double().numpy(), y.numpy())).float()
    pictures = F.normalize(found[: len(labels)] + found[len(labels) :], dim=1)
    sums = torch.zeros(int(labels.max()) + 1, count).index_add_(0, labels, pictures)
    return F.normalize(sums, dim=1)
