"""Churn rows: every replacement counted, from when it was due; drift, and what is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from collector.model import HostFact, RunData, TrialRow
from collector.reports.charts.svg import WIDE
from collector.reports.churn_rows import ChurnRow
from collector.reports.churned import churn_grid, churn_sentences
from collector.reports.names import Names
from collector.results.churn import churn_row, churned
from collector.results.document import assemble
from collector.results.subjects import Subjects
from tests.runs_made_up import end, host_run, plan, run, target, trial
from tonnage.model import (
    ChurnPoint,
    ChurnReading,
    ChurnStage,
    ChurnStart,
    Outcome,
    Population,
    Sample,
    Stage,
    Trial,
)

STAGE = "churn/fake"
MIB = 2**20


def made(
    number: int,
    seconds: float = 0.1,
    late: float = 0.0,
    attempt: int = 1,
    outcome: Outcome = Outcome.READY,
) -> tuple[Trial, ChurnPoint]:
    row = trial(number, outcome, stage_id=STAGE, population=Population.CHURN, attempt=attempt)
    if row.outcome is Outcome.READY:
        row = replace(row, ready_ns=int(seconds * 1e9))
    start = ChurnStart(row.trial_id, attempt, number / 2.0, late)
    return row, ChurnPoint(STAGE, start)


def reading(
    number: int, at: float | None, instances: int, free_mib: float, alive: int | None = None
) -> ChurnPoint:
    lives = instances if alive is None else alive
    sample = Sample(instances, lives, lives, mem_available_bytes=int(free_mib * MIB))
    return ChurnPoint(STAGE, ChurnReading(number, sample, at))


def data(
    pairs: Sequence[tuple[Trial, ChurnPoint | None]],
    readings: Sequence[ChurnPoint] = (),
    seconds: float = 30.0,
) -> RunData:
    stage = Stage(STAGE, ChurnStage("fake", 3, 2.0, seconds, 4, 1.0, 10.0))
    host = replace(host_run(), plan=replace(plan(), stages=(stage,)))
    facts = [*(point for _, point in pairs if point is not None), *readings]
    rows = tuple(HostFact("h1", n, n, fact) for n, fact in enumerate(facts))
    trials = tuple(TrialRow("r1", "h1", target(), row, end(row.number)) for row, _ in pairs)
    return RunData(run(), (host,), trials, rows)


def row_of(given: RunData) -> ChurnRow:
    subjects = Subjects(given)
    (found,) = churned(given, subjects)
    return churn_row(found, subjects, 7, 0.05, 1.0)


def test_a_start_is_counted_from_when_it_was_due() -> None:
    row = row_of(data([made(n, seconds=0.1, late=0.05) for n in range(60)]))
    assert (row.requested, row.ready, row.n) == (60, 60, 60)
    assert row.p50_seconds == pytest.approx(0.15)
    assert row.late_max_seconds == pytest.approx(0.05)


def test_starts_that_slow_down_are_told_by_first_and_last_third() -> None:
    row = row_of(data([made(n, seconds=0.1 + 0.002 * n) for n in range(60)]))
    assert row.drift == "slower"
    assert (row.first_p50_seconds or 0) < (row.last_p50_seconds or 0)
    assert [window.n for window in row.windows] == [6] * 10
    steady = row_of(data([made(n, seconds=0.1 + 0.001 * (n % 5)) for n in range(60)]))
    assert steady.drift == "no difference"


def test_failures_are_counted_and_keep_a_verdict_from_the_survivors() -> None:
    ends = [Outcome.READY] * 46 + [Outcome.FAILED] * 14
    pairs = [made(n, seconds=0.1 - 0.001 * n, outcome=how) for n, how in enumerate(ends)]
    row = row_of(data(pairs))
    assert (row.ready, row.failed) == (46, 14)
    assert row.drift == "inconclusive"
    assert row.windows[-1].missing == 6


def test_an_attempt_without_a_time_restored_what_was_lost_and_is_no_start() -> None:
    again = replace(made(3, seconds=9.0)[0], attempt=2)
    cut = replace(made(5)[0], outcome=Outcome.INTERRUPTED, ready_ns=None)
    pairs: list[tuple[Trial, ChurnPoint | None]] = [made(n) for n in range(5)]
    pairs += [(again, None), (cut, None), made(5, attempt=2)]
    row = row_of(data(pairs))
    assert (row.requested, row.ready, row.interrupted, row.refilled) == (7, 6, 1, 1)
    assert row.max_seconds == pytest.approx(0.1)


def test_memory_drifts_over_time_and_not_over_the_count() -> None:
    readings = [reading(0, None, 0, 1000), reading(1, None, 3, 970)]
    for n in range(2, 12):
        at, count = 3.0 * n, 3 + n % 2
        readings.append(reading(n, at, count, 1000 - 10 * count - at / 60))
    readings.append(reading(12, 40.0, 0, 999.5))
    row = row_of(data([made(n) for n in range(60)], readings))
    assert row.memory_bytes_per_hour == pytest.approx(60 * MIB, rel=1e-3)
    assert row.memory_n == 10
    assert row.kept_bytes == pytest.approx(0.5 * MIB, abs=1)
    assert len(row.readings) == 13


def test_memory_that_others_moved_puts_the_drift_in_doubt() -> None:
    def by(foreign_mib: float) -> list[str]:
        points = []
        for n in range(12):
            sample = Sample(3, 3, 3, (900 - 10 * n) * MIB, foreign_bytes=int(foreign_mib * n) * MIB)
            points.append(ChurnPoint(STAGE, ChurnReading(n, sample, 3.0 * n)))
        return [told for told in assemble(data([], points)).warnings if "other programs" in told]

    assert by(1) == []
    (told,) = by(9)
    assert "drift of memory and what was kept are in doubt" in told


def test_the_dead_and_what_was_not_removed_are_told() -> None:
    given = data([made(n) for n in range(8)], [reading(2, 1.0, 3, 900, alive=1)])
    trials = (replace(given.trials[0], end=end(0, error="it hung")), *given.trials[1:])
    result = assemble(replace(given, trials=trials))
    (row,) = result.churn
    assert (row.died, row.not_removed) == (2, 1)
    assert any("did not live at a reading" in warning for warning in result.warnings)


def test_a_schedule_that_was_not_kept_is_warned_of() -> None:
    kept = assemble(data([made(n, late=0.4) for n in range(60)]))
    assert not any("schedule" in warning for warning in kept.warnings)
    late = assemble(data([made(n, late=0.6) for n in range(60)]))
    (told,) = [warning for warning in late.warnings if "schedule was not kept" in warning]
    assert "600 ms late" in told
    assert "500 ms" in told


def test_nothing_measured_is_null_with_reasons_and_told_all_the_same() -> None:
    row = row_of(data([]))
    assert (row.requested, row.p50_seconds, row.memory_bytes_per_hour) == (0, None, None)
    assert row.p50_reason
    assert row.memory_reason
    assert row.kept_bytes is None
    result = assemble(data([]))
    (sentence,) = churn_sentences(result.churn, Names(result))
    assert sentence.verdict == "inconclusive"
    assert len(churn_grid(result.churn, Names(result)).lines(WIDE)) > 2
