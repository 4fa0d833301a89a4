"""How start-up is distributed: for each duration, the share of attempts ready by then."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from collector.reports import figures
from collector.reports.charts.scales import Linear, Log, log_around
from collector.reports.charts.svg import NARROW, chart, dot, line, path, text

POINTS_SHOWN = 150
STEPS_SHOWN = 3000


@dataclass(frozen=True, slots=True)
class Curve:
    """One subject's attempts: durations of the ready ones, and how many never were."""

    name: str
    series: int
    seconds: Sequence[float]
    noisy: Sequence[bool]
    missing: int
    median: float | None
    interval: tuple[float, float] | None


def scale_for(curves: Iterable[Curve], width: int) -> Log:
    """One time axis for several charts, so that they can be compared by eye."""
    left, right = _margins(width)
    return log_around([s for curve in curves for s in curve.seconds], left, width - right)


def _margins(width: int) -> tuple[float, float]:
    return (44.0, 16.0) if width > NARROW else (38.0, 14.0)


def draw(curves: Sequence[Curve], across: Log, width: int, label: str) -> Markup:
    """The chart; a curve that stops short of 100 % had attempts that were never ready."""
    top, height = 14.0, 268.0 if width > NARROW else 238.0
    up = Linear(0, 1, height - 52, top)
    parts = [*_grid(across, up, width), *(part for c in curves for part in _curve(c, across, up))]
    return chart(width, height, label, parts)


def _grid(across: Log, up: Linear, width: int) -> list[Markup]:
    parts = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = up(share)
        parts.append(line(across.start, y, across.end, y, "grid"))
        parts.append(text(across.start - 8, y + 4, figures.percent(share), "tick", "end"))
    for value in across.ticks(10 if width > NARROW else 5):
        x = across(value)
        parts.append(line(x, up(0), x, up(0) + 5, "axis"))
        parts.append(text(x, up(0) + 20, figures.seconds_short(value), "tick", "middle"))
    parts.append(line(across.start, up(0), across.end, up(0), "axis"))
    what = "time from request to ready, log scale"
    parts.append(text(across.end, up(0) + 40, what, "tick", "end"))
    return parts


def _curve(curve: Curve, across: Log, up: Linear) -> list[Markup]:
    order = sorted(range(len(curve.seconds)), key=lambda i: curve.seconds[i])
    ready = [i for i in order if curve.seconds[i] > 0]
    attempts = len(curve.seconds) + curve.missing
    if not ready:
        return []
    steps = [(across(curve.seconds[ready[0]]), up(0))]
    for rank, i in _thinned(ready):
        x = across(curve.seconds[i])
        steps += [(x, steps[-1][1]), (x, up(rank / attempts))]
    steps.append((across.end, steps[-1][1]))
    kind = f"s{curve.series}"
    parts = [path(steps, f"curve {kind}")]
    if len(ready) <= POINTS_SHOWN:
        parts += [
            dot(
                across(curve.seconds[i]),
                up(rank / attempts),
                2.2,
                f"{'hollow' if curve.noisy[i] else 'point'} {kind}",
                f"{curve.name}: {figures.seconds(curve.seconds[i])}"
                f"{', noisy' if curve.noisy[i] else ''}",
            )
            for rank, i in enumerate(ready, 1)
        ]
    return parts + _median(curve, across, up(len(ready) / attempts / 2), kind)


def _thinned(ready: Sequence[int]) -> list[tuple[int, int]]:
    """Ranks from 1 with what holds them; of very many, so many that no pixel is missed."""
    every = -(-len(ready) // STEPS_SHOWN)
    return [
        (rank, i) for rank, i in enumerate(ready, 1) if rank % every == 0 or rank in (1, len(ready))
    ]


def _median(curve: Curve, across: Log, y: float, kind: str) -> list[Markup]:
    if curve.median is None or curve.median <= 0:
        return []
    title = f"{curve.name}: median {figures.seconds(curve.median)}"
    parts = []
    if curve.interval and curve.interval[0] > 0:
        low, high = (across(end) for end in curve.interval)
        parts.append(line(low, y, high, y, f"interval {kind}"))
        title += f", 95 % interval {figures.seconds_span(curve.interval)}"
    return [*parts, dot(across(curve.median), y, 5.5, f"median {kind}", title)]
