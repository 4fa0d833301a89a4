"""What only the qemu-full runtime has: a whole server, a firmware's boot, and no Linux at all."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from agent.clock import Mark, Timeline
from agent.errors import ImageNotFound, InvalidInput
from agent.runtimes.base import Instance, LaunchSpec, Runtime, Scope
from agent.runtimes.qemu import open_full
from agent.runtimes.registry import RuntimeSettings
from tests.contracts.runtimes import IDLE
from tonnage.model import (
    HttpHealth,
    HttpReadiness,
    LogReadiness,
    Mode,
    Network,
    Target,
    Workload,
)

pytestmark = [pytest.mark.qemu, pytest.mark.timeout(200)]

BOOT_SECONDS = 150.0  # where the rest of the host has as much to do
LIFETIME_SECONDS = 190.0
MEMTEST = Workload("memtest", "payload/memtest86plus", LogReadiness("Memtest86+ v"))
HTTP = Workload(
    "http",
    "tonnage/http:1",
    HttpReadiness(8080, "/health"),
    health=HttpHealth(8080, "/health"),
)
# What a process in a container could not see: this guest's own init and disks.
LOOK = (
    "echo host=$(hostname); tr '\\0' ' ' </proc/1/cmdline; echo; cat /proc/1/comm /proc/mounts;"
    " echo written >/mark && cat /mark; echo LOOKED"
)


@dataclass
class Bench:
    """The runtime of an agent that lives for one test, and what it launched."""

    runtime: Runtime
    agent_id: str

    async def up(
        self,
        workload: Workload,
        variant: str,
        memory_bytes: int,
        network: Network = Network.NONE,
    ) -> tuple[Instance, Timeline]:
        """Launch and wait until it is ready."""
        prepared = await self.runtime.prepare(workload)
        target = Target("t", "qemu-full", variant, Mode.WARM, network, workload, memory_bytes)
        scope = Scope(self.agent_id, "run", "trial")
        name = f"vm-{uuid.uuid4().hex[:8]}"
        timeline = Timeline()
        instance = await self.runtime.launch(
            LaunchSpec(name, scope, target, prepared, LIFETIME_SECONDS), timeline
        )
        async with asyncio.timeout(BOOT_SECONDS):
            await instance.ready()
        return instance, timeline


@pytest.fixture
async def bench(
    guest_dir: Path, images_dir: Path, debian_disk: Path, tmp_path: Path
) -> AsyncIterator[Bench]:
    """The runtime over this checkout's guest files and images."""
    assert debian_disk.parent.parent == guest_dir
    settings = RuntimeSettings(
        agent_id=f"f{uuid.uuid4().hex[:10]}",
        state_dir=tmp_path / "state",
        guest_dir=guest_dir,
        images_dir=images_dir,
        docker_host=f"unix://{tmp_path}/no-engine.sock",
    )
    runtime = open_full(settings)
    yield Bench(runtime, settings.agent_id)
    await runtime.reap(Scope(settings.agent_id))
    await runtime.close()


def _strictly_in_order(timeline: Timeline) -> bool:
    """Whether kernel, system, unit and workload were each seen, one after the other."""
    seen = [timeline.get(mark) for mark in (Mark.KERNEL, Mark.INIT, Mark.UNIT, Mark.READY)]
    marks = [mark for mark in seen if mark is not None]
    return len(marks) == len(seen) and marks == sorted(set(marks)) and timeline.in_order()


async def test_firmware_and_boot_loader_lead_to_the_same_server(bench: Bench) -> None:
    workload = replace(
        IDLE, command=("/bin/sh", "-c", LOOK), readiness=LogReadiness("LOOKED"), health=None
    )
    instance, timeline = await bench.up(workload, "firmware", 512 << 20)
    said = instance.evidence()
    assert "GRUB loads Linux" in said
    assert _strictly_in_order(timeline)
    assert " -kernel " not in said
    assert f"host={instance.id}" in said
    assert "systemd" in said
    assert "/dev/vdb / ext4 rw" in said
    assert "written\nLOOKED" in said
    (folder,) = instance.processes().paths
    written = {file.name: file.stat().st_blocks * 512 for file in folder.glob("*.qcow2")}
    assert set(written) == {"root.qcow2", "workload.qcow2"}
    assert all(0 < size < 64 << 20 for size in written.values())


async def test_a_server_is_asked_over_the_network(bench: Bench) -> None:
    instance, timeline = await bench.up(HTTP, "direct", 512 << 20, Network.USER)
    assert _strictly_in_order(timeline)
    assert await instance.answers()
    await instance.destroy()
    assert not await instance.answers()


async def test_what_boots_need_not_be_linux(bench: Bench) -> None:
    instance, timeline = await bench.up(MEMTEST, "payload", 64 << 20)
    assert timeline.get(Mark.KERNEL) is timeline.get(Mark.UNIT) is None  # there is none
    lines = [line.strip() for line in instance.evidence().splitlines()]
    assert any(line.startswith("Memtest86+ v") for line in lines)
    assert "\x1b" not in instance.evidence()


async def test_a_payload_that_is_not_there_is_named_with_those_that_are(bench: Bench) -> None:
    with pytest.raises(ImageNotFound) as refused:
        await bench.runtime.prepare(replace(MEMTEST, image="payload/../vmlinuz"))
    assert "memtest86plus" in refused.value.problem.remedy


@pytest.mark.parametrize(("workload", "variant"), [(IDLE, "payload"), (MEMTEST, "direct")])
async def test_payloads_and_servers_are_not_taken_for_each_other(
    bench: Bench, workload: Workload, variant: str
) -> None:
    with pytest.raises(InvalidInput, match="payload"):
        await bench.up(workload, variant, 64 << 20)
