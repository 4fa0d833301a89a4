"""What one more instance costs by each estimator, side by side, on a log axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from collector.reports import figures
from collector.reports.charts.scales import Log, log_around
from collector.reports.charts.svg import NARROW, chart, dot, line, text

ESTIMATORS = {
    "mem_available": "fall of MemAvailable",
    "pss": "PSS of its processes",
    "cgroup": "cgroup charge",
    "vmm_overhead": "VMM outside guest RAM",
    "engine": "growth of the engine",
    "disk_base": "disk, once for all",
    "disk_marginal": "disk, each further one",
}
_LANE = 20.0


@dataclass(frozen=True, slots=True)
class Cost:
    """One subject by one estimator; ``value`` is None where it was not measured."""

    name: str
    series: int
    estimator: str
    value: float | None
    interval: tuple[float, float] | None


def draw(costs: Sequence[Cost], width: int, label: str) -> Markup:
    """The chart: a row for each estimator, in it a lane for each subject."""
    left, right = (190.0, 150.0) if width > NARROW else (10.0, 118.0)
    values = [end for cost in costs for end in (cost.value, *(cost.interval or ())) if end]
    across = log_around(values, left, width - right)
    y = 8.0
    parts: list[Markup] = []
    for estimator, name in ESTIMATORS.items():
        lanes = [cost for cost in costs if cost.estimator == estimator]
        if lanes:
            head = 0.0 if width > NARROW else 19.0
            middle = y + head + _LANE * len(lanes) / 2 + 4
            parts.append(text(0, middle if width > NARROW else y + 14, name, "row"))
            for lane, cost in enumerate(lanes):
                parts += _cost(cost, across, y + head + _LANE * (lane + 0.5))
            y += head + _LANE * len(lanes) + 9
            parts.append(line(0, y - 4, width, y - 4, "grid"))
    return chart(width, y + 40, label, [*_axis(across, y, width), *parts])


def _axis(across: Log, y: float, width: int) -> list[Markup]:
    parts = []
    for value in across.ticks(9 if width > NARROW else 4):
        parts.append(line(across(value), 4, across(value), y - 4, "grid"))
        parts.append(text(across(value), y + 14, figures.size_short(value), "tick", "middle"))
    what = "bytes, log scale"
    return [*parts, text(across.end, y + 34, what, "tick", "end")]


def _cost(cost: Cost, across: Log, y: float) -> list[Markup]:
    kind = f"s{cost.series}"
    if cost.value is None:
        return [text(across.start + 4, y + 4, f"{cost.name}: not measured", "absent")]
    told = figures.size(cost.value)
    if cost.value <= 0:
        return [
            dot(across.start, y, 4.5, f"hollow {kind}", f"{cost.name}: {told}"),
            text(across.start + 12, y + 4, told, "value"),
        ]
    parts: list[Markup] = []
    reach = x = across(cost.value)
    if cost.interval:
        low, reach = (across(min(max(end, across.low), across.high)) for end in cost.interval)
        parts.append(line(low, y, reach, y, f"interval {kind}"))
    parts.append(dot(x, y, 4.5, f"point {kind}", f"{cost.name}: {told}"))
    return [*parts, text(max(reach, x) + 10, y + 4, told, "value")]
