"""What a reader must know before believing the figures: one sentence each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from collector.model import HostRun, RunData
from collector.reports.figures import seconds, size
from collector.reports.merged import Merged
from collector.results import foreign
from collector.results.caches import unlike
from collector.results.churn import Churned
from collector.results.density import Ramp
from collector.results.footprint import EVERY_RUNTIME_HAS, Footprint, series
from collector.results.groups import without
from collector.results.over_hosts import of_merged, of_partial, of_resumptions, of_unequal
from collector.results.shortfalls import of_samples
from collector.results.startup import StartupSample
from collector.results.subjects import Key, Subjects, measured_hosts, name
from collector.results.told import Told, joined
from tonnage.model import Accelerator, Notice, Population, RunState, StageFinished, StopReason

# Of a drift of memory so much may be other programs', or it is in doubt.
_FOREIGN_SHARE = 0.25


def cautions(
    data: RunData,
    subjects: Subjects,
    samples: Sequence[StartupSample],
    ramps: Sequence[Ramp],
    footprints: Sequence[Footprint],
    churns: Sequence[Churned],
    merged: Merged | None,
) -> list[str]:
    """Every caution once, the gravest first.

    Of a host that measured nothing, where others did, that alone is told.
    """
    idle = {host.host for host in data.hosts} - measured_hosts(data) if merged else set()
    return joined(
        [
            *_of_run(data),
            *of_partial(data),
            *(told for host in data.hosts for told in _of_host(host)),
            *of_resumptions(data),
            *_of_accelerators(data),
            *(of_merged(merged) if merged else ()),
            *(of_unequal(samples, subjects) if merged else ()),
            *_of_facts(data),
            *of_samples(without(idle, samples), subjects, len(data.hosts)),
            *_of_trials(data, subjects),
            *_of_caches(without(idle, samples), subjects),
            *(told for ramp in without(idle, ramps) for told in _of_ramp(ramp, subjects)),
            *_of_series(data, subjects),
            *_of_footprints(without(idle, footprints), subjects),
            *(told for each in without(idle, churns) for told in _of_churn(each, subjects)),
        ]
    )


def _about(subjects: Subjects, key: Key, rest: str) -> Told:
    return Told(rest, key.host, name(subjects, key))


def _of_run(data: RunData) -> Iterator[Told]:
    run = data.run
    if not run.state.ended:
        yield Told(f"The run is {run.state}: these are the figures so far.")
    elif run.state is not RunState.FINISHED:
        yield Told(f"The run ended {run.state}: these are the figures it left.")
    if run.problem and not any(host.problem for host in data.hosts):  # else theirs, summed up
        yield Told(str(run.problem))


def _of_host(host: HostRun) -> Iterator[Told]:
    if host.leaked:
        yield Told(
            f": these instances survived their removal: {', '.join(host.leaked)}.", host.host
        )
    if host.removed:
        yield Told(
            f": {_count(len(host.removed), 'instance')} had to be removed "
            f"at the end: {', '.join(host.removed)}.",
            host.host,
        )
    if host.problem:
        yield Told(f": {host.problem}", host.host)
    if host.facts and host.facts.ksm == "on":
        yield Told(
            ": kernel samepage merging is on, so equal pages of different "
            "instances may count once.",
            host.host,
        )


def _of_facts(data: RunData) -> Iterator[Told]:
    of_hosts = {(host.host, host.problem) for host in data.hosts}
    for row in data.facts:
        if isinstance(row.fact, Notice):
            stage = f", {row.fact.stage_id}" if row.fact.stage_id else ""
            yield Told(f"{stage}: {row.fact.message}", row.host)
        elif (
            isinstance(row.fact, StageFinished)
            and row.fact.problem
            and (row.host, row.fact.problem) not in of_hosts
        ):
            yield Told(f", {row.fact.stage_id}: {row.fact.problem}", row.host)


def _of_trials(data: RunData, subjects: Subjects) -> Iterator[Told]:
    suspect: Counter[tuple[str, str]] = Counter()
    survivors: Counter[tuple[str, str]] = Counter()
    digests: dict[tuple[str, str], set[str]] = {}
    for row in data.trials:
        trial = row.trial
        place = row.host, row.target.id
        suspect[place] += trial.suspect
        survivors[place] += bool(row.end and row.end.error and not row.end.interrupted)
        if trial.image_digest and trial.population is not Population.MANUAL:
            image = row.target.runtime, row.target.workload.image
            digests.setdefault(image, set()).add(trial.image_digest)
    for place in suspect:
        if n := suspect[place]:
            yield _about(
                subjects,
                subjects.key(*place),
                f": {_count(n, 'trial')} with marks out of order or negative: "
                "a defect of the measurement, kept and counted.",
            )
    for place in survivors:
        if n := survivors[place]:
            rest = f": {_count(n, 'instance')} did not stop as asked; see the trials' ends."
            yield _about(subjects, subjects.key(*place), rest)
    for (runtime, image_name), seen in digests.items():
        if len(seen) > 1:
            yield Told(f"{runtime}: {image_name} was {len(seen)} different images in this run.")


def _of_caches(samples: Sequence[StartupSample], subjects: Subjects) -> Iterator[Told]:
    for sample in samples:
        if odd := unlike(subjects.target(sample.key).mode, sample.trials):
            yield _about(subjects, sample.key, f": {odd}.")


def _of_ramp(ramp: Ramp, subjects: Subjects) -> Iterator[Told]:
    if ramp.result is None:
        rest = ": the density ramp did not end, so there is no limit."
        yield _about(subjects, ramp.key, rest)
    elif ramp.result.stop_reason is StopReason.MAX_INSTANCES:
        yield _about(
            subjects,
            ramp.key,
            ": the ramp reached the count it was given; the host carries "
            f"at least {ramp.result.limit_instances}.",
        )
    if ramp.refilled:
        yield _about(subjects, ramp.key, _refilled(ramp.refilled, "the ramp", "its limit"))
    limit = ramp.result.limit_instances if ramp.result else None
    drift = foreign.under_ramp(ramp.steps, limit)
    if drift and drift.doubtful and not _of_its_group(ramp):
        rest = f": {drift.told('the ramp')}: {_found_by(ramp)} in doubt."
        yield _about(subjects, ramp.key, rest)


def _of_its_group(ramp: Ramp) -> bool:
    """Whether limit and forecast come from the ramp's own memory group, which no other
    program's memory is charged to."""
    facts = (ramp.result and ramp.result.stop_reason, ramp.forecast and ramp.forecast.constraint)
    return {StopReason.MEMORY_LIMIT} == {*facts} - {None}


def _refilled(n: int, what: str, figure: str) -> str:
    return (
        f": {_count(n, 'instance')} of {what} had to be launched again after an interruption: "
        f"none counts as a new one, and {figure} is of a host filled twice."
    )


def _found_by(ramp: Ramp) -> str:
    found = {"limit": ramp.result, "forecast": ramp.forecast}
    names = [name for name, value in found.items() if value] or ["steps"]
    return f"its {' and '.join(names)} {'is' if names in (['limit'], ['forecast']) else 'are'}"


def _of_series(data: RunData, subjects: Subjects) -> Iterator[Told]:
    for each in series(data, subjects):
        if each.refilled:
            rest = _refilled(each.refilled, "a series", "its footprint")
            yield _about(subjects, each.key, rest)
        drift = foreign.under_series(each.points)
        if drift and drift.doubtful:
            rest = f": {drift.told('a series')}: its footprint by mem_available is in doubt."
            yield _about(subjects, each.key, rest)


def _of_footprints(footprints: Sequence[Footprint], subjects: Subjects) -> Iterator[Told]:
    for footprint in footprints:
        if footprint.estimator in EVERY_RUNTIME_HAS and footprint.cost.value is None:
            why = footprint.cost.reason
            rest = f": no footprint by {footprint.estimator}: {why}."
            yield _about(subjects, footprint.key, rest)


def _of_churn(of: Churned, subjects: Subjects) -> Iterator[Told]:
    late, slot = of.late_seconds, 1 / of.stage.rate_per_second
    if late is not None and late > slot:
        rest = (
            f": the schedule was not kept: a replacement was {seconds(late)} late, more than the "
            f"{seconds(slot)} between two; the host, or max_in_flight, does not carry this rate."
        )
        yield _about(subjects, of.key, rest)
    if of.died:
        rest = f": {_count(of.died, 'instance')} did not live at a reading of the churn."
        yield _about(subjects, of.key, rest)
    if of.refilled:
        yield _about(subjects, of.key, _refilled(of.refilled, "the churn", "its memory"))
    ours, foreign_drift = of.memory().value, of.foreign().value
    if ours and foreign_drift and abs(foreign_drift) > _FOREIGN_SHARE * abs(ours):
        rest = (
            f": other programs' memory moved by {size(foreign_drift * 3600)} an hour, and memory "
            f"in use by {size(ours * 3600)}: the drift of memory and what was kept are in doubt."
        )
        yield _about(subjects, of.key, rest)


def _of_accelerators(data: RunData) -> Iterator[Told]:
    hosts = sorted({row.host for row in data.trials if row.trial.accelerator is Accelerator.TCG})
    for host in hosts:
        yield Told(
            ": the virtual machines ran on TCG, which translates every "
            "instruction in software; their figures say nothing of KVM.",
            host,
        )


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
