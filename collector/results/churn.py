"""Churn rows: starts on schedule, how they and the host's memory drift, what is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from collector.model import RunData, TrialRow
from collector.reports.churn_rows import ChurnReadingRow, ChurnRow, ChurnWindow
from collector.results.comparisons import verdict
from collector.results.footprint import READINGS
from collector.results.subjects import Key, Subjects, stages
from collector.stats.compare import compare
from collector.stats.drift import drift
from collector.stats.slope import Slope
from collector.stats.summary import describe, quantile, summarise
from collector.stats.verdict import Comparison
from tonnage.model import (
    ChurnPoint,
    ChurnReading,
    ChurnStage,
    ChurnStart,
    Outcome,
    Population,
    Sample,
)

SECONDS_PER_HOUR = 3600
WINDOWS = 10
THIRDS = 3
_NS = 1_000_000_000
_MISSING = (Outcome.FAILED, Outcome.TIMED_OUT)


@dataclass(frozen=True, slots=True)
class Replacement:
    """One trial on schedule, by its last attempt that was."""

    row: TrialRow
    start: ChurnStart

    @property
    def seconds(self) -> float | None:
        """From when it was due to ready."""
        ready_ns = self.row.trial.ready_ns
        if self.row.trial.outcome is not Outcome.READY or ready_ns is None:
            return None
        return self.start.late_seconds + ready_ns / _NS


@dataclass(slots=True)
class Churned:
    """One churn stage on one host."""

    key: Key
    stage: ChurnStage
    made: list[Replacement] = field(default_factory=list)
    interrupted: int = 0
    refilled: int = 0
    not_removed: int = 0
    readings: list[ChurnReading] = field(default_factory=list)

    @property
    def length_seconds(self) -> float:
        """The schedule's length."""
        return self.stage.duration_seconds

    @property
    def late_seconds(self) -> float | None:
        """The latest that any was."""
        return max((each.start.late_seconds for each in self.made), default=None)

    @property
    def died(self) -> int:
        """Most instances that did not live at a reading."""
        samples = [reading.sample for reading in self.readings]
        return max((one.instances - one.alive for one in samples), default=0)

    def part(self, number: int, parts: int) -> list[Replacement]:
        """Those due in one of equal parts of the schedule."""
        return [
            each
            for each in self.made
            if min(int(each.start.due_seconds * parts / self.length_seconds), parts - 1) == number
        ]

    def over_time(self, read: Callable[[Sample], int | None]) -> Slope:
        """Growth a second of what is read, at equal numbers of instances."""
        points = [
            (reading.at_seconds, value, reading.sample.instances)
            for reading in self.readings
            if reading.at_seconds is not None
            and reading.sample.instances
            and (value := read(reading.sample)) is not None
        ]
        at, values, counts = zip(*points, strict=True) if points else ((), (), ())
        return drift(at, values, counts)

    def memory(self) -> Slope:
        """Bytes a second that the host's memory in use grew by."""
        return self.over_time(READINGS["mem_available"])

    def foreign(self) -> Slope:
        """Bytes a second that other programs' memory grew by."""
        return self.over_time(lambda sample: sample.foreign_bytes)

    def kept_bytes(self) -> int | None:
        """Memory that the empty host used more after than before."""
        empty = [each.sample for each in self.readings if each.sample.instances == 0]
        if len(empty) < 2:
            return None
        before, after = empty[0].mem_available_bytes, empty[-1].mem_available_bytes
        return None if before is None or after is None else before - after


def churned(data: RunData, subjects: Subjects) -> list[Churned]:
    """Every churn stage, in the plan's order."""
    found = {
        (host, stage_id): Churned(subjects.key(host, stage.target_id), stage)
        for host, stage_id, stage in stages(data, ChurnStage)
    }
    starts: dict[tuple[str, str, int], ChurnStart] = {}
    for fact in data.facts:
        match fact.fact:
            case ChurnPoint(_, ChurnStart() as start):
                starts[fact.host, start.trial_id, start.attempt] = start
            case ChurnPoint(stage_id, ChurnReading() as reading) if (fact.host, stage_id) in found:
                found[fact.host, stage_id].readings.append(reading)
            case _:
                pass
    for place, rows in _by_stage(data.trials).items():
        if place in found:
            _count(found[place], rows, starts)
            found[place].refilled += subjects.refilled(*place)
    return list(found.values())


def _by_stage(trials: Iterable[TrialRow]) -> dict[tuple[str, str], list[TrialRow]]:
    rows: dict[tuple[str, str], list[TrialRow]] = {}
    for row in trials:
        rows.setdefault((row.host, row.trial.stage_id), []).append(row)
    return rows


def _count(
    of: Churned, rows: Sequence[TrialRow], starts: dict[tuple[str, str, int], ChurnStart]
) -> None:
    """An attempt that had no time of the schedule restored an instance that was lost, or was
    cut off before it was requested."""
    last: dict[str, Replacement] = {}
    for row in sorted(rows, key=lambda row: row.trial.attempt):
        end, trial = row.end, row.trial
        of.not_removed += bool(end and end.error and not end.interrupted)
        if trial.population is not Population.CHURN:
            continue
        start = starts.get((row.host, trial.trial_id, trial.attempt))
        of.interrupted += trial.outcome is Outcome.INTERRUPTED
        if start is not None and trial.outcome is not Outcome.INTERRUPTED:
            last[trial.trial_id] = Replacement(row, start)
        elif start is None and trial.outcome is not Outcome.INTERRUPTED:
            of.refilled += 1
    of.made = sorted(last.values(), key=lambda each: each.start.due_seconds)


def churn_row(
    of: Churned, subjects: Subjects, seed: int, minimum_effect: float, effort: float
) -> ChurnRow:
    """The row of one stage."""
    outcomes = Counter(each.row.trial.outcome for each in of.made)
    found = summarise(_seconds(of.made), seed, effort)
    moved = _moved(of, seed, minimum_effect, effort)
    memory = of.memory()
    return ChurnRow(
        **dict(subjects.subject(of.key)),
        instances=of.stage.instances,
        rate_per_second=of.stage.rate_per_second,
        duration_seconds=of.stage.duration_seconds,
        requested=len(of.made) + of.interrupted,
        ready=outcomes[Outcome.READY],
        failed=outcomes[Outcome.FAILED],
        timed_out=outcomes[Outcome.TIMED_OUT],
        cancelled=outcomes[Outcome.CANCELLED],
        interrupted=of.interrupted,
        n=found.n,
        p50_seconds=found.p50.value,
        p50_ci_seconds=found.p50_interval,
        p95_seconds=found.p95.value,
        p99_seconds=found.p99.value,
        p50_reason=found.p50.reason,
        p95_reason=found.p95.reason,
        p99_reason=found.p99.reason,
        max_seconds=found.maximum,
        late_max_seconds=of.late_seconds,
        first_p50_seconds=describe(_seconds(of.part(0, THIRDS))).p50.value,
        last_p50_seconds=describe(_seconds(of.part(THIRDS - 1, THIRDS))).p50.value,
        drift_ratio=moved.ratio,
        drift_ci=moved.interval,
        drift_p_value=moved.p_value,
        drift=verdict("startup.churn", moved.direction),
        drift_reason=moved.reason,
        memory_bytes_per_hour=_hourly(memory.value),
        memory_ci_bytes_per_hour=memory.interval
        and (memory.interval[0] * SECONDS_PER_HOUR, memory.interval[1] * SECONDS_PER_HOUR),
        memory_n=memory.n_points,
        memory_reason=memory.reason,
        foreign_bytes_per_hour=_hourly(of.foreign().value),
        kept_bytes=of.kept_bytes(),
        not_removed=of.not_removed,
        died=of.died,
        refilled=of.refilled,
        windows=[_window(of, number) for number in range(WINDOWS)],
        readings=[_reading(reading) for reading in of.readings],
    )


def _hourly(per_second: float | None) -> float | None:
    return None if per_second is None else per_second * SECONDS_PER_HOUR


def _seconds(made: Iterable[Replacement]) -> list[float]:
    return [seconds for each in made if (seconds := each.seconds) is not None]


def _moved(of: Churned, seed: int, minimum_effect: float, effort: float) -> Comparison:
    """The last third of the schedule against the first."""
    first, last = of.part(0, THIRDS), of.part(THIRDS - 1, THIRDS)
    return compare(
        _seconds(first),
        _seconds(last),
        seed=seed,
        missing_baseline=_missing(first),
        missing_candidate=_missing(last),
        minimum_effect=minimum_effect,
        effort=effort,
    )


def _missing(made: Iterable[Replacement]) -> int:
    return sum(each.row.trial.outcome in _MISSING for each in made)


def _window(of: Churned, number: int) -> ChurnWindow:
    made = of.part(number, WINDOWS)
    seconds = _seconds(made)
    return ChurnWindow(
        begins_seconds=number * of.length_seconds / WINDOWS,
        n=len(seconds),
        missing=_missing(made),
        p50_seconds=quantile(seconds, 0.5).value,
        max_seconds=max(seconds, default=None),
        late_max_seconds=max((each.start.late_seconds for each in made), default=None),
    )


def _reading(reading: ChurnReading) -> ChurnReadingRow:
    sample = reading.sample
    return ChurnReadingRow(
        at_seconds=reading.at_seconds,
        instances=sample.instances,
        alive=sample.alive,
        answering=sample.answering,
        mem_available_bytes=sample.mem_available_bytes,
        pss_bytes=sample.pss_bytes,
        engine_bytes=sample.engine_bytes,
        foreign_bytes=sample.foreign_bytes,
    )
