"""The agent's own limits, against plans that ask for as much as they can."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from agent.errors import GuardTripped
from agent.runner.observer import Observer
from tests.integration.agents import Agent, agent, finished, payloads, plan, startup, target
from tests.unit.agent.house import events_of, open_house, trials
from tonnage.model import DensityStage, Outcome, Plan, ProblemKind, RunState, Slo, Stage, Trial
from tonnage.v1 import agent_pb2
from tonnage.wire import to_message

ENDLESS = 1e9


def greedy(image: str = "fake:ok") -> Plan:
    """All that a plan may say: no demand, no budget, no end."""
    ramp = DensityStage("fake", 500, 1000, 0, Slo(mem_available_bytes=0), 2, 0.0, ENDLESS, 256)
    stages = (Stage("ramp", ramp), startup(1000, concurrency=256, timeout=ENDLESS))
    return plan(*stages, targets=[target(image)], time_limit=ENDLESS)


async def by_hand(host: Agent) -> None:
    request = agent_pb2.LaunchRequest(target=to_message(target()), ready_timeout_seconds=5)
    await host.stub.Launch(request)


@pytest.mark.parametrize(
    ("flag", "limit", "says"),
    [
        ("memory-headroom-bytes", 1 << 60, "the memory guard stops launching"),
        ("disk-headroom-bytes", 1 << 60, "the disk guard stops launching"),
    ],
)
async def test_a_plan_launches_nothing_below_the_agents_headroom(
    tmp_path: Path, flag: str, limit: int, says: str
) -> None:
    patience = ("--spool-patience-seconds", "0.1")
    async with agent(tmp_path, f"--guard-{flag}", str(limit), *patience) as host:
        events = await host.run(greedy())
        assert payloads(events, Trial) == []
        end = finished(events)
        assert end.state is RunState.FAILED
        assert end.problem is not None
        assert end.problem.kind is ProblemKind.GUARD
        assert says in end.problem.message
        with pytest.raises(grpc.aio.AioRpcError, match=says):
            await by_hand(host)


async def test_a_plan_gets_no_more_instances_than_the_agent_allows(tmp_path: Path) -> None:
    async with agent(tmp_path, "--guard-max-instances", "7") as host:
        await by_hand(host)
        events = await host.run(greedy())
        ready = [t for t in payloads(events, Trial) if t.outcome is Outcome.READY]
        assert 0 < len(ready) <= 6 + 1000  # starts are removed again, the ramp's fill is not
        assert len([t for t in ready if t.stage_id == "ramp"]) == 6
        assert str(finished(events).problem).endswith("guard_max_instances is 7.")


async def test_a_run_ends_at_the_agents_time_whatever_the_plan_gives_its_starts(
    tmp_path: Path,
) -> None:
    async with agent(tmp_path, "--guard-max-run-seconds", "0.5") as host:
        events = await host.run(greedy("fake:hang"))
        end = finished(events)
        assert "time limit of 0.5 s" in str(end.problem)
        cut = payloads(events, Trial)
        assert len(cut) == 256
        assert {trial.outcome for trial in cut} == {Outcome.CANCELLED}
        assert await host.instances() == []


async def test_a_plan_of_less_time_than_the_agents_lets_its_starts_become_ready(
    tmp_path: Path,
) -> None:
    slow = target(FAKE_READY_MS="700")
    whole = plan(startup(50, timeout=30), targets=[slow], time_limit=0.2)
    async with agent(tmp_path) as host:
        events = await host.run(whole)
    assert [trial.outcome for trial in payloads(events, Trial)] == [Outcome.READY]
    assert "time limit of 0.2 s" in str(finished(events).problem)


async def test_a_plan_waits_for_its_release_no_longer_than_a_run_may_take(tmp_path: Path) -> None:
    async with agent(tmp_path, "--guard-max-run-seconds", "0.3") as host:
        waiting = replace(plan(startup(2)), release_within_seconds=ENDLESS)
        end = finished(await host.run(waiting))
        assert end.state is RunState.FAILED
        assert "not released within 0.3 s" in str(end.problem)


@pytest.mark.parametrize("resource", ["cpu", "memory", "io"])
async def test_a_plan_launches_nothing_above_the_agents_pressure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resource: str
) -> None:
    monkeypatch.setattr(Observer, "pressure", lambda _: {resource: 50.1})
    guard: dict[str, Any] = {f"guard_{resource}_some_avg10": 50}
    async with open_house(tmp_path, **guard) as house:
        house.gate.may.set()
        await house.runs.start(greedy())
        events = await events_of(house)
        assert trials(events) == []
        assert f"{resource} pressure is 50.1 %" in str(finished(events).problem)
        with pytest.raises(GuardTripped, match="pressure guard"):
            await house.manual.launch(target(), 5)
        await house.runs.idle()


async def test_a_hard_limit_on_instances_that_no_group_can_hold_is_refused(
    tmp_path: Path,
) -> None:
    ramp = DensityStage("fake", 1, 9, 0, Slo(), 2, 0.0, 10, memory_limit_bytes=1 << 30)
    async with agent(tmp_path) as host:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await host.start(plan(Stage("ramp", ramp)))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "no group of ours" in (caught.value.details() or "")
    assert "Leave memory_limit out" in (caught.value.details() or "")
