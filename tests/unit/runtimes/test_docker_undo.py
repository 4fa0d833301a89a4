"""What is done about a start that failed, with an engine that is played."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import docker.errors
import pytest
import requests

from agent.clock import Timeline
from agent.errors import LaunchFailed
from agent.runtimes.base import LaunchSpec, Prepared, Scope
from agent.runtimes.docker import DockerRuntime, EngineProfile, engine, order, orphans
from agent.runtimes.registry import RuntimeSettings
from tonnage.model import LogReadiness, Mode, Network, Target, Workload

WORKLOAD = Workload("w", "some/image:1", LogReadiness("READY"))
CONTAINER = "c" * 64


def answered(status: int) -> docker.errors.APIError:
    response = requests.Response()
    response.status_code = status
    return docker.errors.APIError("no", response, "it says no")


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mock]:
    """An engine that creates what it is told to, and knows nothing that was removed."""
    client = Mock()
    client.create_container_from_config.return_value = {"Id": CONTAINER}
    client.remove_container.side_effect = docker.errors.NotFound("gone")
    ours, engines = socket.socketpair()
    monkeypatch.setattr(engine, "connect", Mock(return_value=client))
    monkeypatch.setattr(order, "attach", Mock(return_value=ours))
    yield client
    engines.close()


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The containers that were looked for after their removal."""
    found: list[str] = []
    monkeypatch.setattr(orphans.Vigil, "keep", lambda _self, container: found.append(container))
    return found


@pytest.mark.parametrize(("status", "looked_for"), [(500, [CONTAINER]), (409, [])])
async def test_only_what_the_engine_failed_in_is_looked_for_after_its_removal(
    client: Mock, watched: list[str], tmp_path: Path, status: int, looked_for: list[str]
) -> None:
    client.start.side_effect = answered(status)
    target = Target("t", "docker", "default", Mode.WARM, Network.NONE, WORKLOAD, 64 << 20, cpus=2)
    scope = Scope("a", "r", "t")
    spec = LaunchSpec("one", scope, target, Prepared(WORKLOAD, "sha256:1"), lifetime_seconds=60.0)
    runtime = DockerRuntime(EngineProfile("docker"), RuntimeSettings("a", tmp_path, "unix:///none"))
    with pytest.raises(LaunchFailed):
        await runtime.launch(spec, Timeline())
    assert client.remove_container.call_count == 1
    assert watched == looked_for
    await runtime.close()
