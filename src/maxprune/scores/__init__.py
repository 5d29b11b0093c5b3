"""Scores: how much does each neuron matter. Pure: tensors in, tensors out.

A score of channels gives, for every group that can be cut, one number a channel, low for what
matters little. All but the wins take the network, its groups and some batches.
"""

from maxprune.scores.damage import obd
from maxprune.scores.fpgm import fpgm
from maxprune.scores.gates import skeletonization
from maxprune.scores.library import bn_scale, library, taylor
from maxprune.scores.lot import random_scores
from maxprune.scores.magnitude import magnitude
from maxprune.scores.pls import Pls, fit_pls
from maxprune.scores.vip import Represented, represent, vip
from maxprune.scores.wins import WinCounts, count_wins, unit_wins
from maxprune.scores.zeros import apoz

__all__ = [
    "Pls",
    "Represented",
    "WinCounts",
    "apoz",
    "bn_scale",
    "count_wins",
    "fit_pls",
    "fpgm",
    "library",
    "magnitude",
    "obd",
    "random_scores",
    "represent",
    "skeletonization",
    "taylor",
    "unit_wins",
    "vip",
]
