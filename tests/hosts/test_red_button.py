"""The red button on real containers and virtual machines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from grpc import StatusCode as Code

from agent.process import PROC, alive
from agent.runner.red_button import KILL_SECONDS
from tests.contracts.runtimes import IDLE
from tests.integration.agents import SMALL_GUARDS, Agent, agent, finished, payloads, plan
from tonnage.model import (
    DensityStage,
    Mode,
    Network,
    RunState,
    Slo,
    Stage,
    Target,
    Trial,
    TrialEnd,
)
from tonnage.v1 import agent_pb2
from tonnage.wire import to_message

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

MANY = 200
CONTAINER = Target("fake", "docker", "default", Mode.WARM, Network.NONE, IDLE, 32 << 20)
VM = Target("vm", "qemu-microvm", "direct", Mode.WARM, Network.NONE, IDLE, 128 << 20)


def processes_with(word: str) -> list[int]:
    """Processes of this host in a cgroup, or with a command line, of that name."""
    found = []
    for folder in PROC.iterdir():
        if folder.name.isdecimal():
            try:
                text = (folder / "cgroup").read_text() + (folder / "cmdline").read_text()
            except OSError:
                continue
            if word in text and alive(int(folder.name)):
                found.append(int(folder.name))
    return found


async def press(host: Agent) -> tuple[agent_pb2.InstancesKilled, agent_pb2.InstancesRemoved, float]:
    """Both answers, and when the first came as the caller sees it."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    stream = host.stub.StopAll(agent_pb2.StopAllRequest())
    first = await stream.read()
    seconds = loop.time() - began
    second = await stream.read()
    return first.killed, second.removed, seconds


@pytest.mark.docker
async def test_two_hundred_containers_are_killed_in_time_and_then_removed(
    tmp_path: Path, docker_host: str, record_property: Callable[[str, object], None]
) -> None:
    flags = ("--runtimes", "docker", "--docker-host", docker_host, *SMALL_GUARDS)
    stage = DensityStage("fake", MANY, 2 * MANY, 0, Slo(), 2, 0.0, 30, concurrency=4)
    ramp = plan(Stage("ramp", stage), targets=[CONTAINER], time_limit=150)
    async with agent(tmp_path, *flags) as host:
        await host.start(ramp)
        await host.until("run-1", Trial, MANY)
        killed, removed, seconds = await press(host)
        record_property("killed_seconds", killed.seconds)
        record_property("removed_seconds", removed.seconds)
        assert list(killed.alive) == []
        assert len(killed.killed) >= MANY
        assert killed.seconds <= seconds < KILL_SECONDS
        assert list(removed.leaked) == []
        assert set(killed.killed) <= set(removed.removed)
        events = await host.events("run-1")
        assert finished(events).state is RunState.CANCELLED
        assert len(payloads(events, Trial)) == len(payloads(events, TrialEnd))
        assert await host.instances() == []
        assert await host.stop() == 0


@pytest.mark.qemu
async def test_virtual_machines_are_killed_too(
    tmp_path: Path, guest_dir: Path, images_dir: Path
) -> None:
    places = ("--guest-dir", str(guest_dir), "--images-dir", str(images_dir))
    async with agent(tmp_path, "--runtimes", "qemu-microvm", *places, *SMALL_GUARDS) as host:
        request = agent_pb2.LaunchRequest(target=to_message(VM), ready_timeout_seconds=60)
        await asyncio.gather(host.stub.Launch(request), host.stub.Launch(request))
        late = host.stub.Launch(request)  # in flight when the button is pressed, or refused
        agent_id = (tmp_path / "agent-id").read_text().strip()
        assert len(processes_with(f"tonnage/{agent_id}/")) >= 2
        killed, removed, seconds = await press(host)
        assert await late.code() in (Code.ABORTED, Code.FAILED_PRECONDITION)
        assert (list(killed.alive), list(removed.leaked)) == ([], [])
        assert len(killed.killed) >= 2
        assert seconds < KILL_SECONDS
        assert processes_with(f"tonnage/{agent_id}/") == []
        assert await host.stop() == 0
