"""Churn on a real agent over real gRPC, judged as the collector judges it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from collector.model import HostFact, RunData, TrialRow
from collector.results.churn import Churned, churned
from collector.results.subjects import Subjects
from tests.integration.agents import agent, churn, finished, payloads, plan, target
from tests.runs_made_up import host_run, run
from tonnage.model import (
    ChurnPoint,
    ChurnReading,
    ChurnStart,
    Event,
    Outcome,
    Plan,
    Population,
    RunResumed,
    RunState,
    Trial,
    TrialEnd,
)


def judged(events: Sequence[Event], whole: Plan) -> Churned:
    ends = {(end.trial_id, end.attempt): end for end in payloads(events, TrialEnd)}
    trials = tuple(
        TrialRow("run-1", "h1", whole.targets[0], t, ends.get((t.trial_id, t.attempt)))
        for t in payloads(events, Trial)
    )
    facts = tuple(HostFact("h1", n, n, f) for n, f in enumerate(payloads(events, ChurnPoint)))
    data = RunData(run(), (replace(host_run(), plan=whole),), trials, facts)
    (found,) = churned(data, Subjects(data))
    return found


async def test_a_schedule_waits_for_no_start_that_is_slow(tmp_path: Path) -> None:
    # Each start takes five times as long as the time between two: closed, it would last 5 s.
    whole = plan(churn(3, rate=20.0, seconds=1.0), targets=[target(FAKE_READY_MS="250")])
    async with agent(tmp_path) as host:
        events = await host.run(whole)
        assert await host.instances() == []
    assert finished(events).state is RunState.FINISHED
    found = judged(events, whole)
    assert [round(each.start.due_seconds, 6) for each in found.made] == [k / 20 for k in range(20)]
    assert all(each.start.late_seconds >= 0 for each in found.made)
    assert found.late_seconds is not None
    requested = [each.row.trial.requested_at_unix_ns for each in found.made]
    assert (requested[-1] - requested[0]) / 1e9 < 3
    assert all((each.seconds or 0) >= 0.25 for each in found.made)
    counts = [(r.sample.instances, r.sample.alive) for r in found.readings]
    assert [counts[0], counts[1], counts[-1]] == [(0, 0), (3, 3), (0, 0)]
    assert all(instances == alive >= 3 for instances, alive in counts[1:-1])
    assert [r.at_seconds is None for r in found.readings] == [True, True, *[False] * 4]
    assert (found.died, found.refilled, found.not_removed) == (0, 0, 0)


async def test_killed_in_the_middle_it_makes_no_replacement_twice_and_none_late(
    tmp_path: Path,
) -> None:
    whole = plan(churn(3, rate=10.0, seconds=2.0), targets=[target(FAKE_DURABLE="1")])
    async with agent(tmp_path) as host:
        await host.start(whole)
        await host.until("run-1", ChurnPoint, 8)
        await host.kill()
    async with agent(tmp_path) as host:
        events = await host.events("run-1")
        assert await host.instances() == []
    assert finished(events).state is RunState.FINISHED
    assert len(payloads(events, RunResumed)) == 1
    found = judged(events, whole)
    assert len(found.made) == 20
    assert {each.row.trial.outcome for each in found.made} == {Outcome.READY}
    assert found.refilled == 3
    assert (found.late_seconds or 0) < 1  # the time in which there was no agent is no lateness
    readings = [p.fact for p in payloads(events, ChurnPoint) if isinstance(p.fact, ChurnReading)]
    assert [reading.number for reading in readings] == list(range(6))


async def test_a_rate_above_what_may_be_in_flight_shows_as_lateness(tmp_path: Path) -> None:
    narrow = churn(1, rate=50.0, seconds=0.2, readings=0, max_in_flight=1)
    whole = plan(narrow, targets=[target(FAKE_READY_MS="60")])
    async with agent(tmp_path) as host:
        events = await host.run(whole)
    late = [p.fact.late_seconds for p in payloads(events, ChurnPoint) if _is_start(p)]
    assert len(late) == 10
    assert late == sorted(late)
    assert late[-1] > 9 * 0.04 - 0.01
    populations = {trial.population for trial in payloads(events, Trial)}
    assert populations == {Population.FILL, Population.CHURN}


def _is_start(point: ChurnPoint) -> bool:
    return isinstance(point.fact, ChurnStart)
