"""What the HTML report shows, drawn and worded: from a result and its trials."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from collector.reports.by_host import HOSTS_APART
from collector.reports.charts import cost, ramp
from collector.reports.charts.svg import NARROW, WIDE
from collector.reports.model import (
    ChurnRow,
    DensityRow,
    FootprintRow,
    HostSummary,
    IsolationRow,
    MemoryFloorRow,
    Result,
    SnapshotRow,
    StartupRow,
)
from collector.reports.names import Names
from collector.reports.stack_drawings import Pictures, pictures
from collector.reports.start_drawings import Trial, levels, phases, waterfalls

FAILURES_SHOWN = 40

OUTCOMES = ("ready", "failed", "timed_out", "cancelled", "interrupted")
POPULATIONS = {
    "measured": "start-up, measured",
    "warmup": "start-up, warm-up",
    "fill": "fill of a host",
    "again": "fill, launched again",
    "probe": "probe at a fill",
    "churn": "replacement on schedule",
    "manual": "by hand",
}


@dataclass(frozen=True, slots=True)
class Level:
    """Start-up on one host at one concurrency."""

    concurrency: int
    rows: list[StartupRow]
    drawings: list[Markup]


@dataclass(frozen=True, slots=True)
class Climb:
    """One density ramp."""

    row: DensityRow
    name: str
    drawings: list[Markup]


@dataclass(frozen=True, slots=True)
class HostPage:
    """Everything about one host."""

    summary: HostSummary
    levels: list[Level]
    waterfalls: list[Markup]
    phases: list[tuple[StartupRow, dict[str, StartupRow]]]
    climbs: list[Climb]
    costs: list[Markup]
    footprint: list[FootprintRow]
    weighed: list[FootprintRow]
    churn: list[ChurnRow]
    isolation: list[IsolationRow]
    memory_floor: list[MemoryFloorRow]
    snapshots: list[SnapshotRow]
    stacks: Pictures
    counts: list[tuple[str, str, Counter[str]]]
    failures: list[Trial]
    failures_left_out: int


def host_pages(result: Result, trials: Sequence[Trial], names: Names) -> list[HostPage]:
    """One page part for each host, in the result's order; none where they are too many."""
    if len(result.hosts) > HOSTS_APART:
        return []
    by_host: dict[str, list[Trial]] = {}
    for trial in trials:
        by_host.setdefault(str(trial["host"]), []).append(trial)
    return [_host_page(host, result, by_host.get(host.host, []), names) for host in result.hosts]


def _host_page(
    host: HostSummary, result: Result, trials: Sequence[Trial], names: Names
) -> HostPage:
    startup = [row for row in result.startup if row.host == host.host]
    footprint = [row for row in result.footprint if row.host == host.host]
    ramps = [row for row in result.density if row.host == host.host]
    failures = [trial for trial in trials if trial["outcome"] != "ready"]
    return HostPage(
        summary=host,
        levels=[Level(*level) for level in levels(startup, trials, names, host.host)],
        waterfalls=waterfalls(startup, names, f"on {host.host}"),
        phases=[(row, phases(row, startup)) for row in startup if row.phase == "total" and row.n],
        climbs=[_climb(row, names) for row in ramps],
        costs=_costs(host.host, footprint, names),
        footprint=footprint,
        weighed=list({names.series(row): row for row in footprint}.values()),
        churn=[row for row in result.churn if row.host == host.host],
        isolation=[row for row in result.isolation if row.host == host.host],
        memory_floor=[row for row in result.memory_floor if row.host == host.host],
        snapshots=[row for row in result.snapshots if row.host == host.host],
        stacks=pictures(host, [r for r in result.layers if r.host == host.host], names),
        counts=counts(trials),
        failures=failures[:FAILURES_SHOWN],
        failures_left_out=max(0, len(failures) - FAILURES_SHOWN),
    )


def _climb(row: DensityRow, names: Names) -> Climb:
    name = names.of(row)
    label = f"Density ramp of {name} on {row.host}: available memory and start of probes"
    series = names.series(row)
    drawings = [ramp.draw(row, name, series, width, label) for width in (ramp.WIDE, NARROW)]
    return Climb(row, name, drawings)


def _costs(host: str, rows: Sequence[FootprintRow], names: Names) -> list[Markup]:
    costs = [
        cost.Cost(
            names.of(row), names.series(row), row.estimator, row.bytes_per_instance, row.ci_bytes
        )
        for row in rows
    ]
    label = f"Cost of one more instance on {host}, by estimator"
    return [cost.draw(costs, width, label) for width in (WIDE, NARROW) if costs]


def counts(trials: Sequence[Trial]) -> list[tuple[str, str, Counter[str]]]:
    """Outcomes by subject and by why the trial was made."""
    found: dict[tuple[str, str], Counter[str]] = {}
    for trial in trials:
        chip = "" if trial["accelerator"] == "none" else f" ({trial['accelerator'].upper()})"
        again = trial["population"] == "fill" and trial["attempt"] > 1
        place = f"{trial['runtime']}{chip}", "again" if again else trial["population"]
        found.setdefault(place, Counter())[trial["outcome"]] += 1
    order = list(POPULATIONS)
    ordered = sorted(found.items(), key=lambda item: (item[0][0], order.index(item[0][1])))
    return [(who, POPULATIONS[why], outcomes) for (who, why), outcomes in ordered]
