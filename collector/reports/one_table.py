"""Every runtime of a run in one table, as Markdown: what an instance costs and how many fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median
from typing import TypeVar

from collector.reports import figures
from collector.reports.model import DensityRow, HostSummary, Result, RunSummary
from collector.reports.names import Names, same_subject
from collector.reports.rows import Subject

HEAD = (
    *("runtime", "start p50", "p99", "MemAvailable", "PSS", "cgroup", "VMM overhead"),
    *("disk, once", "disk, each", "carries", "foreseen", "error"),
)
ESTIMATORS = ("mem_available", "pss", "cgroup", "vmm_overhead", "disk_base", "disk_marginal")
FAR_OFF = 0.10
"""A forecast may miss by this share or by one instance, whichever is more."""

S = TypeVar("S", bound=Subject)


def render(result: Result) -> str:
    """The table with the conditions it was measured under; subjects in the run's order."""
    names = Names(result)
    subjects: list[Subject] = []
    for row in [*result.startup, *result.footprint, *result.density]:
        if not any(same_subject(row, known) for known in subjects):
            subjects.append(row)
    rows = [_row(result, subject, names.of(subject)) for subject in subjects]
    lines = [_line(HEAD), _line(["---"] * len(HEAD)), *map(_line, rows)]
    return "\n".join([*_title(result), *lines, "", *_forecasts(result.density), *_notes(result)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _row(result: Result, subject: Subject, name: str) -> list[str]:
    starts = [row for row in _of(subject, result.startup) if row.phase == "total"]
    start = min(starts, key=lambda row: row.concurrency, default=None)
    costs: dict[str, float | None] = {
        row.estimator: row.bytes_per_instance for row in _of(subject, result.footprint)
    }
    ramp = next(iter(_of(subject, result.density)), None)
    return [
        f"`{name}`",
        figures.seconds(start.p50_seconds if start else None),
        figures.seconds(start.p99_seconds if start else None),
        *(figures.size(costs.get(each)) for each in ESTIMATORS),
        *_carries(ramp),
    ]


def _of(subject: Subject, rows: Sequence[S]) -> list[S]:
    return [row for row in rows if same_subject(row, subject)]


def _carries(ramp: DensityRow | None) -> tuple[str, str, str]:
    if ramp is None or ramp.instances is None:
        return (figures.NOTHING,) * 3
    foreseen, error = ramp.forecast_instances, ramp.forecast_error
    return (
        str(ramp.instances),
        figures.NOTHING if foreseen is None else f"{foreseen:.1f}",
        figures.NOTHING if error is None else f"{error * 100:+.1f} %",
    )


def _title(result: Result) -> list[str]:
    run = result.run
    told = (
        f"Run `{run.id}`, {run.started_at:%Y-%m-%d}, seed {run.seed}, {run.state}. Starts are "
        "from request to ready, one in flight; memory is the slope over the number of instances; "
        f"*carries* is the largest number that held{_budget(run)}, *foreseen* what was stored "
        "before the ramp got there. A dash was not measured, or had too few samples (p99 needs "
        "300)."
    )
    return [f"# Every runtime of one machine: {run.name}", "", told, ""]


def _budget(run: RunSummary) -> str:
    budget = (run.spec.get("density") or {}).get("memory_budget")
    size = figures.binary_size(int(budget)) if isinstance(budget, int | float) else budget
    return f" under a budget of {size}" if size else ""


def _forecasts(ramps: Sequence[DensityRow]) -> Iterator[str]:
    known = [
        (abs(ramp.forecast_error), ramp)
        for ramp in ramps
        if ramp.forecast_error is not None and ramp.instances
    ]
    if known:
        far = [r for e, r in known if e > FAR_OFF and e * (r.instances or 0) > 1]
        yield (
            f"Forecasts: median absolute error {median(e for e, _ in known) * 100:.1f} %, largest "
            f"{max(e for e, _ in known) * 100:.1f} %, over {len(known)} ramps; "
            f"{len(far) or 'none'} missed by more than 10 % and one instance."
        )
        yield ""


def _notes(result: Result) -> Iterator[str]:
    for host in result.hosts:
        yield from _host(host)
    if result.warnings:
        yield "## Before you believe it"
        yield ""
        yield from (f"- {warning}" for warning in result.warnings)
        yield ""


def _host(host: HostSummary) -> Iterator[str]:
    facts = host.facts
    yield "## Conditions"
    yield ""
    if facts:
        yield (
            f"{facts['os']}, Linux {facts['kernel']}, {facts['cpus']} CPUs ({facts['cpu_model']}), "
            f"{figures.size(facts['memory_bytes'])}, cgroup {facts['cgroup']}, itself virtual: "
            f"{facts['virtualization'] or 'no sign of it'}."
        )
        yield ""
    yield from (
        f"- `{runtime.name}` {runtime.version}: {runtime.accelerator_proof or runtime.reason}"
        for runtime in host.runtimes
    )
    yield ""
