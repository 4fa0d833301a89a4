"""Two agents on one host and one engine, among strangers: nobody touches what is not his."""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from docker.api.client import APIClient

from agent.runtimes.docker.config import LABEL_AGENT, container_name
from agent.runtimes.qemu.machine import PROGRAM, process_name
from tests.contracts.runtimes import IDLE
from tests.integration.agents import (
    SMALL_GUARDS,
    Agent,
    agent,
    finished,
    payloads,
    plan,
    startup,
)
from tonnage.model import Mode, Network, Outcome, RunResumed, RunState, Target, Trial
from tonnage.v1 import agent_pb2
from tonnage.wire import to_message

pytestmark = [pytest.mark.docker, pytest.mark.qemu, pytest.mark.slow, pytest.mark.timeout(240)]

READY_SECONDS = 60.0
CONTAINER = Target("c", "docker", "default", Mode.WARM, Network.NONE, IDLE, 64 << 20)
VM = Target("vm", "qemu-microvm", "direct", Mode.WARM, Network.NONE, IDLE, 128 << 20)


@dataclass
class Strangers:
    """What belongs to no agent of this test."""

    containers: list[str]
    processes: list[asyncio.subprocess.Process]

    def untouched(self, api: APIClient) -> bool:
        """Whether all of it runs as it did."""
        running = {container["Id"] for container in api.containers()}
        return set(self.containers) <= running and all(
            process.returncode is None for process in self.processes
        )


@pytest.fixture
def api(docker_host: str) -> Iterator[APIClient]:
    """The engine without Tonnage in between."""
    client = APIClient(base_url=docker_host, version="auto")
    yield client
    client.close()


@pytest.fixture
def flags(docker_host: str, guest_dir: Path, images_dir: Path) -> tuple[str, ...]:
    return (
        *("--runtimes", "docker,qemu-microvm", "--docker-host", docker_host),
        *("--guest-dir", str(guest_dir), "--images-dir", str(images_dir), *SMALL_GUARDS),
    )


def stranger_containers(api: APIClient, agent_id: str) -> list[str]:
    """Containers with no label, another agent's, and with names like those of ours."""
    made = []
    unique = uuid.uuid4().hex[:8]
    for name, labels in (
        (f"somebody-{unique}", {}),
        (container_name(f"i{unique}"), {}),
        (f"decoy-{unique}", {LABEL_AGENT: f"{agent_id}x", "tonnage.instance": f"i{unique}"}),
    ):
        found = api.create_container(IDLE.image, name=name, labels=labels, stdin_open=True)
        api.start(found["Id"])
        made.append(str(found["Id"]))
    return made


async def stranger_processes(agent_id: str) -> list[asyncio.subprocess.Process]:
    """VMs of somebody else, and a program whose words are a VM's of ours."""
    paused = ("-S", "-machine", "none", "-display", "none")
    sleeper = (sys.executable, "-c", "import time; time.sleep(1000)")
    commands = [
        (PROGRAM, "-name", "somebody", *paused),
        (PROGRAM, "-name", process_name(f"{agent_id}x", "qemu-microvm", "vm-1"), *paused),
        (*sleeper, PROGRAM, "-name", process_name(agent_id, "qemu-microvm", "vm-1")),
    ]
    return [await asyncio.create_subprocess_exec(*command) for command in commands]


@pytest.fixture
async def pair(
    tmp_path: Path, flags: tuple[str, ...], api: APIClient
) -> AsyncIterator[tuple[Agent, Agent, Strangers]]:
    """Two agents and the strangers around the first."""
    async with AsyncExitStack() as stack:
        mine = await stack.enter_async_context(agent(tmp_path / "one", *flags))
        other = await stack.enter_async_context(agent(tmp_path / "two", *flags))
        agent_id = (tmp_path / "one/agent-id").read_text().strip()
        strangers = Strangers(stranger_containers(api, agent_id), [])
        try:
            strangers.processes = await stranger_processes(agent_id)
            yield mine, other, strangers
            assert await other.stop() == 0
        finally:
            for container in strangers.containers:
                api.remove_container(container, force=True)
            for process in strangers.processes:
                process.kill()
                await process.wait()


async def launch(host: Agent, target: Target) -> str:
    request = agent_pb2.LaunchRequest(
        target=to_message(target), ready_timeout_seconds=READY_SECONDS
    )
    return str((await host.stub.Launch(request)).instance.instance_id)


async def held(host: Agent) -> set[str]:
    return {info.instance_id for info in await host.instances()}


def containers_of(api: APIClient, data_dir: Path) -> list[object]:
    agent_id = (data_dir / "agent-id").read_text().strip()
    return list(api.containers(all=True, filters={"label": f"{LABEL_AGENT}={agent_id}"}))


async def test_nothing_an_agent_does_reaches_what_is_not_its_own(
    pair: tuple[Agent, Agent, Strangers],
    tmp_path: Path,
    flags: tuple[str, ...],
    api: APIClient,
) -> None:
    mine, other, strangers = pair
    theirs = {await launch(other, CONTAINER), await launch(other, VM)}

    async def all_stands(step: str) -> None:
        assert strangers.untouched(api), step
        assert await held(other) == theirs, step
        assert len(containers_of(api, tmp_path / "two")) == 1, step

    ours = {await launch(mine, CONTAINER), await launch(mine, VM)}
    assert await held(mine) == ours
    whole = plan(startup(3, timeout=READY_SECONDS, of="c"), targets=[CONTAINER], time_limit=120)
    events = await mine.run(whole)
    assert finished(events).state is RunState.FINISHED
    assert [trial.outcome for trial in payloads(events, Trial)] == 3 * [Outcome.READY]
    await all_stands("a run")

    cleaned = await mine.stub.Clean(agent_pb2.CleanRequest())
    assert set(cleaned.removed) == ours
    assert list(cleaned.leaked) == []
    await all_stands("clean")

    ours = {await launch(mine, CONTAINER), await launch(mine, VM)}
    answers = [answer async for answer in mine.stub.StopAll(agent_pb2.StopAllRequest())]
    assert set(answers[0].killed.killed) == set(answers[1].removed.removed) == ours
    await all_stands("stop-all")

    again = replace(whole, run_id="run-2", stages=(startup(12, timeout=READY_SECONDS, of="c"),))
    await launch(mine, VM)
    await mine.start(again)
    await mine.until("run-2", Trial, 3)
    await mine.kill()
    await all_stands("a kill")
    async with agent(tmp_path / "one", *flags) as reborn:
        await all_stands("a recovery")
        events = await reborn.events("run-2")
        assert finished(events).state is RunState.FINISHED
        assert len(payloads(events, RunResumed)) == 1
        ready = [t.trial_id for t in payloads(events, Trial) if t.outcome is Outcome.READY]
        assert len(ready) == len(set(ready)) == 12
        await all_stands("a resumed run")
        assert await held(reborn) == set()
        assert await reborn.stop() == 0
    assert containers_of(api, tmp_path / "one") == []
    await all_stands("the end of an agent")
