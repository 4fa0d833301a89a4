"""What only the runc runtime has, on real containers."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from agent.clock import Mark, Timeline
from agent.errors import InstanceExited
from agent.process import Identity, cmdline
from agent.runtimes.base import LaunchSpec, Scope
from agent.runtimes.killing import identities
from agent.runtimes.registry import RuntimeSettings
from agent.runtimes.runc import RuncRuntime, open_runc
from agent.runtimes.runc.instance import RuncInstance
from agent.runtimes.runc.rootfs import Runnable
from tests.contracts.runtimes import IDLE
from tests.hosts import own_image
from tonnage.model import LogReadiness, Mode, Network, Target, Workload

pytestmark = pytest.mark.runc

MIB = 1 << 20
SECONDS = 20.0


@dataclass
class Bench:
    """A runtime of an agent that lives for one test."""

    runtime: RuncRuntime
    settings: RuntimeSettings

    async def launch(
        self,
        workload: Workload = IDLE,
        *,
        timeline: Timeline | None = None,
        memory_bytes: int = 64 * MIB,
        lifetime_seconds: float = 60.0,
    ) -> RuncInstance:
        """Launch under a new id."""
        prepared = await self.runtime.prepare(workload)
        target = Target(
            "t", "runc", "default", Mode.WARM, Network.NONE, workload, memory_bytes=memory_bytes
        )
        scope = Scope(self.settings.agent_id, "run", "trial")
        name = f"c-{uuid.uuid4().hex[:8]}"
        spec = LaunchSpec(name, scope, target, prepared, lifetime_seconds)
        return await self.runtime.launch(spec, timeline or Timeline())

    async def runs(self, workload: Workload) -> str:
        """Launch a workload and wait until it is ready; what its console said."""
        instance = await self.launch(workload)
        try:
            async with asyncio.timeout(SECONDS):
                await instance.ready()
            return instance.evidence()
        finally:
            await instance.destroy()


@pytest.fixture
async def bench(images_dir: Path, tmp_path: Path) -> AsyncIterator[Bench]:
    """The runtime over this checkout's images, with no engine at hand."""
    settings = RuntimeSettings(
        agent_id=f"r{uuid.uuid4().hex[:10]}",
        state_dir=tmp_path / "state",
        images_dir=images_dir,
        docker_host=f"unix://{tmp_path}/no-engine.sock",
    )
    bench = Bench(open_runc(settings), settings)
    yield bench
    await bench.runtime.reap(Scope(settings.agent_id))
    await bench.runtime.close()


async def _all_end(processes: tuple[Identity, ...]) -> None:
    async with asyncio.timeout(SECONDS):
        while any(one.alive() for one in processes):  # noqa: ASYNC110 (of no object of ours)
            await asyncio.sleep(0.02)


async def test_an_images_own_settings_are_honoured(
    bench: Bench, images_dir: Path, tmp_path: Path
) -> None:
    name = own_image.write(tmp_path / "images", images_dir)
    bench.settings = replace(bench.settings, images_dir=tmp_path / "images")
    bench.runtime = open_runc(bench.settings)
    workload = Workload("own", name, LogReadiness(own_image.READY_LINE))
    own_image.assert_honoured(await bench.runs(workload))


async def test_a_container_has_the_namespaces_limits_and_places_of_an_engines(
    bench: Bench,
) -> None:
    look = (
        "echo pid=$$; hostname; grep -c . /proc/net/dev; ls /proc/self/fd | wc -l;"
        " echo x 2>&1 >/proc/sys/kernel/hostname; cat /sys/fs/cgroup/memory/memory.limit_in_bytes"
        " /sys/fs/cgroup/memory.max 2>/dev/null; grep CapBnd /proc/self/status; echo SEEN"
    )
    said = await bench.runs(
        replace(IDLE, command=("/bin/sh", "-c", look), readiness=LogReadiness("SEEN"))
    )
    assert "pid=1\n" in said
    assert "\n3\n" in said  # two lines of headings, and loopback alone
    assert "Read-only file system" in said
    assert f"\n{64 * MIB}\n" in said
    assert "00000000a80425fb" in said  # Docker's default set: capability.h


async def test_its_deadline_ends_it_without_us(bench: Bench) -> None:
    timeline = Timeline()
    instance = await bench.launch(lifetime_seconds=3.0, timeline=timeline)
    await instance.ready()
    view = instance.processes()
    programs = [cmdline(pid)[0].rpartition("/")[2] for pid in view.pids]
    assert programs[1:] == ["runc", "sh", "timeout"]
    instance.let_go()
    await _all_end(identities(view.pids))
    assert not any(folder.exists() for folder in view.cgroups.values())
    assert not await instance.alive()
    await instance.destroy()


async def test_the_end_of_runc_is_the_end_of_its_container(bench: Bench) -> None:
    instance = await bench.launch()
    await instance.ready()
    view = instance.processes()
    os.kill(view.pids[1], signal.SIGKILL)
    await _all_end(identities(view.pids))
    await instance.destroy()
    assert not any(folder.exists() for folder in view.cgroups.values())


async def test_a_container_whose_folder_is_lost_is_reaped_by_its_name(bench: Bench) -> None:
    instance = await bench.launch()
    await instance.ready()
    view = instance.processes()
    lost = identities(view.pids)
    folder = bench.settings.state_dir / "runc/instances" / bench.settings.agent_id / instance.id
    (folder / "record.json").unlink()
    shutil.rmtree(bench.settings.state_dir / "runc/state")
    again = open_runc(bench.settings)
    assert list(await again.reap(Scope(bench.settings.agent_id))) == [instance.id]
    assert not any(one.alive() for one in lost)
    assert not any(path.exists() for path in (folder, *view.cgroups.values()))
    await instance.destroy()


async def test_what_runc_refuses_is_told_in_its_words_and_was_never_created(
    bench: Bench,
) -> None:
    timeline = Timeline()
    prepared = await bench.runtime.prepare(IDLE)
    runnable = prepared.payload
    assert isinstance(runnable, Runnable)
    gone = replace(runnable, process=replace(runnable.process, argv=("/no/such/program",)))
    spec = LaunchSpec(
        "refused",
        Scope(bench.settings.agent_id, "run", "trial"),
        Target("t", "runc", "default", Mode.WARM, Network.NONE, IDLE, 64 * MIB),
        replace(prepared, payload=gone),
        lifetime_seconds=60.0,
    )
    with pytest.raises(InstanceExited) as refused:
        await bench.runtime.launch(spec, timeline)
    assert "no such file or directory" in refused.value.evidence
    assert timeline.get(Mark.CREATED) is None
    assert await bench.runtime.recover("refused") is None


async def test_its_own_layer_alone_counts_as_its_disk(bench: Bench) -> None:
    workload = replace(
        IDLE,
        command=("/bin/sh", "-c", "dd if=/dev/zero of=/new bs=1M count=2 2>&1; echo WRITTEN; cat"),
        readiness=LogReadiness("WRITTEN"),
    )
    instance = await bench.launch(workload)
    await instance.ready()
    (own,) = instance.processes().paths
    assert (own / "upper/new").stat().st_size == 2 * MIB
    prepared = await bench.runtime.prepare(workload)
    assert not any((path / "new").exists() for path in prepared.paths)
    await instance.destroy()
    assert not own.exists()


async def test_an_image_that_nobody_uses_goes_and_the_one_in_use_stays(bench: Bench) -> None:
    once = await bench.runtime.prepare(replace(IDLE, image="tonnage/http:1"))
    used = await bench.runtime.prepare(IDLE)
    for rootfs in (*once.paths, *used.paths):
        os.utime(rootfs, (0, 0))
    bench.runtime = open_runc(bench.settings)
    assert "TONNAGE READY" in await bench.runs(IDLE)
    assert used.paths[0].is_dir()
    assert not once.paths[0].exists()
