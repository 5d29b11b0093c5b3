"""Scores: how much does each neuron matter. Tensors in, tensors out."""

from maxprune.scores.wins import WinCounts, count_wins, unit_wins

__all__ = ["WinCounts", "count_wins", "unit_wins"]
