"""One figure of every host, the least on top: a dot a host, however many there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from collector.reports.charts.scales import Linear, Log, log_around
from collector.reports.charts.svg import NARROW, area, chart, dot, line, text

INTERVALS_SHOWN = 150
NAMES_SHOWN = 25
ODD_SHOWN = 6
_HEAD, _AXIS, _ROW, _TALLEST = 24.0, 34.0, 13.0, 300.0

Told = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Lane:
    """One subject: hosts with their figures, and the figure over all of them."""

    name: str
    series: int
    hosts: Sequence[tuple[str, float, tuple[float, float] | None]]
    middle: float | None
    interval: tuple[float, float] | None
    odd: Sequence[str] = field(default=())


def draw(
    lanes: Sequence[Lane], width: int, label: str, told: Told, tick: Told, axis: str
) -> Markup:
    """The chart. Each lane has an axis of its own: what it shows is how hosts differ.

    No mark stands where ``tick`` has no text for it.
    """
    left, right = (96.0, 20.0) if width > NARROW else (64.0, 12.0)
    parts: list[Markup] = []
    y = 2.0
    for lane in lanes:
        across = _scale(lane, left, width - right)
        bottom = y + _HEAD + _height(lane)
        for value in across.ticks(8 if width > NARROW else 4):
            if not tick(value):
                continue
            parts.append(line(across(value), y + _HEAD, across(value), bottom, "grid"))
            parts.append(text(across(value), bottom + 17, tick(value), "tick", "middle"))
        parts.append(line(across.start, bottom, across.end, bottom, "axis"))
        parts += _lane(lane, across, y, told, width)
        y = bottom + _AXIS
    parts.append(text(width - right, y + 2, axis, "tick", "end"))
    return chart(width, y + 10, label, parts)


def _scale(lane: Lane, start: float, end: float) -> Linear | Log:
    """Even, from the least to the greatest; by equal ratios where that is many times as much."""
    values = [value for _, value, _ in lane.hosts]
    if min(values) > 0 and max(values) / min(values) > 8:
        return log_around(values, start, end, 1.15)
    reaches = sorted((ends[1] - ends[0]) / 2 for _, _, ends in lane.hosts if ends)
    usual = reaches[len(reaches) // 2] if reaches else 0.0
    room = max((max(values) - min(values)) * 0.1, usual) or abs(max(values)) * 0.1 or 1.0
    return Linear(min(values) - room, max(values) + room, start, end)


def _height(lane: Lane) -> float:
    return min(_TALLEST, _ROW * len(lane.hosts))


def _lane(lane: Lane, across: Linear | Log, y: float, told: Told, width: int) -> list[Markup]:
    kind, top, height = f"s{lane.series}", y + _HEAD, _height(lane)
    parts = [text(0, y + 14, lane.name, f"name {kind}")]
    if lane.interval:
        low, high = (_within(end, across) for end in lane.interval)
        parts.append(area(low, top, high - low, height, f"band {kind}"))
    if lane.middle is not None:
        x = _within(lane.middle, across)
        parts.append(line(x, top, x, top + height, f"limit {kind}"))
        hosts = f"{len(lane.hosts)} host{'' if len(lane.hosts) == 1 else 's'}"
        parts.append(text(width, y + 14, f"{told(lane.middle)} over {hosts}", "value", "end"))
    ordered = sorted(lane.hosts, key=lambda each: (each[1], each[0]))
    step = height / len(ordered)
    for rank, (host, value, interval) in enumerate(ordered):
        at = top + step * (rank + 0.5)
        if interval and len(ordered) <= INTERVALS_SHOWN:
            low, high = (_within(end, across) for end in interval)
            parts.append(line(low, at, high, at, f"{'interval' if step > 6 else 'whisker'} {kind}"))
        mark = f"{'hollow' if host in lane.odd else 'point'} {kind}"
        title = f"{host}: {told(value)}"
        parts.append(dot(_within(value, across), at, min(4.0, max(1.6, step / 2)), mark, title))
        if len(ordered) <= NAMES_SHOWN:
            parts.append(text(across.start - 8, at + 4, _short(host), "tick", "end"))
    if len(ordered) > NAMES_SHOWN:
        parts += _odd_names(ordered, lane.odd[:ODD_SHOWN], across, top, step)
    return parts


def _odd_names(
    ordered: Sequence[tuple[str, float, object]],
    odd: Sequence[str],
    across: Linear | Log,
    top: float,
    step: float,
) -> list[Markup]:
    """Names beside the dots that stand apart, as far as they do not cover one another."""
    parts: list[Markup] = []
    free = top - 20.0
    for rank, (host, value, _) in enumerate(ordered):
        at = top + step * (rank + 0.5)
        if host in odd and at - free >= 12:
            x = _within(value, across)
            right = x > (across.start + across.end) / 2
            parts.append(
                text(x - 9 if right else x + 9, at + 4, host, "tick", "end" if right else "start")
            )
            free = at
    return parts


def _within(value: float, across: Linear | Log) -> float:
    low = max(value, across.low) if isinstance(across, Log) else value
    return min(max(across(low), across.start), across.end)


def _short(host: str) -> str:
    return host if len(host) <= 13 else f"{host[:12]}…"
