"""Scores: how much does each neuron matter. They only look; nothing is decided or changed.

A score of channels takes the network, its groups and, where it looks at data, some batches. It
gives, for every group that can be cut, one number a channel, low for what matters little.
"""

from maxprune.scores.bn_scale import bn_scale
from maxprune.scores.brain_damage import obd
from maxprune.scores.by_lot import random_scores
from maxprune.scores.channel_wins import channel_wins
from maxprune.scores.fpgm import fpgm
from maxprune.scores.gates import skeletonization, taylor
from maxprune.scores.library import library
from maxprune.scores.magnitude import magnitude
from maxprune.scores.pls import Pls, fit_pls
from maxprune.scores.trimming import apoz
from maxprune.scores.vip import Represented, represent, vip
from maxprune.scores.wins import WinCounts, count_wins, unit_wins

__all__ = [
    "Pls",
    "Represented",
    "WinCounts",
    "apoz",
    "bn_scale",
    "channel_wins",
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
