"""Scores: how much does each neuron matter. Pure: tensors in, tensors out."""

from maxprune.scores.magnitude import chance, magnitude
from maxprune.scores.wins import WinCounts, count_wins, unit_wins

__all__ = ["WinCounts", "chance", "count_wins", "magnitude", "unit_wins"]
