"""What a reader must know before believing the figures: one sentence each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from collector.model import HostRun, RunData
from collector.results import foreign
from collector.results.density import Ramp
from collector.results.footprint import EVERY_RUNTIME_HAS, Footprint, series
from collector.results.startup import StartupSample
from collector.results.subjects import Subjects, label
from tonnage.model import (
    Accelerator,
    Notice,
    Outcome,
    Population,
    RunState,
    StageFinished,
    StopReason,
)

# Of one start, and of several.
_SHORTFALLS = {
    Outcome.FAILED: ("failed", "failed"),
    Outcome.TIMED_OUT: ("timed out", "timed out"),
    Outcome.CANCELLED: ("was cancelled", "were cancelled"),
    Outcome.INTERRUPTED: ("was interrupted", "were interrupted"),
}


def cautions(
    data: RunData,
    subjects: Subjects,
    samples: Sequence[StartupSample],
    ramps: Sequence[Ramp],
    footprints: Sequence[Footprint],
) -> list[str]:
    """Every caution once, the gravest first."""
    found = [
        *_of_run(data),
        *(text for host in data.hosts for text in _of_host(host)),
        *_of_accelerators(data),
        *_of_facts(data),
        *(text for sample in samples for text in _of_sample(sample, subjects)),
        *_of_trials(data, subjects),
        *(text for ramp in ramps for text in _of_ramp(ramp, subjects)),
        *_of_series(data, subjects),
        *_of_footprints(footprints, subjects),
    ]
    return list(dict.fromkeys(found))


def _of_run(data: RunData) -> Iterator[str]:
    run = data.run
    if not run.state.ended:
        yield f"The run is {run.state}: these are the figures so far."
    elif run.state is not RunState.FINISHED:
        yield f"The run ended {run.state}: these are the figures it left."
    if run.problem and not any(host.problem for host in data.hosts):  # else theirs, summed up
        yield str(run.problem)


def _of_host(host: HostRun) -> Iterator[str]:
    if host.leaked:
        yield f"{host.host}: these instances survived their removal: {', '.join(host.leaked)}."
    if host.removed:
        yield (
            f"{host.host}: {_count(len(host.removed), 'instance')} had to be removed "
            f"at the end: {', '.join(host.removed)}."
        )
    if host.problem:
        yield f"{host.host}: {host.problem}"
    if host.facts and host.facts.ksm == "on":
        yield (
            f"{host.host}: kernel samepage merging is on, so equal pages of different "
            "instances may count once."
        )


def _of_facts(data: RunData) -> Iterator[str]:
    of_hosts = {(host.host, host.problem) for host in data.hosts}
    for row in data.facts:
        if isinstance(row.fact, Notice):
            where = f"{row.host}, {row.fact.stage_id}" if row.fact.stage_id else row.host
            yield f"{where}: {row.fact.message}"
        elif (
            isinstance(row.fact, StageFinished)
            and row.fact.problem
            and (row.host, row.fact.problem) not in of_hosts
        ):
            yield f"{row.host}, {row.fact.stage_id}: {row.fact.problem}"


def _of_sample(sample: StartupSample, subjects: Subjects) -> Iterator[str]:
    who = f"{label(subjects, sample.key)}, {sample.concurrency} in flight"
    requested = len(sample.trials)
    if not requested:
        yield f"{who}: no trial was made."
        return
    outcomes = Counter(trial.outcome for trial in sample.trials)
    told = [f"{n} {_SHORTFALLS[o][n > 1]}" for o in _SHORTFALLS if (n := outcomes[o])]
    if told:
        yield f"{who}: of {requested} starts {' and '.join(told)}; quantiles are of the ready ones."
    noisy = sum(trial.noisy for trial in sample.trials)
    if noisy:
        yield (
            f"{who}: {noisy} of {requested} starts ({noisy / requested * 100:.0f} %) ran beside "
            "foreign load; they are flagged noisy and counted."
        )
    if sample.key.accelerator is not Accelerator.NONE:
        unmarked = outcomes[Outcome.READY] - len(sample.seconds("kernel"))
        if unmarked:
            yield f"{who}: {unmarked} ready starts lack a mark of kernel or init."


def _of_trials(data: RunData, subjects: Subjects) -> Iterator[str]:
    suspect: Counter[str] = Counter()
    survivors: Counter[str] = Counter()
    digests: dict[tuple[str, str], set[str]] = {}
    for row in data.trials:
        trial = row.trial
        who = label(subjects, subjects.key(row.host, row.target.id))
        suspect[who] += trial.suspect
        survivors[who] += bool(row.end and row.end.error)
        if trial.image_digest and trial.population is not Population.MANUAL:
            place = row.target.runtime, row.target.workload.image
            digests.setdefault(place, set()).add(trial.image_digest)
    for who, n in suspect.items():
        if n:
            yield (
                f"{who}: {_count(n, 'trial')} with marks out of order or negative: "
                "a defect of the measurement, kept and counted."
            )
    for who, n in survivors.items():
        if n:
            yield f"{who}: {_count(n, 'instance')} did not stop as asked; see the trials' ends."
    for (runtime, image), seen in digests.items():
        if len(seen) > 1:
            yield f"{runtime}: {image} was {len(seen)} different images in this run."


def _of_ramp(ramp: Ramp, subjects: Subjects) -> Iterator[str]:
    who = label(subjects, ramp.key)
    if ramp.result is None:
        yield f"{who}: the density ramp did not end, so there is no limit."
    elif ramp.result.stop_reason is StopReason.MAX_INSTANCES:
        yield (
            f"{who}: the ramp reached the count it was given; the host carries "
            f"at least {ramp.result.limit_instances}."
        )
    limit = ramp.result.limit_instances if ramp.result else None
    drift = foreign.under_ramp(ramp.steps, limit)
    if drift and drift.doubtful:
        yield f"{who}: {drift.told('the ramp')}: {_found_by(ramp)} in doubt."


def _found_by(ramp: Ramp) -> str:
    found = {"limit": ramp.result, "forecast": ramp.forecast}
    names = [name for name, value in found.items() if value] or ["steps"]
    return f"its {' and '.join(names)} {'is' if names in (['limit'], ['forecast']) else 'are'}"


def _of_series(data: RunData, subjects: Subjects) -> Iterator[str]:
    for key, points in series(data, subjects):
        drift = foreign.under_series(points)
        if drift and drift.doubtful:
            who = label(subjects, key)
            yield f"{who}: {drift.told('a series')}: its footprint by mem_available is in doubt."


def _of_footprints(footprints: Sequence[Footprint], subjects: Subjects) -> Iterator[str]:
    for footprint in footprints:
        if footprint.estimator in EVERY_RUNTIME_HAS and footprint.cost.value is None:
            who = label(subjects, footprint.key)
            why = footprint.cost.reason if footprint.cost.n_points else "nothing was read"
            yield f"{who}: no footprint by {footprint.estimator}: {why}."


def _of_accelerators(data: RunData) -> Iterator[str]:
    hosts = sorted({row.host for row in data.trials if row.trial.accelerator is Accelerator.TCG})
    if hosts:
        yield (
            f"{', '.join(hosts)}: the virtual machines ran on TCG, which translates every "
            "instruction in software; their figures say nothing of KVM."
        )


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
