"""A killed agent, a stopped agent, and what the next one makes of it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import grpc
import pytest

from agent.storage.records import RecordFile
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
    Event,
    Notice,
    Outcome,
    RunFinished,
    RunResumed,
    RunState,
    StageFinished,
    Step,
    Trial,
    TrialEnd,
)
from tonnage.v1 import agent_pb2
from tonnage.wire import to_bytes

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
        await second.until("run-1", RunResumed)
        assert await second.start(whole)  # known, not started again
        assert {info.instance_id for info in known}.isdisjoint(instances_of(tmp_path))
        await second.cancel("run-1")
        events = await second.events("run-1")
        assert finished(events).state is RunState.CANCELLED
        cut = [t for t in payloads(events, Trial) if t.outcome is Outcome.INTERRUPTED]
        assert {t.trial_id for t in cut} == {info.trial_id for info in known}
        assert all("agent died" in t.error and t.ready_ns is None for t in cut)
        again = [t for t in payloads(events, Trial) if t.outcome is Outcome.CANCELLED]
        assert {(t.trial_id, t.attempt) for t in again} <= {(t.trial_id, 2) for t in cut}
        ends = [(e.trial_id, e.attempt) for e in payloads(events, TrialEnd)]
        trials = [(t.trial_id, t.attempt) for t in payloads(events, Trial)]
        assert sorted(ends) == sorted(trials)
        assert len(set(trials)) == len(trials)
        assert len(payloads(events, Step)) == 3  # what was measured before is not repeated
        assert await second.stop() == 0
    assert instances_of(tmp_path) == set()


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
        await second.until("run-1", Trial, 200)
        await second.cancel("run-1")
        events = await second.events("run-1")
        assert events[:300] == seen
        trials = [t.trial_id for t in payloads(events, Trial) if t.outcome is Outcome.READY]
        assert len(trials) == len(set(trials))
        assert instances_of(tmp_path) == set()


async def test_a_kill_within_the_recovery_loses_nothing_either(tmp_path: Path) -> None:
    hanging = target("fake:hang", **DURABLE)
    async with agent(tmp_path) as first:
        await first.start(plan(startup(4, concurrency=3, timeout=50), targets=[hanging]))
        while len(instances_of(tmp_path)) < 3:
            await first.instances()
        await first.kill()
    log = tmp_path / "spool" / "run-1" / "events.log"
    for begun in (False, True, True):  # before its recovery, and in it
        size = log.stat().st_size
        dying = await spawn(tmp_path)
        while begun and log.stat().st_size == size:  # noqa: ASYNC110 - another's file
            await asyncio.sleep(0)
        dying.kill()
        await dying.communicate()
    async with agent(tmp_path) as last:
        await last.until("run-1", RunResumed)
        await last.cancel("run-1")
        events = await last.events("run-1")
        rows = [(t.trial_id, t.attempt) for t in payloads(events, Trial)]
        assert len(set(rows)) == len(rows)
        assert sorted(rows) == sorted((e.trial_id, e.attempt) for e in payloads(events, TrialEnd))
        first_attempts = [t for t in payloads(events, Trial) if t.attempt == 1]
        assert [t.outcome for t in first_attempts][:3] == [Outcome.INTERRUPTED] * 3
        assert [r.number for r in payloads(events, RunResumed)] == list(
            range(1, len(payloads(events, RunResumed)) + 1)
        )
    assert instances_of(tmp_path) == set()


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
        assert len(payloads(again, RunResumed)) == 1
        assert finished(again) == finished(events)
        assert payloads(again, Trial) == payloads(events, Trial)


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


LATER = b"of a version to come"


@pytest.mark.parametrize("records", [[LATER], [LATER, to_bytes(Event(4, 0, Notice("n")))]])
async def test_a_run_that_cannot_be_read_keeps_no_agent_down_and_leaves_no_instance(
    tmp_path: Path, records: list[bytes]
) -> None:
    async with agent(tmp_path) as first:
        hanging = target("fake:hang", **DURABLE)
        await first.start(plan(startup(9, timeout=50), targets=[hanging]))
        while not instances_of(tmp_path):
            await first.instances()
        await first.kill()
    log = RecordFile(tmp_path / "spool" / "run-1" / "events.log")
    log.append(records)
    log.close()
    async with agent(tmp_path) as second:
        assert instances_of(tmp_path) == set()
        assert await second.instances() == []
        with pytest.raises(grpc.aio.AioRpcError, match="not a message of this kind") as told:
            await second.events("run-1")
        assert told.value.code() is grpc.StatusCode.DATA_LOSS
        assert finished(await second.run(plan(startup(2), run_id="run-2"))).problem is None
        assert await second.stop() == 0


async def read_all(reader: AsyncIterator[Event], into: list[Event]) -> grpc.aio.AioRpcError:
    """Read a stream to its error."""
    try:
        async for event in reader:
            into.append(event)  # noqa: PERF401 (what came before the error counts)
    except grpc.aio.AioRpcError as error:
        return error
    raise AssertionError("the stream ended without an error")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_removes_everything_and_the_next_start_goes_on(
    tmp_path: Path, number: signal.Signals
) -> None:
    ramp = plan(density(2, 12), targets=[target(FAKE_READY_MS="20", **DURABLE)])
    async with agent(tmp_path) as first:
        await first.start(ramp)
        await first.until("run-1", Step, 2)
        reader = first.stream("run-1")
        before = [await anext(reader)]
        first.process.send_signal(number)
        told = await read_all(reader, before)
        assert told.code() is grpc.StatusCode.UNAVAILABLE
        assert "goes on when it is started again" in str(told.details())
        assert await first.process.wait() == 0
    assert instances_of(tmp_path) == set()
    assert payloads(before, RunFinished) == []
    cut = [end for end in payloads(before, TrialEnd) if end.interrupted]
    assert len(cut) >= 2  # those that lived
    async with agent(tmp_path) as second:
        events = await second.events("run-1")
        assert events[: len(before)] == before  # the reader was given all there was
        assert finished(events).state is RunState.FINISHED
        (resumed,) = payloads(events, RunResumed)
        assert (resumed.number, resumed.rebooted) == (1, False)
        assert "was stopped" in resumed.reason
        assert [s.sample.instances for s in payloads(events, Step)] == [0, 2, 4, 6, 8, 10, 12]
        assert all(s.sample.alive == s.sample.instances for s in payloads(events, Step))
        again = [t for t in payloads(events, Trial) if t.attempt == 2]
        assert {t.trial_id for t in again} == {e.trial_id for e in cut}
    assert instances_of(tmp_path) == set()


async def test_a_second_signal_waits_for_no_reader(tmp_path: Path) -> None:
    async with agent(tmp_path, "--drain-seconds", "600") as host:
        long = target("fake:ok", name="x" * 5000)  # rows so large that a window of gRPC fills
        await host.run(plan(startup(400, concurrency=8, of=long.id), targets=[long]))
        request = agent_pb2.StreamEventsRequest(run_id="run-1")
        stuck = host.stub.StreamEvents(request)
        await stuck.read()
        host.process.terminate()
        while host.process.returncode is None:
            host.process.send_signal(signal.SIGTERM)
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(host.process.wait()), 0.2)
        assert host.process.returncode == 0
        stuck.cancel()
