"""What the HTML report shows, drawn and worded: from a result and its trials."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from collector.reports.by_host import HOSTS_APART
from collector.reports.charts import cost, ramp, starts, waterfall
from collector.reports.charts.svg import NARROW, WIDE
from collector.reports.export import SUBJECT
from collector.reports.model import DensityRow, FootprintRow, HostSummary, Result, StartupRow
from collector.reports.names import Names, same_subject

Trial = Mapping[str, Any]
FAILURES_SHOWN = 40

OUTCOMES = ("ready", "failed", "timed_out", "cancelled", "interrupted")
POPULATIONS = {
    "measured": "start-up, measured",
    "warmup": "start-up, warm-up",
    "fill": "fill of a host",
    "again": "fill, launched again",
    "probe": "probe at a fill",
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
        levels=list(_levels(host.host, startup, trials, names)),
        waterfalls=_waterfalls(host.host, startup, names),
        phases=_phases(startup),
        climbs=[_climb(row, names) for row in ramps],
        costs=_costs(host.host, footprint, names),
        footprint=footprint,
        weighed=list({names.series(row): row for row in footprint}.values()),
        counts=counts(trials),
        failures=failures[:FAILURES_SHOWN],
        failures_left_out=max(0, len(failures) - FAILURES_SHOWN),
    )


def _levels(
    host: str, rows: Sequence[StartupRow], trials: Sequence[Trial], names: Names
) -> Iterator[Level]:
    totals = [row for row in rows if row.phase == "total"]
    samples = _samples(trials)
    curves = {_place(row): _curve(row, samples.get(_place(row), []), names) for row in totals}
    for level in sorted({row.concurrency for row in totals}):
        here = [row for row in totals if row.concurrency == level]
        shown = [curves[_place(row)] for row in here if curves[_place(row)].seconds]
        label = f"Start-up on {host} with {level} in flight: share of attempts ready over time"
        drawings = [
            starts.draw(shown, starts.scale_for(curves.values(), width), width, label)
            for width in (WIDE, NARROW)
            if shown
        ]
        yield Level(level, here, drawings)


def _place(row: StartupRow) -> tuple[Any, ...]:
    return (*(getattr(row, key) for key in SUBJECT), row.concurrency)


def _samples(trials: Sequence[Trial]) -> dict[tuple[Any, ...], list[Trial]]:
    samples: dict[tuple[Any, ...], list[Trial]] = {}
    for trial in trials:
        if trial["population"] == "measured":
            place = (*(trial[key] for key in SUBJECT), trial["concurrency"])
            samples.setdefault(place, []).append(trial)
    return samples


def _curve(row: StartupRow, trials: Sequence[Trial], names: Names) -> starts.Curve:
    ready = [t for t in trials if t["outcome"] == "ready" and t["ready_ns"] is not None]
    return starts.Curve(
        name=names.of(row),
        series=names.series(row),
        seconds=[trial["ready_ns"] / 1e9 for trial in ready],
        noisy=[bool(trial["noisy"]) for trial in ready],
        missing=row.failed + row.timed_out,
        median=row.p50_seconds,
        interval=row.p50_ci_seconds,
    )


def _waterfalls(host: str, rows: Sequence[StartupRow], names: Names) -> list[Markup]:
    """Of the lowest concurrency, where the phases are least in one another's way."""
    totals = [row for row in rows if row.phase == "total" and row.p50_seconds is not None]
    if not totals:
        return []
    least = min(row.concurrency for row in totals)
    falls = [
        waterfall.fall(row, _of(row, rows), names.of(row), names.series(row))
        for row in totals
        if row.concurrency == least
    ]
    label = f"Median phases of a start on {host}, {least} in flight"
    return [waterfall.draw(falls, width, label) for width in (WIDE, NARROW)]


def _of(total: StartupRow, rows: Sequence[StartupRow]) -> dict[str, StartupRow]:
    return {
        row.phase: row
        for row in rows
        if same_subject(row, total) and row.concurrency == total.concurrency
    }


def _phases(rows: Sequence[StartupRow]) -> list[tuple[StartupRow, dict[str, StartupRow]]]:
    return [(row, _of(row, rows)) for row in rows if row.phase == "total" and row.n]


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
