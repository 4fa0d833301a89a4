"""The whole result of one run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from collector.model import HostRun, Run, RunData
from collector.reports.model import (
    HostSummary,
    Merged,
    Result,
    Resumption,
    RunSummary,
    RuntimeSummary,
)
from collector.results.cautions import cautions
from collector.results.churn import churn_row, churned
from collector.results.comparisons import Compared, Comparer, comparison_row
from collector.results.density import Ramp, density_row, ramps
from collector.results.footprint import Footprint, footprint_row, footprints, series
from collector.results.guests import guest_memories
from collector.results.isolation import isolation_rows
from collector.results.layers import layer_rows
from collector.results.memory_floor import memory_floor_rows
from collector.results.merged import merged_density, merged_footprint, merged_startup
from collector.results.merged_comparisons import MergedComparer
from collector.results.snapshots import snapshot_rows
from collector.results.startup import StartupSample, startup_rows, startup_samples
from collector.results.subjects import Subjects, measured_hosts
from tonnage.model import RunResumed

HOSTS_IN_FULL_DEPTH = 20
"""With more hosts each one's own intervals are of fewer resamples, so that the work is bounded."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def assemble(data: RunData) -> Result:
    """The result of a run from everything stored of it, finished or not.

    Pure: the same data give the same figures, intervals included, since every
    resampling is seeded with the run's seed.
    """
    spec = json.loads(data.run.spec_json) if data.run.spec_json else {}
    subjects = Subjects(data)
    found = _Found(
        samples=startup_samples(data, subjects),
        ramps=ramps(data, subjects),
        footprints=footprints(data, subjects),
    )
    effort = min(1.0, HOSTS_IN_FULL_DEPTH / max(1, len(data.hosts)))
    comparer = Comparer(data, spec, effort)
    compared = [
        *comparer.startup(found.samples),
        *comparer.footprint(found.footprints),
        *comparer.density(found.ramps),
    ]
    churns = churned(data, subjects)
    merged = _merged(data, found, subjects, comparer, compared) if len(data.hosts) > 1 else None
    return Result(
        run=_run(data.run, spec),
        hosts=_hosts(data),
        startup=startup_rows(found.samples, subjects, data.run.seed, effort),
        density=[density_row(ramp, subjects) for ramp in found.ramps],
        footprint=[footprint_row(cost, subjects) for cost in found.footprints],
        churn=[
            churn_row(each, subjects, data.run.seed, comparer.minimum_effect, effort)
            for each in churns
        ],
        isolation=isolation_rows(data, subjects),
        memory_floor=memory_floor_rows(data, subjects),
        snapshots=snapshot_rows(data, subjects),
        comparisons=[comparison_row(each, subjects) for each in compared],
        layers=list(
            layer_rows(
                found.samples,
                list(series(data, subjects)),
                guest_memories(data, subjects),
                subjects,
            )
        ),
        warnings=cautions(
            data, subjects, found.samples, found.ramps, found.footprints, churns, merged
        ),
        merged=merged,
    )


def without_trials(result: Result, removed_at_unix_ns: int) -> Result:
    """The result of a run whose trials were removed since, which says so."""
    removed = utc(removed_at_unix_ns)
    caution = (
        f"The trials of this run were removed on {removed:%Y-%m-%d %H:%M} UTC: these figures were"
        " computed before and are kept, with each step and point; starts are not drawn one by"
        " one, there is nothing to export, and no figure can be computed anew."
    )
    return result.model_copy(
        update={
            "run": result.run.model_copy(update={"trials_removed_at": removed}),
            "warnings": [caution, *result.warnings],
        }
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """What the hosts measured, by kind of experiment."""

    samples: list[StartupSample]
    ramps: list[Ramp]
    footprints: list[Footprint]


def _merged(
    data: RunData,
    found: _Found,
    subjects: Subjects,
    comparer: Comparer,
    compared: Sequence[Compared],
) -> Merged:
    seed, effort = data.run.seed, comparer.effort
    over_hosts = MergedComparer(comparer, subjects, found.samples, found.ramps, found.footprints)
    return Merged(
        hosts=len(measured_hosts(data)),
        startup=merged_startup(found.samples, subjects, seed, effort),
        density=merged_density(found.ramps, subjects, seed),
        footprint=merged_footprint(found.footprints, subjects, seed),
        comparisons=list(over_hosts.rows(compared)),
    )


def _run(run: Run, spec: dict[str, Any]) -> RunSummary:
    return RunSummary(
        id=run.run_id,
        name=run.name,
        state=run.state.value,
        spec=spec,
        seed=run.seed,
        versions=dict(run.versions),
        started_at=utc(run.started_at_unix_ns),
        finished_at=None if run.finished_at_unix_ns is None else utc(run.finished_at_unix_ns),
        problem=str(run.problem) if run.problem else None,
        start_skew_seconds=run.start_skew_seconds,
    )


def _hosts(data: RunData) -> list[HostSummary]:
    measured = measured_hosts(data)
    again: dict[str, list[Resumption]] = {}
    for row in data.facts:
        if isinstance(row.fact, RunResumed):
            again.setdefault(row.host, []).append(Resumption(**asdict(row.fact)))
    return [
        _host(host, host.host in measured, again.get(host.host, []))
        for host in sorted(data.hosts, key=lambda host: host.host)
    ]


def _host(host: HostRun, measured: bool, resumptions: list[Resumption]) -> HostSummary:
    facts = asdict(host.facts) if host.facts else {}
    return HostSummary(
        host=host.host,
        state=host.state.value,
        problem=str(host.problem) if host.problem else None,
        facts=facts | ({"labels": dict(facts["labels"])} if facts else {}),
        runtimes=[
            RuntimeSummary(
                name=found.runtime,
                state=found.state.value,
                version=found.version,
                accelerator=found.accelerator.value,
                accelerator_proof=found.accelerator_proof,
                reason=found.reason,
                components=dict(found.components),
            )
            for found in host.runtimes
        ],
        removed=list(host.removed),
        leaked=list(host.leaked),
        measured=measured,
        resumptions=resumptions,
    )


def utc(unix_ns: int) -> datetime:
    """Nanoseconds since the Unix epoch as a UTC time, to the microsecond."""
    return _EPOCH + timedelta(microseconds=unix_ns // 1000)
