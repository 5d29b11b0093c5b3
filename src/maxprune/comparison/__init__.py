"""Methods side by side: accuracy at equal sizes, with equal retraining."""

from maxprune.comparison.records import Compared, Comparison, Start, Summary
from maxprune.comparison.settings import Comparing

__all__ = ["Compared", "Comparing", "Comparison", "Start", "Summary"]
