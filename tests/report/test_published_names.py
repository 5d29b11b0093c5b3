"""The names of published networks beside what was measured."""

from __future__ import annotations

from itertools import combinations

from matplotlib.text import Annotation, Text

from maxprune.report.figure import freeze, looks, new_figure
from maxprune.report.frontier import draw_published, name_published
from maxprune.studies.published import CODED, PRUNED


def test_names_cover_no_other_name_and_stay_in_their_panel() -> None:
    for published in (CODED, PRUNED):
        with looks("names"):
            figure = new_figure(4.3)
            _, panel = figure.subplots(1, 2)
            panel.set_xscale("log")
            panel.invert_xaxis()
            panel.plot([800, 3000, 60_000], [1.4, 0.9, 0.5], "o-")
            panel.plot([], [], "o")  # as where nothing was taken
            panel.axhline(0.7)
            draw_published(panel, published)
            freeze(figure)
            name_published(panel, published)
            names = [child for child in panel.get_children() if isinstance(child, Annotation)]
            boxes = [Text.get_window_extent(name) for name in names]  # without the line
        assert sorted(name.get_text() for name in names) == sorted(published)
        assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
        frame = panel.get_window_extent()
        assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)
