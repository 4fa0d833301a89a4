"""What starts came to nothing, were noisy or lacked a mark: of each host, or of all together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from collector.reports.by_host import HOSTS_APART
from collector.reports.names import some_of
from collector.results.groups import by_subject
from collector.results.startup import StartupSample
from collector.results.subjects import Subjects, name
from collector.results.told import Told
from tonnage.model import Accelerator, Mode, Outcome

# Of one start, and of several.
_SHORTFALLS = {
    Outcome.FAILED: ("failed", "failed"),
    Outcome.TIMED_OUT: ("timed out", "timed out"),
    Outcome.CANCELLED: ("was cancelled", "were cancelled"),
    Outcome.INTERRUPTED: ("was interrupted", "were interrupted"),
}


def of_samples(samples: Sequence[StartupSample], subjects: Subjects, hosts: int) -> Iterator[Told]:
    """The shortfalls of every sample: host by host, or over many hosts."""
    if hosts <= HOSTS_APART:
        for sample in samples:
            yield from _of([sample], subjects)
        return
    for group in by_subject(samples, subjects, lambda sample: sample.concurrency).values():
        yield from _of([sample for sample in group if sample.requested], subjects)
        idle = [sample.key.host for sample in group if not sample.requested]
        if idle:
            who = f"{name(subjects, group[0].key)} on {some_of(idle)}"
            yield Told(f"{who}, {group[0].concurrency} in flight: no trial was made.")


def _of(samples: Sequence[StartupSample], subjects: Subjects) -> Iterator[Told]:
    """Of samples of one subject at one concurrency."""
    if not samples:
        return
    first = samples[0]
    where = first.key.host if len(samples) == 1 else f"{len(samples)} hosts"
    who = f"{name(subjects, first.key)} on {where}, {first.concurrency} in flight"
    requested = sum(sample.requested for sample in samples)
    if not requested:
        yield Told(f"{who}: no trial was made.")
        return
    outcomes = sum((sample.counts() for sample in samples), Counter[Outcome]())
    told = [f"{n} {_SHORTFALLS[o][n > 1]}" for o in _SHORTFALLS if (n := outcomes[o])]
    if told:
        again = _made_again(sum(len(sample.retried) for sample in samples))
        yield Told(
            f"{who}: of {requested} starts {' and '.join(told)}{again}; "
            f"quantiles are of the ready ones.{_most(samples)}"
        )
    noisy = sum(trial.noisy for sample in samples for trial in sample.trials)
    if noisy:
        yield Told(
            f"{who}: {noisy} of {requested} starts ({noisy / requested * 100:.0f} %) ran beside "
            "foreign load; they are flagged noisy and counted."
        )
    if first.key.accelerator is not Accelerator.NONE:
        restored = subjects.target(first.key).mode is Mode.RESTORE
        phase, marks = ("restore", "a snapshot") if restored else ("kernel", "kernel or init")
        marked = sum(len(sample.seconds(phase)) for sample in samples)
        if unmarked := outcomes[Outcome.READY] - marked:
            yield Told(f"{who}: {unmarked} ready starts lack a mark of {marks}.")
        units = sum(len(sample.seconds("init")) for sample in samples)
        if 0 < units < marked:
            yield Told(
                f"{who}: {marked - units} of {marked} ready starts lack a mark of the unit; "
                "their userspace holds what is init in the others."
            )


def _made_again(retried: int) -> str:
    if not retried:
        return ""
    return f" ({retried} {'was' if retried == 1 else 'were'} made again)"


def _most(samples: Sequence[StartupSample]) -> str:
    """Where more than half of many hosts' starts that came to nothing were."""
    short = [(sample.requested - sample.counts()[Outcome.READY], sample) for sample in samples]
    most, worst = max(short, key=lambda each: each[0])
    if len(samples) == 1 or most * 2 <= sum(n for n, _ in short):
        return ""
    return f" Most of them on {worst.key.host}: {most}."
