"""Trials of several attempts, hosts that came back, instances launched again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from collector.model import HostFact, RunData, TrialRow
from collector.reports.model import Result, StartupRow
from collector.results import assemble
from tests.unit.reports.sample import DOCKER, sample_run
from tonnage.model import Outcome, Population, RunResumed, TrialEnd


def total(result: Result) -> StartupRow:
    return next(
        row
        for row in result.startup
        if (row.runtime, row.concurrency, row.phase) == ("docker", 1, "total")
    )


def measured(data: RunData, number: int) -> TrialRow:
    return next(
        row
        for row in data.trials
        if row.target is DOCKER
        and row.trial.population is Population.MEASURED
        and (row.trial.concurrency, row.trial.number) == (1, number)
    )


def interrupted(row: TrialRow) -> TrialRow:
    trial = replace(row.trial, outcome=Outcome.INTERRUPTED, error="the agent died")
    return replace(row, trial=trial, end=TrialEnd(trial.trial_id, 1, error="?", interrupted=True))


def with_attempts(data: RunData, number: int, *, again: bool) -> RunData:
    """One trial was interrupted, and made again or not."""
    row = measured(data, number)
    second = replace(row, trial=replace(row.trial, attempt=2), end=None)
    rows = [interrupted(row), *([second] if again else [])]
    others = [each for each in data.trials if each is not row]
    return replace(data, trials=(*rows, *others))


def test_only_the_last_attempt_is_the_outcome_and_the_others_are_counted() -> None:
    data = sample_run()
    before, after = total(assemble(data)), total(assemble(with_attempts(data, 3, again=True)))
    assert (after.ready, after.n) == (before.ready, before.n) == (60, 60)
    assert (after.requested, after.interrupted, after.retried) == (61, 1, 1)
    assert after.p50_seconds == before.p50_seconds


def test_the_order_of_the_rows_does_not_matter() -> None:
    data = with_attempts(sample_run(), 3, again=True)
    turned = replace(data, trials=tuple(reversed(data.trials)))
    assert total(assemble(turned)).ready == 60
    assert total(assemble(turned)).interrupted == 1


def test_a_trial_that_was_never_made_again_is_interrupted_and_in_no_quantile() -> None:
    row = total(assemble(with_attempts(sample_run(), 3, again=False)))
    assert (row.requested, row.ready, row.interrupted, row.retried, row.n) == (60, 59, 1, 0, 59)


@pytest.mark.parametrize("again", [True, False])
def test_counts_add_up(again: bool) -> None:
    row = total(assemble(with_attempts(sample_run(), 3, again=again)))
    outcomes = row.ready + row.failed + row.timed_out + row.cancelled + row.interrupted
    assert outcomes == row.requested


def test_an_interruption_is_no_instance_that_would_not_stop() -> None:
    data = sample_run()
    told = "\n".join(assemble(with_attempts(data, 3, again=True)).warnings)
    assert "of 61 starts 1 was interrupted (1 was made again)" in told
    assert "did not stop as asked" not in told
    row = measured(data, 3)
    stubborn = replace(row, end=TrialEnd(row.trial.trial_id, 1, error="still there"))
    rest = tuple(each for each in data.trials if each is not row)
    assert "did not stop as asked" in "\n".join(
        assemble(replace(data, trials=(stubborn, *rest))).warnings
    )


def refilled(data: RunData, stage: str) -> RunData:
    row = measured(data, 3)
    fills = [
        replace(
            row,
            trial=replace(
                row.trial,
                trial_id=f"{stage}/{number}",
                stage_id=stage,
                population=Population.FILL,
                attempt=attempt,
            ),
            end=TrialEnd(f"{stage}/{number}", attempt, interrupted=attempt == 1),
        )
        for number in range(3)
        for attempt in (1, 2)
    ]
    return replace(data, trials=(*data.trials, *fills))


def test_a_ramp_that_was_filled_again_is_marked_and_its_limit_is_the_same() -> None:
    data = sample_run()
    result = assemble(refilled(data, "density/docker"))
    rows = {row.runtime: row for row in result.density}
    assert (rows["docker"].refilled, rows["qemu-microvm"].refilled) == (3, 0)
    assert rows["docker"].instances == 340
    assert any("3 instances of the ramp had to be launched again" in t for t in result.warnings)
    assert total(result) == total(assemble(data))


def test_a_footprint_of_a_series_filled_again_is_marked() -> None:
    result = assemble(refilled(sample_run(), "footprint/docker"))
    assert {row.refilled for row in result.footprint if row.runtime == "docker"} == {3}
    assert any("of a series had to be launched again" in text for text in result.warnings)


def test_a_run_that_was_resumed_says_how_often_and_after_what() -> None:
    data = sample_run()
    facts = [
        HostFact("h1", 900, 1, RunResumed(1, False, "the agent was killed")),
        HostFact("h1", 901, 2, RunResumed(2, True, "the host was booted")),
    ]
    result = assemble(replace(data, facts=(*data.facts, *facts)))
    assert (
        "h1: the run was interrupted and resumed twice, once after a reboot: "
        "the agent was killed; the host was booted."
    ) in result.warnings
    assert [each.rebooted for each in result.hosts[0].resumptions] == [False, True]
