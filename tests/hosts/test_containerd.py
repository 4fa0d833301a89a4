"""What only the containerd runtime has, on real containers."""

from __future__ import annotations

import asyncio
import os
import signal
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from agent.clock import Mark, Timeline
from agent.errors import InstanceExited, LaunchFailed
from agent.process import comm
from agent.runtimes.base import LaunchSpec, Scope
from agent.runtimes.containerd import ContainerdRuntime, open_containerd
from agent.runtimes.containerd.api.snapshots_pb2 import PrepareSnapshotRequest
from agent.runtimes.containerd.client import Client
from agent.runtimes.containerd.instance import ContainerdInstance
from agent.runtimes.containerd.labels import SNAPSHOTTER, kept, labels, name_of
from agent.runtimes.containerd.store import Runnable
from agent.runtimes.registry import RuntimeSettings
from tests.contracts.runtimes import IDLE
from tests.hosts import own_image
from tonnage.model import LogReadiness, Mode, Network, RuntimeState, Target, Workload

pytestmark = pytest.mark.containerd

MIB = 1 << 20
SECONDS = 20.0


@dataclass
class Bench:
    """A runtime of an agent that lives for one test."""

    runtime: ContainerdRuntime
    settings: RuntimeSettings

    async def spec(self, workload: Workload = IDLE, memory_bytes: int = 64 * MIB) -> LaunchSpec:
        """A launch under a new id."""
        prepared = await self.runtime.prepare(workload)
        target = Target(
            "t", "containerd", "default", Mode.WARM, Network.NONE, workload, memory_bytes
        )
        scope = Scope(self.settings.agent_id, "run", "trial")
        return LaunchSpec(f"c-{uuid.uuid4().hex[:8]}", scope, target, prepared, 60.0)

    async def ready(self, spec: LaunchSpec) -> ContainerdInstance:
        """Launch and wait until it is ready."""
        instance = await self.runtime.launch(spec, Timeline())
        async with asyncio.timeout(SECONDS):
            await instance.ready()
        return instance


@pytest.fixture
async def bench(containerd_address: str, images_dir: Path, tmp_path: Path) -> AsyncIterator[Bench]:
    """The runtime over this checkout's images, with no Docker engine at hand."""
    settings = RuntimeSettings(
        agent_id=f"k{uuid.uuid4().hex[:10]}",
        state_dir=tmp_path / "state",
        images_dir=images_dir,
        docker_host=f"unix://{tmp_path}/no-engine.sock",
        containerd_address=containerd_address,
    )
    bench = Bench(open_containerd(settings), settings)
    yield bench
    await bench.runtime.reap(Scope(settings.agent_id))
    await bench.runtime.close()


async def test_an_image_of_several_layers_is_imported_and_its_settings_are_honoured(
    bench: Bench, images_dir: Path, tmp_path: Path
) -> None:
    name = own_image.write(tmp_path / "images", images_dir)
    bench.runtime = open_containerd(replace(bench.settings, images_dir=tmp_path / "images"))
    spec = await bench.spec(Workload("own", name, LogReadiness(own_image.READY_LINE)))
    assert len(spec.prepared.paths) == 3
    instance = await bench.ready(spec)
    own_image.assert_honoured(instance.evidence())
    await instance.destroy()


async def test_its_shim_counts_to_it_and_its_daemon_to_the_engine(bench: Bench) -> None:
    instance = await bench.ready(await bench.spec())
    view = instance.processes()
    assert [comm(pid) for pid in view.pids][1:] == ["containerd-shim"]
    assert [comm(pid) for pid in bench.runtime.engine_pids()] == ["containerd"]
    limit = view.cgroups.get("memory", Path()) / "memory.limit_in_bytes"
    if limit.exists():
        assert int(limit.read_text()) == 64 * MIB
    assert view.cgroups
    await instance.destroy()
    assert not any(folder.exists() for folder in view.cgroups.values())


async def test_a_container_whose_shim_was_killed_is_removed_all_the_same(bench: Bench) -> None:
    instance = await bench.ready(await bench.spec())
    view = instance.processes()
    os.kill(view.pids[-1], signal.SIGKILL)
    assert view.cgroups
    await instance.destroy()
    assert not any(folder.exists() for folder in view.cgroups.values())
    assert await bench.runtime.recover(instance.id) is None


async def test_a_snapshot_that_a_crash_left_alone_is_reaped(bench: Bench) -> None:
    spec = await bench.spec()
    assert isinstance(spec.prepared.payload, Runnable)
    client = Client(Path(bench.settings.containerd_address or ""))
    request = PrepareSnapshotRequest(
        snapshotter=SNAPSHOTTER,
        key=name_of(spec.instance_id),
        parent=spec.prepared.payload.chain,
        labels=kept(labels(spec), "1970-01-01T00:00:00Z"),
    )
    await client.call(lambda api: api.snapshots.Prepare, request)
    await client.close()
    assert list(await bench.runtime.reap(Scope(bench.settings.agent_id))) == [spec.instance_id]
    assert await bench.runtime.recover(spec.instance_id) is None


async def test_a_name_that_another_agent_has_is_refused_and_left_alone(bench: Bench) -> None:
    spec = await bench.spec()
    theirs = await bench.ready(spec)
    other = open_containerd(replace(bench.settings, agent_id=f"{bench.settings.agent_id}-other"))
    with pytest.raises(LaunchFailed, match="already exists"):
        await other.launch(
            replace(spec, scope=Scope(bench.settings.agent_id + "-other")), Timeline()
        )
    await other.close()
    assert await theirs.answers()
    await theirs.destroy()


async def test_what_cannot_be_started_is_told_in_runcs_words_and_leaves_nothing(
    bench: Bench,
) -> None:
    spec = await bench.spec()
    runnable = spec.prepared.payload
    assert isinstance(runnable, Runnable)
    gone = replace(runnable, process=replace(runnable.process, argv=("/no/such/program",)))
    timeline = Timeline()
    with pytest.raises(LaunchFailed, match="no such file or directory"):
        await bench.runtime.launch(
            replace(spec, prepared=replace(spec.prepared, payload=gone)), timeline
        )
    assert timeline.get(Mark.CREATED) is None
    assert await bench.runtime.recover(spec.instance_id) is None


async def test_a_container_killed_for_want_of_memory_says_so(bench: Bench) -> None:
    greedy = replace(IDLE, command=("/bin/sh", "-c", "x=xxxxxxxx; while :; do x=$x$x; done"))
    instance = await bench.runtime.launch(await bench.spec(greedy, 16 * MIB), Timeline())
    with pytest.raises(InstanceExited, match="perhaps for want of memory"):
        async with asyncio.timeout(SECONDS):
            await instance.ready()
    await instance.destroy()


async def test_a_host_without_its_socket_is_told_which_was_looked_for(tmp_path: Path) -> None:
    absent = RuntimeSettings("a", tmp_path, containerd_address=f"unix://{tmp_path}/none.sock")
    runtime = open_containerd(absent)
    found = await runtime.fingerprint()
    assert found.state is RuntimeState.UNDETECTED
    assert f"{tmp_path}/none.sock" in found.reason
    await runtime.close()
