"""Every runtime of a run in one table, as Markdown: what an instance costs and how many fit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from statistics import median
from typing import TypeVar

from collector.reports import figures
from collector.reports.model import DensityRow, FootprintRow, HostSummary, Result, RunSummary
from collector.reports.names import Names, same_subject
from collector.reports.rows import Subject
from tonnage.model import StopReason

HEAD = (
    *("runtime", "start p50", "p99", "MemAvailable", "PSS", "cgroup", "VMM overhead"),
    *("disk, once", "disk, each", "carries", "foreseen", "error"),
)
ESTIMATORS = ("mem_available", "pss", "cgroup", "vmm_overhead", "disk_base", "disk_marginal")
NOT_MEASURED = "not measured"
ABSENT = {"vmm_overhead": "no VMM", "cgroup": "no cgroup of its own"}
"""Where an estimator has no row of a runtime."""
MEDIAN_OFF, FAR_OFF = 0.05, 0.10
"""What forecasts may miss by, as shares: in the middle; and each, if that is one instance
or more."""

_ADDRESS = re.compile(r"unix://\S+")
"""An engine's, which is of no use elsewhere."""

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
    return "\n".join([*_title(result), *lines, "", *_forecasts(result), *_notes(result)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _row(result: Result, subject: Subject, name: str) -> list[str]:
    starts = [row for row in _of(subject, result.startup) if row.phase == "total"]
    start = min(starts, key=lambda row: row.concurrency, default=None)
    costs: dict[str, FootprintRow] = {row.estimator: row for row in _of(subject, result.footprint)}
    ramp = next(iter(_of(subject, result.density)), None)
    return [
        f"`{name}`",
        _start(start.p50_seconds, start.p50_reason) if start else NOT_MEASURED,
        _start(start.p99_seconds, start.p99_reason) if start else NOT_MEASURED,
        *(_cost(costs.get(each), ABSENT.get(each, NOT_MEASURED)) for each in ESTIMATORS),
        *_carries(ramp),
    ]


def _start(value: float | None, why: str | None) -> str:
    return figures.seconds(value) if value is not None else why or NOT_MEASURED


def _cost(row: FootprintRow | None, absent: str) -> str:
    if row is None:
        return absent
    value = row.bytes_per_instance
    return figures.size(value) if value is not None else row.reason or NOT_MEASURED


def _of(subject: Subject, rows: Sequence[S]) -> list[S]:
    return [row for row in rows if same_subject(row, subject)]


def _carries(ramp: DensityRow | None) -> tuple[str, str, str]:
    if ramp is None or ramp.instances is None:
        return NOT_MEASURED, figures.NOTHING, figures.NOTHING
    found, foreseen, error = str(ramp.instances), ramp.forecast_instances, ramp.forecast_error
    if ramp.stop_reason == StopReason.MAX_INSTANCES:
        found = f"at least {found}"
    if foreseen is None:
        return found, "ended before", figures.NOTHING
    off = "not reached" if error is None else f"{error * 100:+.1f} %"
    return found, f"{foreseen:.1f} at {ramp.forecast_at_instances}", off


def _title(result: Result) -> list[str]:
    run = result.run
    told = (
        f"Run `{run.id}`, {run.started_at:%Y-%m-%d}, seed {run.seed}, {run.state}. Starts are "
        "from request to ready, one in flight; memory is the slope over the number of instances; "
        f"*carries* is the largest number that held{_budget(run)}, *foreseen* what was stored "
        "at that many instances, before the ramp got there."
    )
    return [f"# Every runtime of one machine: {run.name}", "", told, ""]


def _budget(run: RunSummary) -> str:
    budget = (run.spec.get("density") or {}).get("memory_budget")
    size = figures.binary_size(int(budget)) if isinstance(budget, int | float) else budget
    return f" under a budget of {size}" if size else ""


def missed(result: Result) -> list[str]:
    """What the forecasts owe, in words: nothing if they kept what they are held to."""
    known = _judged(result.density)
    found = []
    if known and (middle := median(abs(error) for error, _ in known)) > MEDIAN_OFF:
        found.append(f"median absolute error {middle * 100:.1f} %, over {MEDIAN_OFF * 100:.0f} %")
    far = [ramp for error, ramp in known if abs(error) > max(FAR_OFF, 1 / (ramp.instances or 1))]
    names = Names(result)
    found += [f"{names.of(ramp)}: more than {FAR_OFF * 100:.0f} % and one off" for ramp in far]
    return found


def _judged(ramps: Sequence[DensityRow]) -> list[tuple[float, DensityRow]]:
    return [(r.forecast_error, r) for r in ramps if r.forecast_error is not None and r.instances]


def _forecasts(result: Result) -> Iterator[str]:
    known, names = _judged(result.density), Names(result)
    if known:
        sizes = [abs(error) for error, _ in known]
        owed = missed(result)
        yield (
            f"Forecasts: median absolute error {median(sizes) * 100:.1f} % (at most "
            f"{MEDIAN_OFF * 100:.0f} % is asked for), largest {max(sizes) * 100:.1f} % (at most "
            f"{FAR_OFF * 100:.0f} %, or one instance), over {len(known)} of "
            f"{len(result.density)} ramps. {'Missed: ' + '; '.join(owed) if owed else 'Kept'}."
        )
        yield ""
    for ramp in result.density:
        if ramp.stop_reason not in (None, StopReason.MEMORY_BUDGET):
            why = (ramp.stop_reason or "").replace("_", " ")
            told = f"`{names.of(ramp)}` ended otherwise than by its budget, {why}"
            constraint = _ADDRESS.sub("its socket", ramp.binding_constraint or "not told.")
            yield f"{told}: {constraint}"
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
    for runtime in host.runtimes:  # without its address, which is of no use elsewhere
        proof = f": {runtime.accelerator_proof}" if runtime.accelerator_proof else ""
        yield f"- `{runtime.name}` {runtime.version}{proof}"
    yield ""
