"""What only gVisor has, under a real engine."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.probes.base import NoData, Roots
from agent.probes.cgroup import CgroupMemory
from agent.probes.pss import Pss
from agent.process import cmdline, cpu_ns
from agent.runtimes.registry import RuntimeSettings, open_runtimes
from tests.contracts.runtimes import KINDS, Stand
from tonnage.model import Network

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("runsc")]


@pytest.fixture
async def stand(docker_host: str, tmp_path: Path) -> AsyncIterator[Stand]:
    name = f"g{uuid.uuid4().hex[:10]}"
    settings = RuntimeSettings(name, tmp_path, docker_host=docker_host)
    (runtime,) = open_runtimes(["docker-runsc"], settings)
    stand = Stand(KINDS["docker-runsc"], runtime, settings, run_id=name)
    try:
        yield stand
    finally:
        await stand.close()


async def test_the_fingerprint_says_how_gvisor_runs(stand: Stand) -> None:
    found = await stand.runtime.fingerprint()
    assert found.components["runsc"]
    assert found.components["runsc_platform"] == "ptrace"
    assert found.components["runsc_cgroups"] == "ignored"
    assert found.networks == (Network.NONE,)


async def test_sandbox_gofer_workload_and_shim_are_all_weighed(stand: Stand) -> None:
    instance = await stand.ready()
    view = instance.processes()
    names = [" ".join(cmdline(pid)[:1]) for pid in view.pids]
    assert names[0] == "runsc-sandbox"
    assert "runsc-gofer" in names
    assert names[-1].endswith("containerd-shim-runc-v2")
    assert len(names) > 3, "the workload's own processes, which gVisor traces"
    memory = Pss(Roots()).read([view])
    alone = Pss(Roots()).read_pids(view.pids[:1])
    assert not isinstance(memory, NoData)
    assert not isinstance(alone, NoData)
    assert memory.values["pss_bytes"] > alone.values["pss_bytes"]


async def test_a_cgroup_that_is_not_its_own_is_not_taken_for_it(stand: Stand) -> None:
    instance = await stand.ready()
    view = instance.processes()
    assert view.cgroups == {}
    charge = CgroupMemory().read([view])
    assert isinstance(charge, NoData)
    assert "no memory cgroup of their own" in charge.reason
    sandbox = cpu_ns(view.pids[0])
    assert sandbox is not None
    assert (instance.cpu_ns() or 0) > sandbox
