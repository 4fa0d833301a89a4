"""A density ramp: what each further instance took from the host, to the limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from markupsafe import Markup

from collector.reports import figures
from collector.reports.charts.scales import Linear
from collector.reports.charts.svg import chart, dot, element, line, path, text
from collector.reports.model import DensityRow, DensityStep

WIDE = 448
_LEFT, _RIGHT, _LANE, _PANEL, _GAP = 62.0, 18.0, 58.0, 120.0, 34.0

Points = Sequence[tuple[DensityStep, float]]


def draw(row: DensityRow, name: str, series: int, width: int, label: str) -> Markup:
    """Forecast and limit above; available memory and the probes' start below, on one axis."""
    across = Linear(0, _most(row), _LEFT, width - _RIGHT)
    kind = f"s{series}"
    # A ramp that closes in on its limit goes down and up: the line follows the count.
    steps = sorted(row.steps, key=lambda step: step.instances)
    memory = [(s, s.mem_available_bytes) for s in steps if s.mem_available_bytes]
    probes = [(s, s.probe_p50_seconds) for s in steps if s.probe_p50_seconds]
    parts = _lane(row, across, kind)
    y = _LANE
    for points, title, told in (
        (memory, "memory available on the host", figures.size_short),
        (probes, "start of a probe at that fill, median", figures.seconds_short),
    ):
        if points:
            parts += _panel(points, across, y, title, told, f"{name}: ", kind)
            y += _PANEL + _GAP
    if row.instances is not None:
        at = across(row.instances)
        parts.append(line(at, 42, at, y - _GAP, f"limit {kind}"))
    parts += _axis(across, y - _GAP + 4)
    return chart(width, y + 18, label, parts)


def _most(row: DensityRow) -> float:
    """The end of the axis: all that was reached, and of the forecast what leaves that room."""
    reached = max([step.instances for step in row.steps] + [row.instances or 0, 1])
    foreseen = max(row.forecast_instances or 0, (row.forecast_ci or (0, 0))[1])
    return max(float(reached), min(foreseen, 1.5 * reached))


def _lane(row: DensityRow, across: Linear, kind: str) -> list[Markup]:
    """Limit and forecast as marks on a line of their own."""
    parts = [line(across.start, 36, across.end, 36, "grid")]
    if row.forecast_instances is not None:
        low, high = row.forecast_ci or (row.forecast_instances,) * 2
        x = across(min(row.forecast_instances, across.high))
        title = f"forecast {row.forecast_instances:.0f}"
        parts.append(line(across(low), 36, across(min(high, across.high)), 36, f"interval {kind}"))
        parts.append(
            element(
                "path",
                element("title", title),
                d=f"M{x:.1f} 29l7 7l-7 7l-7 -7Z",
                class_=f"hollow {kind}",
            )
        )
    if row.instances is not None:
        at = across(row.instances)
        parts.append(dot(at, 36, 4.5, f"point {kind}", f"limit {row.instances}"))
    parts.append(text(0, 14, _summary(row), "value"))
    return parts


def _summary(row: DensityRow) -> str:
    told = []
    if row.instances is not None:
        told.append(f"● limit {row.instances}")
    if row.forecast_instances is not None:
        span = f" ({row.forecast_ci[0]:.0f}–{row.forecast_ci[1]:.0f})" if row.forecast_ci else ""
        told.append(
            f"◇ forecast {row.forecast_instances:.0f}{span}, at {row.forecast_at_instances}"
        )
    return "\N{EM SPACE}".join(told) or "the ramp has not ended"


def _panel(
    points: Points,
    across: Linear,
    top: float,
    title: str,
    told: Callable[[float], str],
    who: str,
    kind: str,
) -> list[Markup]:
    values = [value for _, value in points]
    room = (max(values) - min(values)) * 0.15 or max(values) * 0.1
    up = Linear(min(values) - room, max(values) + room, top + _PANEL, top + 18)
    parts = [text(0, top + 8, title, "panel")]
    for value in up.ticks(3):
        parts.append(line(across.start, up(value), across.end, up(value), "grid"))
        parts.append(text(across.start - 8, up(value) + 4, told(value), "tick", "end"))
    line_of = [(across(step.instances), up(value)) for step, value in points]
    parts.append(path(line_of, f"curve {kind}"))
    for (x, y), (step, value) in zip(line_of, points, strict=True):
        held = "" if step.met_slo else ", not every demand held"
        title = f"{who}{step.instances} instances, {told(value)}{held}"
        parts.append(dot(x, y, 3, f"{'point' if step.met_slo else 'hollow'} {kind}", title))
    return parts


def _axis(across: Linear, y: float) -> list[Markup]:
    parts = [line(across.start, y, across.end, y, "axis")]
    for value in across.ticks(6):
        if value == int(value):
            parts.append(line(across(value), y, across(value), y + 5, "axis"))
            parts.append(text(across(value), y + 19, f"{value:.0f}", "tick", "middle"))
    parts.append(text(across.end, y + 34, "instances", "tick", "end"))
    return parts
