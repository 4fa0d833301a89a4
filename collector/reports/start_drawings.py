"""Curves and waterfalls of starts: of one host's rows, or of those over all hosts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from markupsafe import Markup

from collector.reports.charts import starts, waterfall
from collector.reports.charts.svg import NARROW, WIDE
from collector.reports.export import SUBJECT
from collector.reports.merged import MergedStartupRow
from collector.reports.model import StartupRow
from collector.reports.names import Names, same_kind

Trial = Mapping[str, Any]
Start = TypeVar("Start", StartupRow, MergedStartupRow)
_KIND = SUBJECT[1:]  # without the host


def levels(
    rows: Sequence[Start], trials: Sequence[Trial], names: Names, where: str
) -> Iterator[tuple[int, list[Start], list[Markup]]]:
    """Each concurrency with its totals and their curves, on one scale; ``rows`` and
    ``trials`` are all of one host, or all of all hosts."""
    totals = [row for row in rows if row.phase == "total"]
    ready = _ready(trials)
    curves = [_curve(row, ready.get(_place(vars(row)), []), names) for row in totals]
    for level in sorted({row.concurrency for row in totals}):
        here = [(row, c) for row, c in zip(totals, curves, strict=True) if row.concurrency == level]
        shown = [curve for _, curve in here if curve.seconds]
        label = f"Start-up on {where} with {level} in flight: share of attempts ready over time"
        drawings = [
            starts.draw(shown, starts.scale_for(curves, width), width, label)
            for width in (WIDE, NARROW)
            if shown
        ]
        yield level, [row for row, _ in here], drawings


def _place(of: Trial) -> tuple[Any, ...]:
    return (*(of[key] for key in _KIND), of["concurrency"])


def _ready(trials: Sequence[Trial]) -> dict[tuple[Any, ...], list[tuple[float, bool]]]:
    """Seconds of each measured start that became ready, and whether it was noisy."""
    found: dict[tuple[Any, ...], list[tuple[float, bool]]] = {}
    for trial in trials:
        ready = trial["ready_ns"]
        if trial["population"] == "measured" and trial["outcome"] == "ready" and ready is not None:
            found.setdefault(_place(trial), []).append((ready / 1e9, bool(trial["noisy"])))
    return found


def _curve(row: Start, ready: Sequence[tuple[float, bool]], names: Names) -> starts.Curve:
    return starts.Curve(
        name=names.of(row),
        series=names.series(row),
        seconds=[seconds for seconds, _ in ready],
        noisy=[noisy for _, noisy in ready],
        missing=row.failed + row.timed_out,
        median=row.p50_seconds,
        interval=row.p50_ci_seconds,
    )


def waterfalls(rows: Sequence[Start], names: Names, where: str) -> list[Markup]:
    """Of the lowest concurrency, where the phases are least in one another's way."""
    totals = [row for row in rows if row.phase == "total" and row.p50_seconds is not None]
    if not totals:
        return []
    least = min(row.concurrency for row in totals)
    falls = [
        waterfall.fall(row, phases(row, rows), names.of(row), names.series(row))
        for row in totals
        if row.concurrency == least
    ]
    label = f"Median phases of a start {where}, {least} in flight"
    return [waterfall.draw(falls, width, label) for width in (WIDE, NARROW)]


def phases(total: Start, rows: Sequence[Start]) -> dict[str, Start]:
    """The rows of the same starts by phase; ``rows`` are of one host, or over all."""
    return {
        row.phase: row
        for row in rows
        if same_kind(row, total) and row.concurrency == total.concurrency
    }
