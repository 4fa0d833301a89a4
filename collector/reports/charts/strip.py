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
_HEAD, _GAP, _ROW, _TALLEST = 24.0, 16.0, 13.0, 300.0

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
    """The chart; all lanes share one axis, by equal ratios where it spans many."""
    left, right = (96.0, 20.0) if width > NARROW else (64.0, 12.0)
    across = _scale(lanes, left, width - right)
    parts: list[Markup] = []
    y = 2.0
    for lane in lanes:
        height = _height(lane)
        parts += _lane(lane, across, y, height, told, width)
        y += _HEAD + height + _GAP
    ticks = []
    for value in across.ticks(8 if width > NARROW else 4):
        ticks.append(line(across(value), 4, across(value), y, "grid"))
        ticks.append(text(across(value), y + 17, tick(value), "tick", "middle"))
    ticks.append(line(across.start, y, across.end, y, "axis"))
    ticks.append(text(across.end, y + 34, axis, "tick", "end"))
    return chart(width, y + 42, label, [*ticks, *parts])


def _scale(lanes: Sequence[Lane], start: float, end: float) -> Linear | Log:
    values = [value for lane in lanes for _, value, _ in lane.hosts]
    if min(values) > 0 and max(values) / min(values) > 4:
        return log_around(values, start, end, 1.15)
    room = (max(values) - min(values)) * 0.12 or abs(max(values)) * 0.1 or 1.0
    return Linear(min(values) - room, max(values) + room, start, end)


def _height(lane: Lane) -> float:
    return min(_TALLEST, _ROW * len(lane.hosts))


def _lane(
    lane: Lane, across: Linear | Log, y: float, height: float, told: Told, width: int
) -> list[Markup]:
    kind = f"s{lane.series}"
    n = len(lane.hosts)
    parts = [text(0, y + 14, lane.name, f"name {kind}")]
    top = y + _HEAD
    if lane.interval:
        low, high = (_within(end, across) for end in lane.interval)
        parts.append(area(low, top, high - low, height, f"band {kind}"))
    if lane.middle is not None:
        x = _within(lane.middle, across)
        parts.append(line(x, top, x, top + height, f"limit {kind}"))
        summary = f"{told(lane.middle)} over {n} host{'' if n == 1 else 's'}"
        parts.append(text(width, y + 14, summary, "value", "end"))
    step = height / n
    odd = [host for host in lane.odd if n > NAMES_SHOWN][:ODD_SHOWN]
    ordered = sorted(lane.hosts, key=lambda each: (each[1], each[0]))
    for rank, (host, value, interval) in enumerate(ordered):
        at, x = top + step * (rank + 0.5), _within(value, across)
        if interval and n <= INTERVALS_SHOWN:
            low, high = (_within(end, across) for end in interval)
            parts.append(line(low, at, high, at, f"{'interval' if step > 6 else 'whisker'} {kind}"))
        mark = "hollow" if host in lane.odd else "point"
        parts.append(
            dot(x, at, min(4.0, max(1.6, step / 2)), f"{mark} {kind}", f"{host}: {told(value)}")
        )
        if n <= NAMES_SHOWN:
            parts.append(text(across.start - 8, at + 4, _short(host), "tick", "end"))
    parts += _odd_names(ordered, odd, across, top, step)
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
