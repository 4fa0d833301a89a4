"""The red button on a real agent with the fake runtime."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.integration.agents import (
    Agent,
    agent,
    density,
    finished,
    payloads,
    plan,
    startup,
    target,
)
from tonnage.model import Outcome, RunState, Trial, TrialEnd
from tonnage.v1 import agent_pb2
from tonnage.wire import to_message

KILL_SECONDS = 5.0


async def stop_all(host: Agent) -> tuple[Any, Any]:
    """Both answers."""
    answers = [answer async for answer in host.stub.StopAll(agent_pb2.StopAllRequest())]
    first, second = answers
    assert first.WhichOneof("answer") == "killed"
    assert second.WhichOneof("answer") == "removed"
    return first.killed, second.removed


async def launch(host: Agent, image: str = "fake:ok") -> str:
    request = agent_pb2.LaunchRequest(target=to_message(target(image)), ready_timeout_seconds=50)
    return str((await host.stub.Launch(request)).instance.instance_id)


async def test_a_thousand_instances_are_killed_in_time_and_the_run_is_cancelled(
    tmp_path: Path,
) -> None:
    async with agent(tmp_path) as host:
        by_hand = await launch(host)
        await host.start(plan(density(1000, 2000, probes=0), targets=[target()]))
        await host.until("run-1", Trial, 950)
        held = await host.instances()
        assert len(held) > 900
        killed, removed = await stop_all(host)
        assert killed.seconds < KILL_SECONDS
        assert list(killed.alive) == []
        assert by_hand in killed.killed
        assert len(killed.killed) >= len(held) - 10
        assert list(removed.leaked) == []
        assert set(killed.killed) <= set(removed.removed)
        events = await host.events("run-1")
        assert finished(events).state is RunState.CANCELLED
        assert "everything on this host was stopped" in str(events)
        assert len(payloads(events, TrialEnd)) == len(payloads(events, Trial))
        assert await host.instances() == []
        await launch(host)  # afterwards launching is allowed again


async def test_starts_in_flight_are_ended_too(tmp_path: Path) -> None:
    async with agent(tmp_path) as host:
        hanging = target("fake:hang")
        await host.start(plan(startup(9, concurrency=3, timeout=50), targets=[hanging]))
        starting = asyncio.create_task(launch(host, "fake:hang"))
        await host.holding(4)
        killed, removed = await stop_all(host)
        assert (len(killed.killed), list(killed.alive), list(removed.leaked)) == (4, [], [])
        with pytest.raises(grpc.aio.AioRpcError):
            await starting
        events = await host.events("run-1")
        assert {t.outcome for t in payloads(events, Trial)} <= {Outcome.CANCELLED, Outcome.FAILED}
        assert await host.instances() == []


async def test_pressed_twice_at_once_both_are_answered(tmp_path: Path) -> None:
    async with agent(tmp_path) as host:
        await asyncio.gather(*(launch(host) for _ in range(3)))
        answers = await asyncio.gather(stop_all(host), stop_all(host))
        assert all(list(killed.alive) == [] for killed, _ in answers)
        assert all(list(removed.leaked) == [] for _, removed in answers)
        assert await host.instances() == []


async def test_an_idle_host_answers_too(tmp_path: Path) -> None:
    async with agent(tmp_path) as host:
        killed, removed = await stop_all(host)
        assert (list(killed.killed), list(removed.removed)) == ([], [])


async def launched(host: Agent) -> bool:
    try:
        await launch(host)
    except grpc.aio.AioRpcError as refused:
        if refused.code() is not grpc.StatusCode.ABORTED:
            raise
        return False
    return True


async def test_a_caller_that_goes_away_changes_nothing(tmp_path: Path) -> None:
    async with agent(tmp_path) as host:
        await asyncio.gather(*(launch(host) for _ in range(3)))
        call = host.stub.StopAll(agent_pb2.StopAllRequest())
        await call.read()
        call.cancel()
        await host.holding(0)
        while not await launched(host):  # refused as long as the stop is at work
            pass
        assert len(await host.instances()) == 1
