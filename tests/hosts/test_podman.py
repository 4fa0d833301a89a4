"""What only Podman has, over a real service."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from docker.api.client import APIClient

from agent.clock import Mark, Timeline
from agent.process import cmdline, comm
from agent.runtimes.docker.config import container_name
from agent.runtimes.docker.limits import engine_limits
from agent.runtimes.registry import RuntimeSettings, open_runtimes
from deploy import bridge
from deploy.images import load
from deploy.private_podman import PrivatePodman
from tests.contracts.runtimes import KINDS, Stand
from tonnage.model import HttpReadiness, Network, Workload

pytestmark = pytest.mark.podman

CHECKOUT = Path(__file__).resolve().parents[2]
HTTP = Workload(name="http", image="tonnage/http:1", readiness=HttpReadiness(8080, "/health"))


@pytest.fixture
async def stand(podman_host: str, tmp_path: Path) -> AsyncIterator[Stand]:
    name = f"p{uuid.uuid4().hex[:10]}"
    settings = RuntimeSettings(name, tmp_path, podman_host=podman_host)
    (runtime,) = open_runtimes(["podman"], settings)
    stand = Stand(KINDS["podman"], runtime, settings, run_id=name)
    try:
        yield stand
    finally:
        await stand.close()


async def test_a_workload_on_the_bridge_answers_at_its_own_address(stand: Stand) -> None:
    spec = stand.spec(await stand.runtime.prepare(HTTP))
    timeline = Timeline()
    on_bridge = replace(spec, target=replace(spec.target, network=Network.BRIDGE))
    instance = await stand.runtime.launch(on_bridge, timeline)
    stand.launched.append(instance)
    await stand.wait_ready(instance)
    assert timeline.get(Mark.READY) is not None
    assert timeline.in_order()


async def test_conmon_stands_by_each_container_and_is_weighed_with_it(
    stand: Stand, podman_host: str
) -> None:
    instance = await stand.ready()
    view = instance.processes()
    assert comm(view.pids[-1]) == "conmon"
    with closing(APIClient(base_url=podman_host, version="1.41")) as api:
        found = api.inspect_container(container_name(instance.id))
    assert found["Id"] in view.cgroups["memory"].name
    assert (view.cgroups["memory"] / "memory.limit_in_bytes").read_text().strip() == str(128 << 20)
    (service,) = stand.runtime.engine_pids()
    assert comm(service) == "podman"
    named = {f"RLIMIT_{str(one['Name']).upper()}": one["Hard"] for one in engine_limits(service)}
    assert {one["Name"]: one["Hard"] for one in found["HostConfig"]["Ulimits"]} == named


async def test_the_fingerprint_names_the_parts_that_podman_is_made_of(stand: Stand) -> None:
    components = (await stand.runtime.fingerprint()).components
    assert components["podman_engine"]
    assert re.fullmatch(r"[\w.+~-]+", components["conmon"])
    assert re.fullmatch(r"[\w.+~-]+", components["runc"])
    assert components["low_level_runtime"] == "runc"


@pytest.mark.skipif(os.geteuid() != 0, reason="a private podman needs root")
def test_a_private_podman_ends_with_its_containers_and_leaves_nothing(tmp_path: Path) -> None:
    podman = PrivatePodman(tmp_path / "podman")
    before = {name: bridge.exists(name) for name in ("tonnage-podman", "cni-podman0")}
    podman.start()
    try:
        load.load_absent(podman.address, CHECKOUT / "build/images")
        with closing(APIClient(base_url=podman.address, version="1.41")) as api:
            limits = engine_limits(podman._processes()[0])
            host = {"NetworkMode": "none", "Ulimits": limits}
            body = {"Image": "tonnage/idle:1", "HostConfig": host}
            container = api.create_container_from_config(body, None)["Id"]
            api.start(container)
            init = api.inspect_container(container)["State"]["Pid"]
        assert len(podman._processes()) > 1
    finally:
        podman.stop()
    assert podman._processes() == []
    assert cmdline(init) == ()
    assert not podman.run.exists()
    assert str(podman.home) not in Path("/proc/self/mountinfo").read_text()
    assert {name: bridge.exists(name) for name in before} == before
