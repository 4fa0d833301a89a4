"""Start-up rows: every attempt counted, phases summarised from the ready ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from collector.model import RunData
from collector.reports.model import StartupRow
from collector.results.subjects import Key, Subjects, planned_levels
from collector.stats.summary import Summary, summarise
from tonnage.model import Accelerator, Outcome, Population, Trial

SECOND = 1_000_000_000

PHASES = ("accept", "create", "machine", "kernel", "userspace", "total", "cpu")


@dataclass(slots=True)
class StartupSample:
    """Every measured attempt of one subject at one concurrency; warm-ups are none of them."""

    key: Key
    concurrency: int
    trials: list[Trial] = field(default_factory=list)

    def seconds(self, phase: str) -> list[float]:
        """A phase's durations over the ready trials that have it."""
        found = (phase_ns(trial, phase) for trial in self.trials if trial.outcome is Outcome.READY)
        return [ns / SECOND for ns in found if ns is not None]

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
    container = trial.accelerator is Accelerator.NONE
    marks = {
        "create": (trial.accepted_ns, trial.created_ns),
        "machine": (trial.created_ns, trial.kernel_ns),
        "kernel": (trial.kernel_ns, trial.init_ns),
        "userspace": (trial.created_ns if container else trial.init_ns, trial.ready_ns),
    }
    begin, end = marks[phase]
    if begin is None or end is None or (phase == "userspace" and _unresolved(trial)):
        return None
    return end - begin


def _unresolved(trial: Trial) -> bool:
    container = trial.accelerator is Accelerator.NONE
    return container and trial.created_ns is not None and trial.created_ns == trial.ready_ns


def startup_samples(data: RunData, subjects: Subjects) -> list[StartupSample]:
    """One sample for each subject and concurrency, planned or seen, in the plan's order."""
    samples = {
        (key, level): StartupSample(key, level) for key, level in planned_levels(data, subjects)
    }
    for row in data.trials:
        if row.trial.population is Population.MEASURED:
            key = Key(row.host, row.target.id, row.trial.accelerator)
            level = row.trial.concurrency
            samples.setdefault((key, level), StartupSample(key, level)).trials.append(row.trial)
    return sorted(samples.values(), key=lambda s: (subjects.place(s.key), s.concurrency))


def startup_rows(
    samples: Sequence[StartupSample], subjects: Subjects, seed: int
) -> list[StartupRow]:
    """A row for each phase that was seen, and always one for the total."""
    return [row for sample in samples for row in _rows(sample, subjects, seed)]


def _rows(sample: StartupSample, subjects: Subjects, seed: int) -> Iterator[StartupRow]:
    shared = dict(subjects.subject(sample.key)) | _counts(sample)
    for phase in PHASES:
        seconds = sample.seconds(phase)
        if phase == "userspace" and sample.unresolved:
            yield StartupRow(**shared, phase=phase, **_no_figures(sample, len(seconds)))
        elif seconds or phase == "total":
            yield StartupRow(**shared, phase=phase, **_figures(summarise(seconds, seed)))


def _counts(sample: StartupSample) -> dict[str, Any]:
    outcomes = Counter(trial.outcome for trial in sample.trials)
    return {
        "concurrency": sample.concurrency,
        "requested": len(sample.trials),
        **{outcome.value: outcomes[outcome] for outcome in Outcome},
        "noisy": sum(trial.noisy for trial in sample.trials),
    }


def _figures(summary: Summary) -> dict[str, Any]:
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


def _no_figures(sample: StartupSample, n: int) -> dict[str, Any]:
    """A phase that not all ready trials resolve: the others are no fair sample of it."""
    ready = sum(trial.outcome is Outcome.READY for trial in sample.trials)
    reason = (
        f"not resolved: in {sample.unresolved} of {ready} ready starts the ready line "
        "was the first evidence of created"
    )
    absent = dict.fromkeys(_figures(summarise([], 0)))
    reasons = dict.fromkeys(("p50_reason", "p95_reason", "p99_reason"), reason)
    return absent | reasons | {"n": n}
