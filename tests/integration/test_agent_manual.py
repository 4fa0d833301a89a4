"""Instances by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.integration.agents import Agent, agent, finished, plan, startup, target
from tonnage.model import Problem, RunState
from tonnage.v1 import agent_pb2, model_pb2
from tonnage.wire import from_bytes, to_message


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Agent]:
    async with agent(tmp_path) as made:
        yield made


def launch(host: Agent, image: str = "fake:ok", timeout: float = 5, **tuning: str) -> Any:
    request = agent_pb2.LaunchRequest(
        target=to_message(target(image, **tuning)), ready_timeout_seconds=timeout
    )
    return host.stub.Launch(request)


async def test_an_instance_lives_from_launch_to_destroy(host: Agent) -> None:
    answer = await launch(host)
    assert answer.trial.population == model_pb2.POPULATION_MANUAL
    assert answer.trial.ready_ns > 0
    (info,) = await host.instances()
    assert info == answer.instance
    assert (info.state, info.runtime, info.image, info.run_id) == ("ready", "fake", "fake:ok", "")
    request = agent_pb2.DestroyInstanceRequest(instance_id=info.instance_id)
    await host.stub.DestroyInstance(request)
    assert await host.instances() == []
    with pytest.raises(grpc.aio.AioRpcError, match="no such instance") as refused:
        await host.stub.DestroyInstance(request)
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("image", "code", "says"),
    [
        ("fake:fail", grpc.StatusCode.FAILED_PRECONDITION, "exit code 1"),
        ("fake:hang", grpc.StatusCode.FAILED_PRECONDITION, "not ready within 0.1 s"),
        ("fake:gone", grpc.StatusCode.FAILED_PRECONDITION, "the fake engine is gone"),
        ("fake:missing", grpc.StatusCode.INVALID_ARGUMENT, "no such image"),
    ],
)
async def test_what_does_not_become_ready_is_told_and_gone(
    host: Agent, image: str, code: grpc.StatusCode, says: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await launch(host, image, 0.1)
    assert refused.value.code() is code
    assert says in str(refused.value.details())
    metadata = dict(refused.value.trailing_metadata() or ())
    problem = from_bytes(bytes(metadata["tonnage-problem-bin"]), Problem)
    assert ("fake instance" in problem.evidence) is (image in ("fake:fail", "fake:hang"))
    assert await host.instances() == []


async def test_a_deadline_that_makes_no_sense_is_refused(host: Agent) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match="ready_timeout_seconds"):
        await launch(host, timeout=0)


async def test_a_caller_that_goes_away_leaves_no_instance(host: Agent) -> None:
    for image in ("fake:hang", "fake:ok"):
        call = launch(host, image, 60, FAKE_ACCEPT_MS="50")
        await host.holding(1)
        call.cancel()
        await host.holding(0)


async def test_cleaning_removes_what_is_loose_and_spares_the_run(host: Agent) -> None:
    loose = await launch(host)
    stubborn = await launch(host, "fake:leak")
    await host.start(plan(startup(1, timeout=50), targets=[target("fake:hang")]))
    await host.holding(3)
    cleaned = await host.stub.Clean(agent_pb2.CleanRequest())
    assert list(cleaned.removed) == [loose.instance.instance_id]
    assert list(cleaned.leaked) == [stubborn.instance.instance_id]
    states = {info.instance_id: info.state for info in await host.instances()}
    assert states[stubborn.instance.instance_id] == "orphaned"
    assert len(states) == 2
    (held,) = states.keys() - {stubborn.instance.instance_id}
    request = agent_pb2.DestroyInstanceRequest(instance_id=held)
    with pytest.raises(grpc.aio.AioRpcError, match="belongs to a run"):
        await host.stub.DestroyInstance(request)
    await host.cancel("run-1")
    await host.events("run-1")
    cleaned = await host.stub.Clean(agent_pb2.CleanRequest())
    assert list(cleaned.removed) == [stubborn.instance.instance_id]
    assert await host.instances() == []


async def test_what_survived_its_removal_is_removed_once_that_can_be_done(host: Agent) -> None:
    stubborn = await launch(host, "fake:leak")
    request = agent_pb2.DestroyInstanceRequest(instance_id=stubborn.instance.instance_id)
    with pytest.raises(grpc.aio.AioRpcError, match="survived"):
        await host.stub.DestroyInstance(request)
    assert [info.state for info in await host.instances()] == ["orphaned"]
    await host.holding(0)


async def test_instances_by_hand_count_for_the_guard(tmp_path: Path) -> None:
    async with agent(tmp_path, "--guard-max-instances", "2") as host:
        await launch(host)
        await launch(host)
        with pytest.raises(grpc.aio.AioRpcError, match="count guard") as refused:
            await launch(host)
        assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        end = finished(await host.run(plan(startup(2))))
        assert end.state is RunState.FAILED
        assert "guard_max_instances is 2" in str(end.problem)
        assert await host.stop() == 0
