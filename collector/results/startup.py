"""Start-up rows: every attempt counted, phases summarised from the ready ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from collector.model import RunData, TrialRow
from collector.reports.model import StartupRow
from collector.reports.rows import PHASES
from collector.results.caches import median_share
from collector.results.subjects import Key, Subjects, planned_levels
from collector.stats.summary import Summary, summarise
from tonnage.model import Accelerator, Outcome, Population, Trial

SECOND = 1_000_000_000


@dataclass(slots=True)
class StartupSample:
    """Every measured trial of one subject at one concurrency; warm-ups are none of them.

    ``trials`` are last attempts: their outcome is the trial's. ``retried`` are
    the attempts before, which were interrupted: counted, and in no figure.
    """

    key: Key
    concurrency: int
    trials: Sequence[Trial] = ()
    retried: Sequence[Trial] = ()
    _seconds: dict[str, list[float]] = field(default_factory=dict, repr=False, compare=False)

    def seconds(self, phase: str) -> list[float]:
        """A phase's durations over the ready trials that have it."""
        if phase not in self._seconds:
            ready = (trial for trial in self.trials if trial.outcome is Outcome.READY)
            found = (phase_ns(trial, phase) for trial in ready)
            self._seconds[phase] = [ns / SECOND for ns in found if ns is not None]
        return self._seconds[phase]

    @property
    def requested(self) -> int:
        """Attempts, those made again among them."""
        return len(self.trials) + len(self.retried)

    def counts(self) -> Counter[Outcome]:
        """Attempts by outcome. Of one that was made again only an interruption is counted,
        as it is the last attempt that says how the trial ended."""
        counted = Counter(trial.outcome for trial in self.trials)
        interrupted = (t for t in self.retried if t.outcome is Outcome.INTERRUPTED)
        counted[Outcome.INTERRUPTED] += sum(1 for _ in interrupted)
        return counted

    @property
    def unresolved(self) -> int:
        """Ready trials whose ``created`` is known by their ready line alone."""
        return sum(_unresolved(t) for t in self.trials if t.outcome is Outcome.READY)

    @property
    def missing(self) -> int:
        """Attempts that would have been slower than any deadline: failed or timed out."""
        outcomes = Counter(trial.outcome for trial in self.trials)
        return outcomes[Outcome.FAILED] + outcomes[Outcome.TIMED_OUT]


def phase_ns(trial: Trial, phase: str) -> int | None:
    """Duration of a phase, as docs/measuring.md cuts it; None where a mark is absent.

    None too for the ``userspace`` of a container whose ready line was the first
    that was seen of it: that takes as long as it takes, which is not no time.
    """
    if phase == "cpu":
        return trial.cpu_ns
    if phase == "total":
        return trial.ready_ns
    if phase == "accept":
        return trial.accepted_ns
    marks = {
        "create": (trial.accepted_ns, trial.created_ns),
        "machine": (trial.created_ns, trial.kernel_ns),
        "kernel": (trial.kernel_ns, trial.init_ns),
        "init": (trial.init_ns, trial.unit_ns),
        "restore": (trial.created_ns, trial.restored_ns),
        "userspace": (_begun_ns(trial), trial.ready_ns),
    }
    begin, end = marks[phase]
    if begin is None or end is None or (phase == "userspace" and _unresolved(trial)):
        return None
    return end - begin


def _begun_ns(trial: Trial) -> int | None:
    """Where user space begins: restored, or at the unit that is the workload, or reached by
    a guest's kernel, or created."""
    if trial.restored_ns is not None:
        return trial.restored_ns
    if trial.unit_ns is not None:
        return trial.unit_ns
    return trial.created_ns if trial.accelerator is Accelerator.NONE else trial.init_ns


def _unresolved(trial: Trial) -> bool:
    container = trial.accelerator is Accelerator.NONE and trial.restored_ns is None
    return container and trial.created_ns is not None and trial.created_ns == trial.ready_ns


def startup_samples(data: RunData, subjects: Subjects) -> list[StartupSample]:
    """One sample for each subject and concurrency, planned or seen, in the plan's order."""
    found: dict[tuple[Key, int], list[TrialRow]] = {
        place: [] for place in planned_levels(data, subjects)
    }
    for row in data.trials:
        if row.trial.population is Population.MEASURED:
            key = Key(row.host, row.target.id, row.trial.accelerator)
            found.setdefault((key, row.trial.concurrency), []).append(row)
    samples = [
        StartupSample(key, level, *_last_attempts(row.trial for row in rows))
        for (key, level), rows in found.items()
    ]
    return sorted(samples, key=lambda s: (subjects.place(s.key), s.concurrency))


def _last_attempts(trials: Iterable[Trial]) -> tuple[list[Trial], list[Trial]]:
    """The last attempt of each trial, and those before it."""
    last: dict[str, Trial] = {}
    before: list[Trial] = []
    for trial in trials:
        known = last.get(trial.trial_id)
        if known is None:
            last[trial.trial_id] = trial
        else:
            earlier, later = sorted((known, trial), key=lambda each: each.attempt)
            before.append(earlier)
            last[trial.trial_id] = later
    return list(last.values()), before


def startup_rows(
    samples: Sequence[StartupSample], subjects: Subjects, seed: int, effort: float = 1.0
) -> list[StartupRow]:
    """A row for each phase that was seen, and always one for the total."""
    return [row for sample in samples for row in _rows(sample, subjects, seed, effort)]


def _rows(
    sample: StartupSample, subjects: Subjects, seed: int, effort: float
) -> Iterator[StartupRow]:
    shared = dict(subjects.subject(sample.key)) | counts([sample])
    ready = shared["ready"]
    for phase in PHASES:
        seconds = sample.seconds(phase)
        if phase == "userspace" and sample.unresolved:
            absent = no_figures(sample.unresolved, ready, len(seconds))
            yield StartupRow(**shared, phase=phase, **absent)
        elif seconds or phase == "total":
            yield StartupRow(**shared, phase=phase, **figures(summarise(seconds, seed, effort)))


def counts(samples: Sequence[StartupSample]) -> dict[str, Any]:
    """The counts of a row over samples of one concurrency."""
    outcomes = sum((sample.counts() for sample in samples), Counter[Outcome]())
    return {
        "concurrency": samples[0].concurrency,
        "requested": sum(sample.requested for sample in samples),
        **{outcome.value: outcomes[outcome] for outcome in Outcome},
        "noisy": sum(trial.noisy for sample in samples for trial in sample.trials),
        "retried": sum(len(sample.retried) for sample in samples),
        "guest_root": _the_one(trial.guest_root for sample in samples for trial in sample.trials),
        "cached_share": median_share(trial for sample in samples for trial in sample.trials),
    }


def figures(summary: Summary) -> dict[str, Any]:
    """The figures of a row."""
    return {
        "n": summary.n,
        "p50_seconds": summary.p50.value,
        "p50_ci_seconds": summary.p50_interval,
        "p95_seconds": summary.p95.value,
        "p99_seconds": summary.p99.value,
        "p50_reason": summary.p50.reason,
        "p95_reason": summary.p95.reason,
        "p99_reason": summary.p99.reason,
        "min_seconds": summary.minimum,
        "max_seconds": summary.maximum,
        "mean_seconds": summary.mean,
    }


def no_figures(unresolved: int, ready: int, n: int) -> dict[str, Any]:
    """A phase that not all ready trials resolve: the others are no fair sample of it."""
    reason = (
        f"not resolved: in {unresolved} of {ready} ready starts the ready line "
        "was the first evidence of created"
    )
    absent = dict.fromkeys(figures(summarise([], 0)))
    reasons = dict.fromkeys(("p50_reason", "p95_reason", "p99_reason"), reason)
    return absent | reasons | {"n": n}


def _the_one(texts: Iterable[str]) -> str | None:
    """What all trials say; ``None`` if that is nothing or not one thing."""
    said = set(texts)
    return said.pop() or None if len(said) == 1 else None
