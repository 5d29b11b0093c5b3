"""Measuring: size, accuracy, significance. Nothing here prints."""

from maxprune.measure.accuracy import accuracy, correct, percent, predict
from maxprune.measure.significance import randomization_test
from maxprune.measure.size import macs, nonzero, parameters

__all__ = [
    "accuracy",
    "correct",
    "macs",
    "nonzero",
    "parameters",
    "percent",
    "predict",
    "randomization_test",
]
