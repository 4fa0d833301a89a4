"""What the HTML report shows of several hosts together, drawn and worded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from collector.reports import figures
from collector.reports.by_host import HOSTS_APART, Line, lines
from collector.reports.charts import strip
from collector.reports.charts.svg import NARROW, WIDE
from collector.reports.differences import Differences, differences
from collector.reports.merged import Merged, MergedFootprintRow, MergedStartupRow
from collector.reports.model import Result
from collector.reports.names import Names, same_kind
from collector.reports.page import FAILURES_SHOWN, counts
from collector.reports.start_drawings import Trial, levels, phases, waterfalls


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
        levels=[
            Level(level, rows, curves, _strips(result, rows, level, names))
            for level, rows, curves in levels(merged.startup, trials, names, "all hosts")
        ],
        waterfalls=waterfalls(merged.startup, names, "over all hosts"),
        phases=[
            (row, phases(row, merged.startup)) for row in merged.startup if row.phase == "total"
        ],
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
