"""Agents that are killed again and again, and runs that come to their ends all the same."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from pathlib import Path

import grpc
import pytest

from agent.recovery import MOST_INTERRUPTIONS
from agent.storage.records import RecordFile, scan
from tests.integration.agents import (
    Agent,
    agent,
    density,
    finished,
    footprint,
    payloads,
    plan,
    startup,
    target,
)
from tonnage.model import (
    DensityResult,
    Event,
    FootprintPoint,
    Notice,
    Outcome,
    Plan,
    Population,
    ProblemKind,
    RunResumed,
    RunState,
    StageFinished,
    StageStarted,
    Step,
    Trial,
    TrialEnd,
)
from tonnage.v1 import agent_pb2

SLOW = {"FAKE_DURABLE": "1", "FAKE_READY_MS": "3"}
STEPS = [0, 3, 6, 9, 12]


def files_of(data_dir: Path) -> set[str]:
    """The durable fake instances that exist: files that outlive the agent."""
    return {path.stem for path in (data_dir / "runtimes" / "fake").glob("*.json")}


async def killed_at(data_dir: Path, whole: Plan, rows: Sequence[int]) -> list[Event]:
    """Run a plan with kill -9s, each after so many further rows; its events in the end."""
    seen = 0
    for count in rows:
        async with agent(data_dir) as host:
            await host.start(whole)
            async for _ in host.stream(whole.run_id, seen):
                seen, count = seen + 1, count - 1  # noqa: PLW2901 (counted down)
                if count <= 0:
                    break
            await host.kill()
    async with agent(data_dir) as last:
        await last.start(whole)
        events = await last.events(whole.run_id)
        assert await last.instances() == []
        assert await last.stop() == 0
    assert files_of(data_dir) == set()
    return events


def check_rows(events: Sequence[Event]) -> dict[str, list[Trial]]:
    """Every attempt one row and one end; the rows by trial."""
    trials = payloads(events, Trial)
    rows = [(trial.trial_id, trial.attempt) for trial in trials]
    assert len(set(rows)) == len(rows)
    assert sorted(rows) == sorted((e.trial_id, e.attempt) for e in payloads(events, TrialEnd))
    by_trial: dict[str, list[Trial]] = {}
    for trial in trials:
        by_trial.setdefault(trial.trial_id, []).append(trial)
    for attempts in by_trial.values():
        assert [t.attempt for t in attempts] == list(range(1, len(attempts) + 1))
    return by_trial


def answers(attempts: Sequence[Trial]) -> int:
    return sum(trial.outcome is not Outcome.INTERRUPTED for trial in attempts)


@pytest.mark.parametrize("seed", range(2))
async def test_starts_killed_at_random_each_have_one_outcome(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    whole = plan(startup(120, concurrency=4), targets=[target(**SLOW)])
    events = await killed_at(tmp_path, whole, [draw.randrange(1, 60) for _ in range(3)])
    assert finished(events).state is RunState.FINISHED
    by_trial = check_rows(events)
    assert len(by_trial) == 120
    assert all(answers(attempts) == 1 for attempts in by_trial.values())
    assert [r.number for r in payloads(events, RunResumed)] == [1, 2, 3]


@pytest.mark.parametrize("seed", range(2))
async def test_a_ramp_killed_at_random_repeats_no_step_and_no_probe(
    tmp_path: Path, seed: int
) -> None:
    draw = random.Random(seed)
    whole = plan(density(3, 12), targets=[target(**SLOW)])
    events = await killed_at(tmp_path, whole, [draw.randrange(1, 16) for _ in range(3)])
    assert finished(events).state is RunState.FINISHED
    by_trial = check_rows(events)
    probes = [a for a in by_trial.values() if a[0].population is Population.PROBE]
    assert len(probes) == 2 * len(STEPS)
    assert all(answers(attempts) == 1 for attempts in probes)
    fills = [a for a in by_trial.values() if a[0].population is Population.FILL]
    assert len(fills) == 12
    assert [s.sample.instances for s in payloads(events, Step)] == STEPS
    assert [s.sample.alive for s in payloads(events, Step)] == STEPS
    (limit,) = payloads(events, DensityResult)
    assert limit.limit_instances == 12


@pytest.mark.parametrize("seed", range(2))
async def test_a_series_killed_at_random_measures_every_point_once(
    tmp_path: Path, seed: int
) -> None:
    draw = random.Random(seed)
    whole = plan(footprint(3, 6, 9), startup(5), targets=[target(**SLOW)])
    events = await killed_at(tmp_path, whole, [draw.randrange(1, 12) for _ in range(3)])
    assert finished(events).state is RunState.FINISHED
    check_rows(events)
    points = payloads(events, FootprintPoint)
    assert [(p.sample.instances, p.sample.alive) for p in points] == [(n, n) for n in (0, 3, 6, 9)]
    stages = ["footprint/fake", "startup"]
    assert [s.stage_id for s in payloads(events, StageStarted)] == stages
    assert [s.stage_id for s in payloads(events, StageFinished)] == stages


async def test_a_run_that_comes_no_further_is_given_up(tmp_path: Path) -> None:
    hanging = plan(startup(2, timeout=50), targets=[target("fake:hang", FAKE_DURABLE="1")])
    for _ in range(MOST_INTERRUPTIONS):
        async with agent(tmp_path) as host:
            await host.start(hanging)
            await host.until("run-1", StageStarted)  # on disk: to come so far is something new
            while not files_of(tmp_path):
                await host.instances()
            await host.kill()
    async with agent(tmp_path) as last:
        events = await last.events("run-1")
        end = finished(events)
        assert end.state is RunState.PARTIAL
        assert end.problem is not None
        assert end.problem.kind is ProblemKind.UNAVAILABLE
        assert "without one further trial" in end.problem.message
        (trial,) = check_rows(events).values()
        assert len(trial) == MOST_INTERRUPTIONS
        assert await last.instances() == []
    assert files_of(tmp_path) == set()


def book_of(data_dir: Path) -> Path:
    return data_dir / "spool" / "run-1" / "book.log"


def rebooted(data_dir: Path) -> None:
    """Make the run's book one of an earlier boot of this host."""
    book = RecordFile(book_of(data_dir))
    records = [json.loads(record) for record in book.read(0, book.last, 1 << 62)]
    book.clear()
    book.close()
    book_of(data_dir).unlink()
    for record in records:
        if "boot" in record:
            record["boot"] = "an earlier boot"
        if "time" in record:
            record["time"][0] = "an earlier boot"
    again = RecordFile(book_of(data_dir))
    again.append([json.dumps(record).encode() for record in records])
    again.close()


async def kill_in_flight(data_dir: Path, whole: Plan) -> None:
    async with agent(data_dir) as host:
        await host.start(whole)
        await host.until("run-1", Trial, 5)
        await host.kill()


async def test_a_reboot_is_told_from_a_restart(tmp_path: Path) -> None:
    whole = plan(startup(40), targets=[target(**SLOW)])
    await kill_in_flight(tmp_path, whole)
    rebooted(tmp_path)
    async with agent(tmp_path) as host:
        events = await host.events("run-1")
    (resumed,) = payloads(events, RunResumed)
    assert (resumed.rebooted, resumed.reason) == (True, "the host was rebooted")
    assert finished(events).state is RunState.FINISHED


async def test_the_time_limit_goes_on_while_the_agent_is_away(tmp_path: Path) -> None:
    whole = plan(startup(100_000), targets=[target(**SLOW)], time_limit=4)
    await kill_in_flight(tmp_path, whole)
    async with agent(tmp_path) as host:
        first = finished(await asyncio.wait_for(host.events("run-1"), 4))
    assert first.state is RunState.PARTIAL
    assert "time limit of 4 s" in str(first.problem)


async def test_a_stop_that_was_asked_for_outlives_a_kill(tmp_path: Path) -> None:
    """What was told before the kill counts, however far it was carried out."""
    whole = plan(density(2, 1000), targets=[target(**SLOW)])
    async with agent(tmp_path) as host:
        await host.start(whole)
        await host.until("run-1", Step, 3)
        assert await host.cancel("run-1")
        await host.kill()
    async with agent(tmp_path) as again:
        events = await again.events("run-1")
        assert finished(events).state is RunState.CANCELLED
        assert len(payloads(events, DensityResult)) <= 1
        check_rows(events)
        assert len([n for n in payloads(events, Notice) if n.message.endswith("cancelled")]) <= 1
    assert files_of(tmp_path) == set()


async def test_runs_held_are_known_after_they_were_dropped(tmp_path: Path) -> None:
    keep = ("--spool-keep-seconds", "0")
    whole = plan(startup(2))
    async with agent(tmp_path, *keep) as host:
        events = await host.run(whole)
        await ack(host, len(events))
        with pytest.raises(grpc.aio.AioRpcError, match="knows no such run"):
            await host.events("run-1")
        assert await host.start(whole)  # known: not started again
        assert await host.stop() == 0
    async with agent(tmp_path, *keep) as again:
        assert await again.start(whole)
        assert await again.instances() == []


async def ack(host: Agent, sequence: int) -> None:
    await host.stub.AckEvents(agent_pb2.AckEventsRequest(run_id="run-1", sequence=sequence))


async def test_a_death_at_every_row_of_a_recovery_is_harmless(tmp_path: Path) -> None:
    """The log is cut behind every row that a recovery wrote, and recovered from there."""
    hanging = target("fake:hang", FAKE_DURABLE="1")
    async with agent(tmp_path) as host:
        await host.start(plan(startup(4, concurrency=3, timeout=50), targets=[hanging]))
        while len(files_of(tmp_path)) < 3:
            await host.instances()
        await host.kill()
    log, others = tmp_path / "spool/run-1/events.log", (tmp_path / "journal.log", book_of(tmp_path))
    before, kept = log.read_bytes(), [path.read_bytes() for path in others]
    async with agent(tmp_path) as dying:
        await dying.until("run-1", RunResumed)
        await dying.kill()
    recovered = log.read_bytes()
    cuts = [start for start in scan(recovered, "log").starts if start >= len(before)]
    assert len(cuts) == 7  # three interrupted trials, their ends, and the resumption
    for cut in (*cuts, len(recovered)):
        log.write_bytes(recovered[:cut])
        for path, data in zip(others, kept, strict=True):
            path.write_bytes(data)
        async with agent(tmp_path) as again:
            await again.until("run-1", RunResumed)
            await again.cancel("run-1")
            by_trial = check_rows(await again.events("run-1"))
        first = [attempts[0].outcome for attempts in by_trial.values()]
        assert first[:3] == [Outcome.INTERRUPTED] * 3
        assert files_of(tmp_path) == set()


async def test_a_runtime_that_is_offered_no_more_ends_the_run_with_the_reason(
    tmp_path: Path,
) -> None:
    await kill_in_flight(tmp_path, plan(startup(40), targets=[target(**SLOW)]))
    async with agent(tmp_path, "--runtimes", "qemu-microvm") as host:
        events = await host.events("run-1")
    end = finished(events)
    assert end.state is RunState.PARTIAL
    assert "no longer offers a runtime" in str(end.problem)
    (stage,) = payloads(events, StageFinished)
    assert stage.problem == end.problem
    check_rows(events)
