"""A killed agent, a stopped agent, and what the next one makes of it."""

from __future__ import annotations

import signal
from pathlib import Path

import grpc
import pytest

from tests.integration.agents import (
    agent,
    density,
    finished,
    payloads,
    plan,
    spawn,
    startup,
    target,
)
from tonnage.model import (
    Outcome,
    ProblemKind,
    RunState,
    StageFinished,
    Step,
    Trial,
    TrialEnd,
)

DURABLE = {"FAKE_DURABLE": "1"}


def instances_of(data_dir: Path) -> set[str]:
    """The durable fake instances that exist: files that outlive the agent."""
    return {path.stem for path in (data_dir / "runtimes" / "fake").glob("*.json")}


async def test_after_a_kill_trials_in_flight_are_rows_and_nothing_is_left(tmp_path: Path) -> None:
    hanging = target("fake:hang", "hang", **DURABLE)
    ramp = density(2, 4, probes=0)
    whole = plan(ramp, startup(9, concurrency=2, timeout=50, of="hang"),
                 targets=[target(**DURABLE), hanging])  # fmt: skip
    async with agent(tmp_path) as first:
        await first.start(whole)
        await first.until("run-1", StageFinished)
        while len(instances_of(tmp_path)) < 2:
            await first.instances()
        known = await first.instances()
        await first.kill()
    assert len(instances_of(tmp_path)) == 2

    async with agent(tmp_path) as second:
        assert instances_of(tmp_path) == set()
        assert await second.instances() == []
        events = await second.events("run-1")
        end = finished(events)
        assert end.state is RunState.PARTIAL
        assert end.problem is not None
        assert end.problem.kind is ProblemKind.UNAVAILABLE
        assert set(end.removed) == {info.instance_id for info in known}
        cut = [t for t in payloads(events, Trial) if t.outcome is Outcome.INTERRUPTED]
        assert {t.trial_id for t in cut} == {info.trial_id for info in known}
        assert all("agent died" in t.error and t.ready_ns is None for t in cut)
        ends = [e.trial_id for e in payloads(events, TrialEnd)]
        assert sorted(ends) == sorted(t.trial_id for t in payloads(events, Trial))
        assert len(payloads(events, Step)) == 3  # what was measured before is kept
        assert payloads(events, StageFinished)[-1].problem is not None
        assert await second.start(whole)  # known, not started again
        assert await second.stop() == 0


async def test_what_a_reader_saw_before_the_kill_is_there_after_it(tmp_path: Path) -> None:
    seen = []
    async with agent(tmp_path) as first:
        await first.start(plan(startup(100_000), targets=[target(**DURABLE)]))
        async for event in first.stream("run-1"):
            seen.append(event)
            if len(seen) == 300:
                break
        await first.kill()
    async with agent(tmp_path) as second:
        events = await second.events("run-1")
        assert events[:300] == seen
        trials = [t.trial_id for t in payloads(events, Trial)]
        assert len(trials) == len(set(trials))
        assert instances_of(tmp_path) == set()


async def test_a_kill_within_the_recovery_loses_nothing_either(tmp_path: Path) -> None:
    hanging = target("fake:hang", **DURABLE)
    async with agent(tmp_path) as first:
        await first.start(plan(startup(4, concurrency=3, timeout=50), targets=[hanging]))
        while len(instances_of(tmp_path)) < 3:
            await first.instances()
        await first.kill()
    for _ in range(3):  # wherever it is hit: before, within or after its recovery
        dying = await spawn(tmp_path)
        dying.kill()
        await dying.communicate()
    async with agent(tmp_path) as last:
        events = await last.events("run-1")
        outcomes = [t.outcome for t in payloads(events, Trial)]
        assert outcomes == [Outcome.INTERRUPTED] * 3
        assert finished(events).state is RunState.PARTIAL


async def test_another_agent_s_instances_are_not_touched(tmp_path: Path) -> None:
    async with agent(tmp_path) as mine:
        hanging = target("fake:hang", **DURABLE)
        await mine.start(plan(startup(1, timeout=50), targets=[hanging]))
        while not instances_of(tmp_path):
            await mine.instances()
        await mine.kill()
    stranger = tmp_path / "runtimes" / "fake" / "stranger.json"
    stranger.write_text('{"agent_id": "someone-else", "run_id": "run-1"}')
    async with agent(tmp_path) as again:
        assert instances_of(tmp_path) == {"stranger"}
        assert await again.stop() == 0
    assert instances_of(tmp_path) == {"stranger"}


async def test_a_torn_last_write_costs_only_itself(tmp_path: Path) -> None:
    async with agent(tmp_path) as first:
        events = await first.run(plan(startup(3)))
        assert await first.stop() == 0
    log = tmp_path / "spool" / "run-1" / "events.log"
    log.write_bytes(log.read_bytes()[:-5])  # the last event, run_finished, is torn
    async with agent(tmp_path) as second:
        again = await second.events("run-1")
        assert again[: len(events) - 1] == events[:-1]
        assert finished(again).state is RunState.PARTIAL


async def test_a_corrupt_log_is_told_to_its_reader_and_hurts_no_other_run(tmp_path: Path) -> None:
    async with agent(tmp_path) as first:
        await first.run(plan(startup(3)))
        good = await first.run(plan(startup(3), run_id="run-2"))
        await first.stop()
    log = tmp_path / "spool" / "run-1" / "events.log"
    broken = bytearray(log.read_bytes())
    broken[40] ^= 0xFF
    log.write_bytes(broken)
    async with agent(tmp_path) as second:
        with pytest.raises(grpc.aio.AioRpcError, match="fails its checksum") as told:
            await second.events("run-1")
        assert told.value.code() is grpc.StatusCode.DATA_LOSS
        assert await second.events("run-2") == good


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_cancels_the_run_removes_everything_and_exits_0(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with agent(tmp_path) as first:
        await first.start(plan(density(2, 1000), targets=[target(**DURABLE)]))
        await first.until("run-1", Step, 2)
        reader = first.stream("run-1")
        await anext(reader)
        first.process.send_signal(number)
        last = [event async for event in reader][-1]
        assert finished([last]).state is RunState.CANCELLED  # a reader gets all of it
        assert await first.process.wait() == 0
    assert instances_of(tmp_path) == set()
    async with agent(tmp_path) as second:
        events = await second.events("run-1")
        assert finished(events).state is RunState.CANCELLED
        assert len(payloads(events, TrialEnd)) == len(payloads(events, Trial))
