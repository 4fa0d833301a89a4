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
    answer = await host.stub.ReleaseRun(agent_pb2.ReleaseRunRequest(run_id=run_id))
    return bool(answer.already_released)


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
