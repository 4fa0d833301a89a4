"""Runs that restore from snapshots, carried out by a real agent with the fake runtime."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from tests.integration.agents import Agent, agent, finished, payloads, plan, startup, target
from tonnage.model import (
    ConsoleHealth,
    LogReadiness,
    Mode,
    Outcome,
    RunPrepared,
    RunState,
    Snapshot,
    Target,
    Trial,
    Workload,
)
from tonnage.v1 import agent_pb2
from tonnage.wire import to_message

IDLE = Workload(
    "idle", "fake:ok", LogReadiness("TONNAGE READY"), health=ConsoleHealth("ping", "pong")
)


def restored(variant: str = "private", workload: Workload = IDLE) -> Target:
    return replace(target(), mode=Mode.RESTORE, variant=variant, workload=workload)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Agent]:
    async with agent(tmp_path) as made:
        yield made
        assert await made.stop() == 0


async def test_a_template_is_made_before_the_first_start_and_gone_after_the_last(
    host: Agent, tmp_path: Path
) -> None:
    events = await host.run(plan(startup(3), targets=[restored("shared-ram")]))
    kinds = [type(event.payload) for event in events]
    assert kinds.index(Snapshot) < kinds.index(RunPrepared) < kinds.index(Trial)
    (snapshot,) = payloads(events, Snapshot)
    assert (snapshot.target_id, snapshot.variant) == ("fake", "shared-ram")
    trials = payloads(events, Trial)
    assert [trial.outcome for trial in trials] == [Outcome.READY] * 3
    assert all(trial.restored_ns is not None for trial in trials)
    end = finished(events)
    assert (end.state, end.removed, end.leaked) == (RunState.FINISHED, (), ())
    assert list((tmp_path / "runtimes").rglob("template-*")) == []


async def test_a_run_taken_up_again_makes_its_template_anew(tmp_path: Path) -> None:
    slow = replace(IDLE, environment={"FAKE_READY_MS": "60", "FAKE_DURABLE": "1"})
    async with agent(tmp_path) as killed:
        await killed.start(plan(startup(30), targets=[restored(workload=slow)]))
        await killed.until("run-1", Trial, 2)
        (before,) = (tmp_path / "runtimes").rglob("template-*")
        await killed.kill()
    async with agent(tmp_path) as again:
        events = await again.events("run-1")
        assert await again.stop() == 0
    assert finished(events).state is RunState.FINISHED
    assert len(payloads(events, Snapshot)) == 2
    ready = [t for t in payloads(events, Trial) if t.outcome is Outcome.READY]
    assert len({t.trial_id for t in ready}) == 30
    assert not before.exists()
    assert list((tmp_path / "runtimes").rglob("*.json")) == []


async def test_a_template_that_cannot_be_made_ends_the_run_with_the_reason(host: Agent) -> None:
    events = await host.run(
        plan(startup(3), targets=[restored(workload=replace(IDLE, health=None))])
    )
    problem = finished(events).problem
    assert problem is not None
    assert problem.field == "targets[fake].workload.health"
    assert payloads(events, Trial) == []


@pytest.mark.parametrize(
    "odd", [replace(target(), variant="private"), replace(restored(), variant="default")]
)
async def test_a_variant_of_another_mode_is_refused(host: Agent, odd: Target) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match="has other variants"):
        await host.start(plan(startup(1), targets=[odd]))


async def test_nothing_is_restored_by_hand(host: Agent) -> None:
    request = agent_pb2.LaunchRequest(target=to_message(restored()), ready_timeout_seconds=5)
    with pytest.raises(grpc.aio.AioRpcError, match="belongs to a run"):
        await host.stub.Launch(request)
