"""Measuring: size, accuracy, error rates of verification, significance. Nothing here prints."""

from maxprune.measure.accuracy import accuracy, answers, correct, percent, predict
from maxprune.measure.descriptors import descriptors, verification_distances
from maxprune.measure.distances import DISTANCES, pair_distances
from maxprune.measure.eer_difference import eer_difference_p_value
from maxprune.measure.folds import (
    choose_threshold,
    fold_accuracies,
    mean_and_standard_error,
    verified,
)
from maxprune.measure.latency import latency_ms
from maxprune.measure.noninferiority import loss_bound
from maxprune.measure.significance import randomization_test
from maxprune.measure.size import macs, nonzero, parameters
from maxprune.measure.verification import Roc, roc

__all__ = [
    "DISTANCES",
    "Roc",
    "accuracy",
    "answers",
    "choose_threshold",
    "correct",
    "descriptors",
    "eer_difference_p_value",
    "fold_accuracies",
    "latency_ms",
    "loss_bound",
    "macs",
    "mean_and_standard_error",
    "nonzero",
    "pair_distances",
    "parameters",
    "percent",
    "predict",
    "randomization_test",
    "roc",
    "verification_distances",
    "verified",
]
