"""Labels beside points of a plot that do not overlap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.text import Annotation, Text

from maxprune.errors import UsageError
from maxprune.report.figure import GREY, INK

Point = tuple[float, float]
Spot = tuple[float, float, str, str]
Style = Mapping[str, Any]
Boxes = Float[np.ndarray, "boxes 4"]
"""Left, bottom, right and top of boxes on the canvas, in pixels."""


def place_labels(
    axes: Axes, points: Sequence[tuple[float, float, str]], size: float = 8.5, color: str = INK
) -> None:
    """Write a text beside each point, where it covers none of these, no other text and no line.

    All else must be drawn and the layout of the figure fixed. `points` are (x, y, text), in data
    coordinates; the texts are of this size, in points, and colour. Where nothing is free, the place
    that covers least is taken.
    """
    style = {"fontsize": size, "color": color}
    centres = axes.transData.transform([(x, y) for x, y, _ in points])
    blocked = np.hstack([centres - 5.0, centres + 5.0])
    crossed = _drawn(axes)
    for x, y, text in points:
        costs = [
            (_cost(_try(axes, (x, y), text, spot, style), axes, blocked, crossed), place, spot)
            for place, spot in enumerate(_spots())
        ]
        note = _write(axes, (x, y), text, min(costs)[2], style)
        blocked = np.vstack([blocked, _extent(axes, note)])


def _spots() -> Iterator[Spot]:
    """Offsets in points with the alignment of the text, nearest first."""
    for far in (8.0, 18.0, 30.0, 44.0):
        yield 0, far, "center", "bottom"
        yield 0, -far, "center", "top"
        for side, align in ((1, "left"), (-1, "right")):
            yield side * 6.0, far - 3, align, "bottom"
            yield side * 6.0, 3 - far, align, "top"
            if far == 8.0:
                yield side * far, 0, align, "center"


def _write(axes: Axes, point: Point, text: str, spot: Spot, style: Style) -> Annotation:
    """Write the text at a spot; a thin line leads to the point when it is far away."""
    dx, dy, horizontal, vertical = spot
    line = {"arrowstyle": "-", "color": GREY, "lw": 0.6, "shrinkB": 4}
    return axes.annotate(
        text,
        point,
        xytext=(dx, dy),
        textcoords="offset points",
        ha=horizontal,
        va=vertical,
        arrowprops=line if abs(dy) > 10 else None,
        **style,
    )


def _try(axes: Axes, point: Point, text: str, spot: Spot, style: Style) -> Boxes:
    """The box that the text would have at a spot."""
    note = _write(axes, point, text, spot, style)
    box = _extent(axes, note)
    note.remove()
    return box


def _extent(axes: Axes, note: Annotation) -> Boxes:
    """The box of a text, without its line."""
    canvas = axes.get_figure(root=True).canvas  # type: ignore[union-attr]
    if not isinstance(canvas, FigureCanvasAgg):
        raise UsageError("place_labels needs a figure with an Agg canvas")
    renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]
    note.update_positions(renderer)
    return np.asarray(Text.get_window_extent(note, renderer).extents)[None]


def _cost(box: Boxes, axes: Axes, blocked: Boxes, crossed: Boxes) -> float:
    """How much a text would cover, in square pixels; outside the frame costs most."""
    frame = np.asarray(axes.get_window_extent().extents)[None]
    area = _shared(box, box)
    outside = area - _shared(box, frame)
    padded = box + np.array([-1.5, -1.5, 1.5, 1.5])
    return (
        (100 * outside if outside > 0.01 * area else 0.0)
        + 10 * _shared(padded, blocked)
        + _shared(box, crossed)
    )


def _shared(box: Boxes, others: Boxes) -> float:
    """The area that a box shares with others, summed."""
    sides = np.minimum(box[:, 2:], others[:, 2:]) - np.maximum(box[:, :2], others[:, :2])
    return float(np.prod(np.clip(sides, 0, None), axis=1).sum())


def _drawn(axes: Axes) -> Boxes:
    """Small boxes along all lines, and on single points."""
    places = []
    for line in axes.lines:
        corners = line.get_transform().transform(np.asarray(line.get_xydata()))
        joined = line.get_linestyle() != "None" and line.get_linewidth() > 0
        places += [corners] if joined and len(corners) else [corner[None] for corner in corners]
    for lines in axes.collections:
        if isinstance(lines, LineCollection):
            places += [axes.transData.transform(corners) for corners in lines.get_segments()]
    return np.vstack([np.empty((0, 4)), *map(_along, places)])


def _along(corners: Float[np.ndarray, "corners 2"]) -> Boxes:
    """Small boxes along a line on the canvas, one every few pixels."""
    places = [corners[:1]]
    for start, end in pairwise(corners):
        pieces = int(np.hypot(*(end - start)) // 4) + 1
        places.append(np.linspace(start, end, pieces + 1))
    centres = np.vstack(places)
    return np.hstack([centres - 1.0, centres + 1.0])
