"""What the HTML report shows of several hosts together, drawn and worded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from collector.reports import figures
from collector.reports.by_host import HOSTS_APART, Line, lines
from collector.reports.charts import starts, strip, waterfall
from collector.reports.charts.svg import NARROW, WIDE
from collector.reports.differences import Differences, differences
from collector.reports.export import SUBJECT
from collector.reports.merged import Merged, MergedFootprintRow, MergedStartupRow
from collector.reports.model import Result
from collector.reports.names import Names, same_kind
from collector.reports.page import FAILURES_SHOWN, Trial, counts

_KIND = SUBJECT[1:]  # without the host


@dataclass(frozen=True, slots=True)
class Level:
    """Start-up over all hosts at one concurrency: the curve of all, and each host's median."""

    concurrency: int
    rows: list[MergedStartupRow]
    curves: list[Markup]
    strips: list[Markup]


@dataclass(frozen=True, slots=True)
class FleetPage:
    """Everything about all hosts together."""

    merged: Merged
    levels: list[Level]
    waterfalls: list[Markup]
    phases: list[tuple[MergedStartupRow, dict[str, MergedStartupRow]]]
    limits: list[Markup]
    costs: list[Markup]
    weighed: list[MergedFootprintRow]
    subjects: list[tuple[int, str]]
    lines: list[Line]
    unfinished: list[Line]
    differences: Differences
    counts: list[tuple[str, str, Counter[str]]]
    failures: list[Trial]
    failures_left_out: int


def fleet_page(result: Result, trials: Sequence[Trial], names: Names) -> FleetPage | None:
    """The part about all hosts; none for a run on one. Attempts are in it where the hosts
    are too many to have parts of their own."""
    merged = result.merged
    if merged is None:
        return None
    told = list(trials) if len(result.hosts) > HOSTS_APART else []
    failures = [trial for trial in told if trial["outcome"] != "ready"]
    found = lines(result, names)
    return FleetPage(
        merged=merged,
        levels=list(_levels(result, merged, trials, names)),
        waterfalls=_waterfalls(merged, names),
        phases=[(row, _of(row, merged)) for row in merged.startup if row.phase == "total"],
        limits=_limits(result, merged, names),
        costs=_costs(result, merged, names),
        weighed=merged.footprint,
        subjects=names.all(),
        lines=found,
        unfinished=[line for line in found if line.host.problem or not line.host.measured],
        differences=differences(result),
        counts=counts(told),
        failures=failures[:FAILURES_SHOWN],
        failures_left_out=max(0, len(failures) - FAILURES_SHOWN),
    )


def _levels(
    result: Result, merged: Merged, trials: Sequence[Trial], names: Names
) -> Iterator[Level]:
    totals = [row for row in merged.startup if row.phase == "total"]
    seconds = _samples(trials)
    curves = {_place(row): _curve(row, seconds.get(_place(row), []), names) for row in totals}
    for level in sorted({row.concurrency for row in totals}):
        here = [row for row in totals if row.concurrency == level]
        shown = [curves[_place(row)] for row in here if curves[_place(row)].seconds]
        label = f"Start-up on all hosts with {level} in flight: share of attempts ready over time"
        drawings = [
            starts.draw(shown, starts.scale_for(curves.values(), width), width, label)
            for width in (WIDE, NARROW)
            if shown
        ]
        yield Level(level, here, drawings, _strips(result, here, level, names))


def _place(row: MergedStartupRow) -> tuple[Any, ...]:
    return (*(getattr(row, key) for key in _KIND), row.concurrency)


def _samples(trials: Iterable[Trial]) -> dict[tuple[Any, ...], list[tuple[float, bool]]]:
    found: dict[tuple[Any, ...], list[tuple[float, bool]]] = {}
    for trial in trials:
        ready = trial["ready_ns"]
        if trial["population"] == "measured" and trial["outcome"] == "ready" and ready is not None:
            place = (*(trial[key] for key in _KIND), trial["concurrency"])
            found.setdefault(place, []).append((ready / 1e9, bool(trial["noisy"])))
    return found


def _curve(
    row: MergedStartupRow, ready: Sequence[tuple[float, bool]], names: Names
) -> starts.Curve:
    return starts.Curve(
        name=names.of(row),
        series=names.series(row),
        seconds=[seconds for seconds, _ in ready],
        noisy=[noisy for _, noisy in ready],
        missing=row.failed + row.timed_out,
        median=row.p50_seconds,
        interval=row.p50_ci_seconds,
    )


def _strips(
    result: Result, merged: Sequence[MergedStartupRow], level: int, names: Names
) -> list[Markup]:
    own = [row for row in result.startup if row.phase == "total" and row.concurrency == level]
    lanes = [
        strip.Lane(
            names.of(row),
            names.series(row),
            [
                (each.host, each.p50_seconds, each.p50_ci_seconds)
                for each in own
                if each.p50_seconds is not None and same_kind(each, row)
            ],
            row.p50_seconds,
            row.p50_ci_seconds,
            row.odd_hosts,
        )
        for row in merged
    ]
    label = f"Median start of each host, {level} in flight"
    axis = "median time from request to ready"
    return _drawn(lanes, label, figures.seconds, figures.seconds_short, axis)


def _limits(result: Result, merged: Merged, names: Names) -> list[Markup]:
    lanes = [
        strip.Lane(
            names.of(row),
            names.series(row),
            [
                (each.host, float(each.instances), None)
                for each in result.density
                if each.instances is not None and same_kind(each, row)
            ],
            row.host_instances[1] if row.host_instances else None,
            row.median_ci,
        )
        for row in merged.density
    ]
    return _drawn(lanes, "Limit of each host", _plain, _whole, "instances a host carries")


def _costs(result: Result, merged: Merged, names: Names) -> list[Markup]:
    lanes = [
        strip.Lane(
            names.of(row),
            names.series(row),
            [
                (each.host, each.bytes_per_instance, each.ci_bytes)
                for each in result.footprint
                if each.bytes_per_instance is not None
                and each.estimator == row.estimator
                and same_kind(each, row)
            ],
            row.bytes_per_instance,
            row.ci_bytes,
            row.odd_hosts,
        )
        for row in merged.footprint
        if row.estimator == "mem_available"
    ]
    label = "Cost of one more instance on each host, by the fall of MemAvailable"
    axis = "bytes of one more instance"
    return _drawn(lanes, label, figures.size, figures.size_short, axis)


def _drawn(
    lanes: Sequence[strip.Lane],
    label: str,
    told: Callable[[float], str],
    tick: Callable[[float], str],
    axis: str,
) -> list[Markup]:
    shown = [lane for lane in lanes if lane.hosts]
    return [strip.draw(shown, width, label, told, tick, axis) for width in (WIDE, NARROW) if shown]


def _plain(value: float) -> str:
    return f"{value:g}"


def _whole(value: float) -> str:
    return f"{value:g}" if value == int(value) else ""


def _waterfalls(merged: Merged, names: Names) -> list[Markup]:
    """Of the lowest concurrency, where the phases are least in one another's way."""
    totals = [row for row in merged.startup if row.phase == "total" and row.p50_seconds is not None]
    if not totals:
        return []
    least = min(row.concurrency for row in totals)
    falls = [
        waterfall.fall(row, _of(row, merged), names.of(row), names.series(row))
        for row in totals
        if row.concurrency == least
    ]
    label = f"Median phases of a start over all hosts, {least} in flight"
    return [waterfall.draw(falls, width, label) for width in (WIDE, NARROW)]


def _of(total: MergedStartupRow, merged: Merged) -> dict[str, MergedStartupRow]:
    return {
        row.phase: row
        for row in merged.startup
        if same_kind(row, total) and row.concurrency == total.concurrency
    }
