"""What an agent sees of others' containers and machines on a real host, and that it only looks."""

from __future__ import annotations

import asyncio
import re
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from docker.api.client import APIClient

from agent.process import Identity
from tests.integration.agents import agent
from tests.integration.test_metrics_exposed import read

pytestmark = [pytest.mark.docker, pytest.mark.qemu]

IMAGE = "tonnage/idle:1"
OBSERVING = ("--observe", "--observe-interval-seconds", "1")
GOLDEN = Path(__file__).parents[1] / "fixtures" / "metrics" / "agent_observed.prom"
MIB = 1 << 20


@pytest.fixture
def api(docker_host: str) -> Iterator[APIClient]:
    """The engine without Tonnage in between."""
    with closing(APIClient(base_url=docker_host, version="auto")) as client:
        yield client


@pytest.fixture
def start(api: APIClient) -> Iterator[Callable[[], str]]:
    """Starts a container that is nobody's; its id."""
    with ExitStack() as made:

        def started() -> str:
            host = api.create_host_config(network_mode="none")
            name = f"foreign-{uuid.uuid4().hex[:8]}"
            key = str(api.create_container(IMAGE, name=name, host_config=host)["Id"])
            made.callback(api.remove_container, key, force=True)
            api.start(key)
            return key

        yield started


@pytest.fixture
def machine(guest_dir: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A virtual machine that is nobody's, held before its first instruction."""
    del guest_dir  # QEMU is here
    words = ("-M", "microvm,acpi=off", "-m", "32", "-nodefaults", "-display", "none", "-S")
    with subprocess.Popen(["qemu-system-x86_64", *words]) as vmm:
        yield vmm
        vmm.kill()


class Page:
    """The agent's page of metrics, read again and again."""

    def __init__(self, at: str) -> None:
        self._at = at
        self.text = ""

    async def until(self, *wanted: str) -> None:
        """Read it until it has a series above zero that begins like each of those wanted."""
        async with asyncio.timeout(40):
            while not all(self.value(series) > 0 for series in wanted):
                self.text = await asyncio.to_thread(self._read)

    def _read(self) -> str:
        with urlopen(f"http://{self._at}/metrics", timeout=10) as answer:
            return str(answer.read().decode())

    def value(self, series: str) -> float:
        """The value of a series; below zero where there is none."""
        found = re.search(rf"^{re.escape(series)} (\S+)$", self.text, re.MULTILINE)
        return float(found[1]) if found else -1.0


def instances(runtime: str) -> str:
    return f'tonnage_observed_instances{{runtime="{runtime}",state="running"}}'


def memory(runtime: str, estimator: str) -> str:
    return f'tonnage_observed_memory_bytes{{estimator="{estimator}",runtime="{runtime}"}}'


def state(api: APIClient, container: str) -> dict[str, Any]:
    """All that the engine knows of how a container fares."""
    found = api.inspect_container(container)
    return {"state": found["State"], "restarts": found["RestartCount"]}


async def test_others_are_counted_weighed_and_timed_and_never_touched(
    api: APIClient,
    docker_host: str,
    start: Callable[[], str],
    machine: subprocess.Popen[bytes],
    tmp_path: Path,
) -> None:
    begun = int(time.time())
    container, vmm = start(), Identity.of(machine.pid)
    before = state(api, container)
    async with agent(tmp_path, *OBSERVING, "--docker-host", docker_host) as host:
        page = Page(host.metrics)
        docker = (instances("docker"), memory("docker", "pss"), memory("docker", "cgroup"))
        qemu = (instances("qemu"), memory("qemu", "pss"), memory("qemu", "vmm_overhead"))
        await page.until(*docker, *qemu)
        assert page.value(memory("qemu", "pss")) > MIB
        start()
        await page.until('tonnage_observed_start_seconds_count{runtime="docker"}')
        seen = read(page.text)
        assert {name: seen.get(name) for name in read(GOLDEN.read_text())} == read(
            GOLDEN.read_text()
        )
        assert 'tonnage_probe_success{probe="observed_docker"} 1.0' in page.text
        assert await host.stop() == 0
    assert state(api, container) == before
    assert vmm is not None
    assert vmm.alive()
    told = api.events(
        since=begun, until=int(time.time()) + 1, filters={"container": container}, decode=True
    )
    assert [event["Action"] for event in told] == ["create", "start"]
