"""Tables for the terminal, plots as SVG, and the page: all only read a results file."""

from maxprune.report.cuts import layers_plot, wins_plot
from maxprune.report.page import render_page, write_page
from maxprune.report.plots import accuracy_plot, loss_plot, size_plot
from maxprune.report.roc import roc_plot
from maxprune.report.table import steps_table

__all__ = [
    "accuracy_plot",
    "layers_plot",
    "loss_plot",
    "render_page",
    "roc_plot",
    "size_plot",
    "steps_table",
    "wins_plot",
    "write_page",
]
