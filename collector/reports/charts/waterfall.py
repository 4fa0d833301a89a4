"""Where the time of a start goes: its phases one after the other, subjects on one axis."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from collector.reports import figures
from collector.reports.charts.scales import Linear
from collector.reports.charts.svg import NARROW, bar, chart, line, text
from collector.reports.merged import MergedStartupRow
from collector.reports.model import StartupRow
from collector.reports.rows import SOME, phases_of

Start = StartupRow | MergedStartupRow

PHASES = {
    "accept": "accept",
    "create": "create",
    "machine": "machine",
    "kernel": "kernel",
    "init": "init",
    "restore": "restore",
    "userspace": "user space",
}
_ROW, _HEAD, _GAP = 21.0, 26.0, 14.0


@dataclass(frozen=True, slots=True)
class Fall:
    """One subject's median phases in seconds, and the median of the whole."""

    name: str
    series: int
    container: bool
    phases: Mapping[str, float]
    total: float | None


def shown(rows: Iterable[Start]) -> dict[str, str]:
    """The phases that some start of these can have had, by their names."""
    return {phase: PHASES[phase] for phase in phases_of(rows) if phase in PHASES}


def fall(total: Start, found: Mapping[str, Start], name: str, series: int) -> Fall:
    """A subject by its total and the rows of its phases."""
    medians = {phase: row.p50_seconds for phase, row in found.items()}
    return Fall(
        name=name,
        series=series,
        container=total.accelerator == "none",
        phases={p: s for p, s in medians.items() if s is not None and p in PHASES},
        total=total.p50_seconds,
    )


def draw(falls: Sequence[Fall], width: int, label: str) -> Markup:
    """The chart. Phases that a container does not have are named as absent."""
    left, right = (104.0, 78.0) if width > NARROW else (80.0, 62.0)
    seen = {phase for fall in falls for phase in fall.phases}
    phases = {p: name for p, name in PHASES.items() if p in seen or p not in SOME}
    longest = max((_end(fall) for fall in falls), default=1.0) or 1.0
    across = Linear(0, longest, left, width - right)
    parts: list[Markup] = []
    y = 4.0
    for fall in falls:
        parts += _fall(fall, phases, across, y, width)
        y += _HEAD + _ROW * len(phases) + _GAP
    ticks = across.ticks(8 if width > NARROW else 3)
    axis = [line(across(0), y, across(longest), y, "axis")]
    for value in ticks:
        axis.append(line(across(value), 4, across(value), y, "grid"))
        axis.append(text(across(value), y + 17, figures.seconds_short(value), "tick", "middle"))
    axis.append(text(across(longest), y + 34, "time since the request", "tick", "end"))
    return chart(width, y + 42, label, [*axis, *parts])


def _end(fall: Fall) -> float:
    return max(sum(fall.phases.values()), fall.total or 0)


def _fall(
    fall: Fall, phases: Mapping[str, str], across: Linear, y: float, width: int
) -> list[Markup]:
    parts = [text(0, y + 15, fall.name, f"name s{fall.series}")]
    if fall.total is not None:
        parts.append(text(width, y + 15, f"{figures.seconds(fall.total)} in all", "value", "end"))
    begin = 0.0
    y += _HEAD
    for phase, name in phases.items():
        parts.append(text(across(0) - 10, y + 14, name, "row", "end"))
        lasts = fall.phases.get(phase)
        if lasts is None:
            parts.append(text(across(0) + 6, y + 14, _absence(fall, phase), "absent"))
        else:
            told = figures.seconds(lasts)
            width_ = across(lasts) - across(0)
            parts.append(
                bar(across(begin), y + 3, width_, 14, f"bar s{fall.series}", f"{name}: {told}")
            )
            parts.append(text(across(begin) + max(width_, 1) + 6, y + 14, told, "value"))
            begin += lasts
        y += _ROW
    return parts


def _absence(fall: Fall, phase: str) -> str:
    if "restore" in fall.phases and phase in ("machine", "kernel", "init"):
        return "none: it was booted before it was saved"
    if phase == "restore":
        return "none: not from a snapshot"
    if fall.container and phase in ("machine", "kernel"):
        return "none: the host's kernel runs it"
    if phase == "init" and fall.container:
        return "none: no system starts first"
    if phase == "init" and "userspace" in fall.phases:
        return "not told apart: within user space"
    if fall.container and phase == "userspace" and "create" in fall.phases:
        return "not resolved: within create"
    return "no mark"
