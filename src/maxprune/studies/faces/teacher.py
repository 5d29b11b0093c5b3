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


class Teacher:
    """The space in which the people who are trained on are furthest apart.

    Args:
        pixels: of the pictures that are trained on, and of nobody else.
        labels: whom they show, counted from 0; everybody has a picture.
        count: dimensions, fewer than people.
        seed: of the randomized principal components.

    Attributes:
        directions: (people, count), unit vectors: where each person lies.
    """

    def __init__(
        self, pixels: UInt8[Tensor, "n 1 s s"], labels: Int[Tensor, " n"], count: int, seed: int = 0
    ) -> None:
        parts = describe(pixels), describe(pixels.flip(3))
        self.mean = parts[0].mean(0)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            components = min(COMPONENTS, *parts[0].shape)
            centred = parts[0] - self.mean
            self.basis = torch.svd_lowrank(centred, q=components, niter=ROUNDS)[2]
        x = torch.cat([(part - self.mean) @ self.basis for part in parts])
        fisher = LinearDiscriminantAnalysis(solver="eigen", shrinkage=SHRINKAGE, n_components=count)
        self.fisher = fisher.fit(x.double().numpy(), labels.repeat(2).numpy())
        pictures = self._placed(x[: len(labels)]) + self._placed(x[len(labels) :])
        sums = torch.zeros(int(labels.max()) + 1, count)
        self.directions = F.normalize(
            sums.index_add_(0, labels, F.normalize(pictures, dim=1)), dim=1
        )

    def __call__(self, pixels: UInt8[Tensor, "n 1 s s"]) -> Float[Tensor, "n count"]:
        """Where faces lie, as unit vectors; a face and its mirror image lie in one place."""
        parts = [(describe(x) - self.mean) @ self.basis for x in (pixels, pixels.flip(3))]
        return F.normalize(self._placed(parts[0]) + self._placed(parts[1]), dim=1)

    def _placed(self, x: Float[Tensor, "n components"]) -> Float[Tensor, "n count"]:
        return torch.from_numpy(self.fisher.transform(x.double().numpy())).float()
