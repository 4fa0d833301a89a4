"""The whole result of one run."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from collector.model import HostRun, Run, RunData
from collector.reports.model import HostSummary, Result, RunSummary, RuntimeSummary
from collector.results.cautions import cautions
from collector.results.comparisons import Comparer
from collector.results.density import density_row, ramps
from collector.results.footprint import footprint_row, footprints
from collector.results.startup import startup_rows, startup_samples
from collector.results.subjects import Subjects

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def assemble(data: RunData) -> Result:
    """The result of a run from everything stored of it, finished or not.

    Pure: the same data give the same figures, intervals included, since every
    resampling is seeded with the run's seed.
    """
    spec = json.loads(data.run.spec_json) if data.run.spec_json else {}
    subjects = Subjects(data)
    samples = startup_samples(data, subjects)
    climbs = ramps(data, subjects)
    costs = footprints(data, subjects)
    comparer = Comparer(data, spec, subjects)
    return Result(
        run=_run(data.run, spec),
        hosts=[_host(host) for host in sorted(data.hosts, key=lambda host: host.host)],
        startup=startup_rows(samples, subjects, data.run.seed),
        density=[density_row(ramp, subjects) for ramp in climbs],
        footprint=[footprint_row(cost, subjects) for cost in costs],
        comparisons=[
            *comparer.startup(samples),
            *comparer.footprint(costs),
            *comparer.density(climbs),
        ],
        warnings=cautions(data, subjects, samples, climbs, costs),
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
    )


def _host(host: HostRun) -> HostSummary:
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
    )


def utc(unix_ns: int) -> datetime:
    """Nanoseconds since the Unix epoch as a UTC time, to the microsecond."""
    return _EPOCH + timedelta(microseconds=unix_ns // 1000)
