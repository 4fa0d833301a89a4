"""Runs that are made ready and wait for their release, so that hosts begin together."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from tests.integration.agents import Agent, agent, finished, payloads, plan, startup
from tonnage.model import (
    Plan,
    RunPrepared,
    RunReleased,
    RunResumed,
    RunState,
    Trial,
)
from tonnage.v1 import agent_pb2


def waiting(seconds: float, trials: int = 3) -> Plan:
    return replace(plan(startup(trials), time_limit=2), release_within_seconds=seconds)


async def release(host: Agent, run_id: str = "run-1") -> bool:
    return (await release_in(host, 0.0, run_id)).already_released


async def release_in(
    host: Agent, seconds: float, run_id: str = "run-1"
) -> agent_pb2.ReleaseRunResponse:
    answer: agent_pb2.ReleaseRunResponse = await host.stub.ReleaseRun(
        agent_pb2.ReleaseRunRequest(run_id=run_id, begin_in_seconds=seconds)
    )
    return answer


async def test_a_prepared_run_launches_nothing_until_it_is_released(tmp_path: Path) -> None:
    async with agent(tmp_path) as host:
        await host.start(waiting(50))
        await host.until("run-1", RunPrepared)
        assert not await release(host)
        assert await release(host)  # idempotent
        events = await host.events("run-1")
        assert await release(host)  # and after its end
    kinds = [type(event.payload) for event in events]
    assert kinds.index(RunPrepared) < kinds.index(RunReleased) < kinds.index(Trial)
    assert finished(events).state is RunState.FINISHED


async def test_a_release_may_say_in_how_many_seconds_to_begin(tmp_path: Path) -> None:
    async with agent(tmp_path) as host:
        await host.start(waiting(50))
        await host.until("run-1", RunPrepared)
        first = asyncio.create_task(release_in(host, 0.3))
        await asyncio.sleep(0.1)
        again = await release_in(host, 0.0)  # it is let go already: this hastens nothing
        told = await first
        events = await host.events("run-1")
    assert not told.already_released
    assert told.began_after_seconds >= 0.3
    assert again.already_released
    assert not again.HasField("began_after_seconds")
    assert finished(events).state is RunState.FINISHED


async def test_a_run_that_was_told_when_to_begin_is_not_too_late_for_it(tmp_path: Path) -> None:
    async with agent(tmp_path) as host:
        await host.start(waiting(0.5))
        await host.until("run-1", RunPrepared)
        assert not (await release_in(host, 1.0)).already_released
        assert finished(await host.events("run-1")).state is RunState.FINISHED


async def test_a_run_can_be_cancelled_before_the_moment_it_was_told(tmp_path: Path) -> None:
    async with agent(tmp_path) as host:
        await host.start(waiting(50))
        await host.until("run-1", RunPrepared)
        told = asyncio.create_task(release_in(host, 10.0))
        await asyncio.sleep(0.1)
        assert await host.cancel("run-1")
        events = await host.events("run-1")
        assert not (await told).HasField("began_after_seconds")
    assert finished(events).state is RunState.CANCELLED
    assert payloads(events, Trial) == payloads(events, RunReleased) == []


@pytest.mark.parametrize("seconds", [-1.0, 10.1, float("nan")])
async def test_no_time_to_begin_in_is_refused(tmp_path: Path, seconds: float) -> None:
    async with agent(tmp_path) as host:
        await host.start(waiting(50))
        with pytest.raises(grpc.aio.AioRpcError, match="begin_in_seconds") as refused:
            await release_in(host, seconds)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        await host.cancel("run-1")


async def test_a_run_that_need_not_wait_says_when_it_began(tmp_path: Path) -> None:
    async with agent(tmp_path) as host:
        events = await host.run(plan(startup(1)))
    assert len(payloads(events, RunPrepared)) == len(payloads(events, RunReleased)) == 1


async def test_a_run_that_is_not_released_in_time_fails_and_says_so(tmp_path: Path) -> None:
    async with agent(tmp_path) as host:
        events = await host.run(waiting(0.2))
        assert finished(events).state is RunState.FAILED
        assert "was not released within 0.2 s" in str(finished(events).problem)
        assert payloads(events, Trial) == payloads(events, RunReleased) == []
        with pytest.raises(grpc.aio.AioRpcError, match="ended before it was released") as late:
            await release(host)
        assert late.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_waiting_counts_towards_no_time_limit(tmp_path: Path) -> None:
    async with agent(tmp_path) as host:
        await host.start(waiting(50))  # its time limit is 2 s
        await host.until("run-1", RunPrepared)
        await asyncio.sleep(2.1)
        await release(host)
        assert finished(await host.events("run-1")).state is RunState.FINISHED


async def test_a_waiting_run_can_be_cancelled(tmp_path: Path) -> None:
    async with agent(tmp_path) as host:
        await host.start(waiting(50))
        await host.until("run-1", RunPrepared)
        assert await host.cancel("run-1")
        events = await host.events("run-1")
    assert finished(events).state is RunState.CANCELLED
    assert payloads(events, Trial) == []


@pytest.mark.parametrize("kill", [True, False])
async def test_a_run_waits_on_after_a_restart_and_not_once_released(
    tmp_path: Path, kill: bool
) -> None:
    async with agent(tmp_path) as host:
        await host.start(waiting(50))
        await host.until("run-1", RunPrepared)
        await (host.kill() if kill else host.stop())
    async with agent(tmp_path) as host:
        await host.until("run-1", RunResumed)
        assert not await release(host)
        await (host.kill() if kill else host.stop())
    async with agent(tmp_path) as host:
        events = await host.events("run-1")
        assert finished(events).state is RunState.FINISHED
        assert len(payloads(events, RunReleased)) == 1
        assert len(payloads(events, RunPrepared)) == 1


async def test_a_run_nobody_knows_is_not_found(tmp_path: Path) -> None:
    async with agent(tmp_path) as host:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await release(host, "nobody")
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
