"""What `maxprune inspect` found, as tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from maxprune.inspection import KS, Inspection, Layer, MaxoutGain
from maxprune.plural import plural
from maxprune.report.plain import plain_table
from maxprune.report.words import count, percent

SHOWN = 4  # names in one cell
ROWS = 8  # places for a maxout, unless all are wanted
LEFT = ("layer", "kind", "cut", "layers", "along with them")


def inspection_tables(found: Inspection, every: bool = False) -> Iterator[RenderableType]:
    """The layers, the channels that hang together, and where a maxout pays.

    Args:
        found: what `inspect` gives.
        every: show all places for a maxout, and for the other layers why there is none.
    """
    yield _layers(found)
    yield Text()
    yield _groups(found)
    yield Text()
    yield _maxouts(found, every)


def _table(*columns: str) -> Table:
    table = plain_table()
    for column in columns:
        left = column in LEFT
        table.add_column(
            column, justify="left" if left else "right", overflow="fold", no_wrap=not left
        )
    return table


def _titled(title: str, *parts: RenderableType) -> Group:
    return Group(Text(title, style="bold"), *parts)


def _note(text: str) -> Text:
    return Text(text, style="italic")


def _layers(found: Inspection) -> RenderableType:
    """A row for each layer; the reasons stand below, each once."""
    reasons = list(dict.fromkeys(layer.reason for layer in found.layers if layer.reason))
    title = (
        f"{found.network}: {plural(found.parameters, 'parameter')}, {plural(found.macs, 'MAC')} "
        f"for an input of {_shape(found.input_shape)}"
    )
    table = _table("layer", "kind", "output", "params", "share\n%", "MACs", "cut")
    for layer in found.layers:
        table.add_row(
            Text(layer.name or "(itself)"), Text(layer.kind), _shape(layer.shape),
            count(layer.parameters), percent(100 * layer.share), count(layer.macs),
            Text(_cut(layer, reasons)),
        )  # fmt: skip
    notes = [Text(f"({i}) {reason}") for i, reason in enumerate(reasons, 1)]
    caption = _note("MACs: multiply-adds of one sample; cut: can neurons go, alone or with others")
    return _titled(title, table, caption, *notes)


def _cut(layer: Layer, reasons: Sequence[str]) -> str:
    if not layer.group:
        return "-"
    if layer.reason:
        return f"no ({reasons.index(layer.reason) + 1})"
    return "yes" if layer.group == layer.name else f"with {layer.group}"


def _groups(found: Inspection) -> RenderableType:
    free = [group for group in found.groups if not group.reason]
    title = f"{len(free)} of {plural(len(found.groups), 'group')} of channels can be cut"
    table = _table("layers", "channels", "parts", "along with them")
    for group in free:
        others = [member.name for member in group.members if member.name not in group.layers]
        table.add_row(
            Text(_some(group.layers)), count(group.channels),
            count(group.parts) if group.parts > 1 else "-", Text(_some(others)),
        )  # fmt: skip
    caption = _note("channels of one row go together; parts: as many stay in each of them")
    return _titled(title, table, caption) if free else _titled(title)


def _maxouts(found: Inspection, every: bool) -> RenderableType:
    """A row for each layer behind which a maxout can stand, the largest gain first."""
    by_layer: dict[str, dict[int, MaxoutGain]] = {}
    for gain in found.maxouts:
        by_layer.setdefault(gain.layer, {})[gain.k] = gain
    places = {
        layer: gains for layer, gains in by_layer.items()
        if not all(gain.reason for gain in gains.values())
    }  # fmt: skip
    others = {layer: gains for layer, gains in by_layer.items() if layer not in places}
    columns = [f"{what}\nk={k} %" for what in ("params", "MACs") for k in KS]
    table = _table("layer", "neurons", *columns)
    shown = list(places.items())[: None if every else ROWS]
    for layer, gains in shown:
        params = [_share(gains[k], gains[k].parameters, found.parameters) for k in KS]
        macs = [_share(gains[k], gains[k].macs, found.macs) for k in KS]
        table.add_row(Text(layer), count(gains[KS[0]].neurons), *params, *macs)
    caption = _note(
        "share of all parameters and MACs that goes; it costs k retrainings: one with the\n"
        "maxout, one after each of k - 1 cuts"
    )
    parts: list[RenderableType] = [table, caption] if places else []
    if len(shown) < len(places):
        parts.append(Text(f"and behind {plural(len(places) - len(shown), 'more layer')} (--all)"))
    if others and not every:
        parts.append(Text(f"no maxout behind {len(others)} of the layers (--all says why)"))
    elif others:
        parts.append(Text("no maxout behind:", style="bold"))
        parts += [Text(f"  {layer}: {_why(gains)}") for layer, gains in others.items()]
    return _titled("Where a maxout pays, pruned from k neurons a unit down to 1", *parts)


def _why(gains: dict[int, MaxoutGain]) -> str:
    return next(iter(gains.values())).reason


def _share(gain: MaxoutGain, value: int, total: int) -> str:
    return "-" if gain.reason else percent(100 * value / max(total, 1))


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:SHOWN])
    return shown + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "-"
