"""Measuring: size, accuracy, significance. Nothing here prints."""

from maxprune.measure.accuracy import accuracy, correct, percent, predict
from maxprune.measure.latency import latency_ms
from maxprune.measure.noninferiority import loss_bound
from maxprune.measure.significance import randomization_test
from maxprune.measure.size import macs, nonzero, parameters

__all__ = [
    "accuracy",
    "correct",
    "latency_ms",
    "loss_bound",
    "macs",
    "nonzero",
    "parameters",
    "percent",
    "predict",
    "randomization_test",
]
