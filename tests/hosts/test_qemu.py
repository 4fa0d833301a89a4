"""What only the qemu-microvm runtime has, on real virtual machines."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from agent.clock import Mark, Timeline
from agent.errors import ImageNotFound, InstanceExited
from agent.process import alive, cmdline
from agent.runtimes.base import Instance, LaunchSpec, Prepared, Scope
from agent.runtimes.killing import identities
from agent.runtimes.qemu import QemuRuntime, open_microvm, vmm
from agent.runtimes.qemu.machine import PROGRAM, process_name
from agent.runtimes.qemu.profile import Bootable
from agent.runtimes.registry import RuntimeSettings
from tests.contracts.runtimes import IDLE
from tests.hosts import own_image as own_image_archive
from tests.hosts import vms
from tests.unit.images.archive_makers import docker_archive, layer, program
from tonnage.model import (
    Accelerator,
    HttpHealth,
    HttpReadiness,
    LogReadiness,
    Mode,
    Network,
    Target,
    Workload,
)

pytestmark = pytest.mark.qemu

BOOT_SECONDS = 45.0
ROOMY_BYTES = 128 << 20


@dataclass
class Bench:
    """A runtime of an agent that lives for one test."""

    runtime: QemuRuntime
    settings: RuntimeSettings

    def spec(
        self, prepared: Prepared, *, memory_bytes: int = ROOMY_BYTES, lifetime_seconds: float = 90
    ) -> LaunchSpec:
        """A launch under a new id."""
        target = Target(
            "t",
            "qemu-microvm",
            "direct",
            Mode.WARM,
            Network.NONE,
            prepared.workload,
            memory_bytes,
        )
        scope = Scope(self.settings.agent_id, "run", "trial")
        instance_id = f"vm-{uuid.uuid4().hex[:8]}"
        return LaunchSpec(instance_id, scope, target, prepared, lifetime_seconds)

    async def boots(self, workload: Workload) -> str:
        """Boot a workload to its ready line; what its console said."""
        prepared = await self.runtime.prepare(workload)
        instance = await self.runtime.launch(self.spec(prepared), Timeline())
        try:
            async with asyncio.timeout(BOOT_SECONDS):
                await instance.ready()
            return instance.evidence()
        finally:
            await instance.destroy()


@pytest.fixture
async def bench(guest_dir: Path, images_dir: Path, tmp_path: Path) -> AsyncIterator[Bench]:
    """The runtime over this checkout's guest files and images."""
    settings = vms.settings(guest_dir, images_dir, tmp_path)
    runtime = open_microvm(settings)
    yield Bench(runtime, settings)
    await runtime.reap(Scope(settings.agent_id))
    await runtime.close()
    await asyncio.sleep(0)


@pytest.fixture
def own_image(images_dir: Path, bench: Bench, tmp_path: Path) -> str:
    """An image of its own making, the only one in the folder."""
    folder = tmp_path / "images"
    name = own_image_archive.write(folder, images_dir)
    bench.settings = replace(bench.settings, images_dir=folder)
    bench.runtime = open_microvm(bench.settings)
    return name


async def test_all_marks_of_a_vm_are_seen_in_order(bench: Bench) -> None:
    prepared = await bench.runtime.prepare(IDLE)
    timeline = Timeline()
    instance = await bench.runtime.launch(bench.spec(prepared), timeline)
    async with asyncio.timeout(BOOT_SECONDS):
        await instance.ready()
    booting = (Mark.ACCEPTED, Mark.CREATED, Mark.KERNEL, Mark.INIT, Mark.READY)
    assert all(timeline.get(mark) is not None for mark in booting)
    assert timeline.get(Mark.UNIT) is timeline.get(Mark.RESTORED) is None
    view = instance.processes()
    assert view.vmm_pid in view.pids
    assert cmdline(view.vmm_pid or 0)[0] == PROGRAM
    assert len(view.pids) == 2
    assert view.guest_ram_bytes == ROOMY_BYTES
    await instance.destroy()
    assert timeline.in_order()
    assert not any(alive(pid) for pid in view.pids)
    assert not any(folder.exists() for folder in view.cgroups.values())


async def test_an_accelerator_is_proven_and_the_proof_is_told(bench: Bench) -> None:
    found = await bench.runtime.fingerprint()
    assert found.accelerator in (Accelerator.KVM, Accelerator.TCG)
    assert "/dev/kvm" in found.accelerator_proof or "under KVM" in found.accelerator_proof
    again = await open_microvm(bench.settings).fingerprint()
    assert again == found


async def test_an_images_own_settings_are_honoured(bench: Bench, own_image: str) -> None:
    said = await bench.boots(Workload("own", own_image, LogReadiness(own_image_archive.READY_LINE)))
    own_image_archive.assert_honoured(said)


async def test_a_workloads_own_command_and_variables_win(bench: Bench, own_image: str) -> None:
    workload = Workload(
        "own",
        own_image,
        LogReadiness("DONE"),
        command=("/bin/sh", "-c", 'echo "greeting=$GREETING odd=$ODD"; echo DONE'),
        environment={"GREETING": "bye", "ODD": "it's $HOME `x`"},
    )
    assert "greeting=bye odd=it's $HOME `x`" in await bench.boots(workload)


async def test_an_image_without_a_shell_boots(
    bench: Bench, own_image: str, guest_dir: Path
) -> None:
    folder = bench.settings.images_dir
    assert folder is not None
    only = layer(program("echo", (guest_dir / "busybox").read_bytes()))
    config = {"Entrypoint": ["/echo", "alone but", "READY"], "User": "55:66"}
    docker_archive(
        folder / "lone.tar",
        [only],
        names=["lone:1"],
        config=config,
    )
    said = await bench.boots(Workload("lone", "lone:1", LogReadiness("READY")))
    assert "alone but READY" in said


async def test_a_large_image_lies_on_a_disk_of_its_own(bench: Bench, own_image: str) -> None:
    bench.runtime = open_microvm(replace(bench.settings, guest_in_memory_bytes=0))
    workload = Workload("own", own_image, LogReadiness("ALL SET"))
    prepared = await bench.runtime.prepare(workload)
    assert prepared.guest_root == "disk"
    assert type(prepared.guest_root) is str  # it crosses the wire as a text
    timeline = Timeline()
    instance = await bench.runtime.launch(bench.spec(prepared), timeline)
    async with asyncio.timeout(BOOT_SECONDS):
        await instance.ready()
    said = instance.evidence()
    assert "uid=1234(ana) gid=1234(ana)" in said
    assert "in=/home/ana home=/home/ana greeting=hello  there args=one two three" in said
    assert "through\nmay write\nALL SET" in said
    assert timeline.in_order()
    assert timeline.get(Mark.INIT) is not None
    (folder,) = instance.processes().paths
    assert 0 < (folder / "root.qcow2").stat().st_blocks * 512 < 16 << 20
    await instance.destroy()


@pytest.mark.parametrize("in_memory_bytes", [32 << 20, 0])
async def test_guests_that_nobody_uses_go_and_those_in_use_still_boot(
    bench: Bench, in_memory_bytes: int
) -> None:
    settings = replace(bench.settings, guest_in_memory_bytes=in_memory_bytes)
    former = open_microvm(settings)
    once = await former.prepare(replace(IDLE, environment={"OF": "once"}))
    used = await former.prepare(IDLE)
    for file in (settings.state_dir / "qemu-microvm/guests").iterdir():
        os.utime(file, ns=(0, file.stat().st_mtime_ns))
    bench.runtime = open_microvm(settings)
    assert "TONNAGE READY" in await bench.boots(IDLE)
    assert all(path.exists() for path in used.paths)
    gone = set(once.paths) - set(used.paths)
    assert gone
    assert not any(path.exists() for path in gone)


def _over_http(command: tuple[str, ...] = ()) -> Workload:
    readiness, health = HttpReadiness(8080, "/health"), HttpHealth(8080, "/health")
    return Workload("http", "tonnage/http:1", readiness, command=command, health=health)


async def _launch_with_network(bench: Bench, workload: Workload, timeline: Timeline) -> Instance:
    prepared = await bench.runtime.prepare(workload)
    spec = bench.spec(prepared)
    spec = replace(spec, target=replace(spec.target, network=Network.USER))
    return await bench.runtime.launch(spec, timeline)


@pytest.mark.parametrize("in_memory_bytes", [32 << 20, 0])
async def test_a_workload_is_asked_over_the_network(bench: Bench, in_memory_bytes: int) -> None:
    bench.runtime = open_microvm(replace(bench.settings, guest_in_memory_bytes=in_memory_bytes))
    timeline = Timeline()
    instance = await _launch_with_network(bench, _over_http(), timeline)
    async with asyncio.timeout(BOOT_SECONDS):
        await instance.ready()
    assert await instance.answers()
    assert timeline.in_order()
    await instance.destroy()
    assert not await instance.answers()


async def test_a_forwarder_alone_makes_nothing_ready(bench: Bench) -> None:
    silent = _over_http(("/bin/sh", "-c", "echo not yet; exec sleep 1000"))
    instance = await _launch_with_network(bench, silent, Timeline())
    async with asyncio.timeout(BOOT_SECONDS):
        while "not yet" not in instance.evidence():  # noqa: ASYNC110 (evidence has no event)
            await asyncio.sleep(0.02)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await instance.ready()
    assert not await instance.answers()
    await instance.destroy()


async def started_and_removed(bench: Bench, spec: LaunchSpec) -> None:
    """Launch, wait until it is ready, and leave nothing either way."""
    instance = await bench.runtime.launch(spec, Timeline())
    try:
        await asyncio.wait_for(instance.ready(), 10)
    finally:
        await instance.destroy()


async def test_a_kernel_that_does_not_boot_tells_why(bench: Bench, tmp_path: Path) -> None:
    prepared = await bench.runtime.prepare(IDLE)
    assert isinstance(prepared.payload, Bootable)
    broken = tmp_path / "vmlinuz"
    broken.write_bytes(b"no kernel at all" * 4096)
    wrong = replace(prepared, payload=replace(prepared.payload, kernel=broken))
    with pytest.raises(InstanceExited) as failed:  # QEMU may give up before it answers at all
        await started_and_removed(bench, bench.spec(wrong))
    assert str(broken) in failed.value.evidence
    assert "QEMU says" in failed.value.evidence
    assert "status 1" in str(failed.value)


async def test_a_guest_with_too_little_memory_fails_with_its_last_words(bench: Bench) -> None:
    prepared = await bench.runtime.prepare(IDLE)
    spec = bench.spec(prepared, memory_bytes=40 << 20)
    timeline = Timeline()
    instance = await bench.runtime.launch(spec, timeline)
    with pytest.raises(InstanceExited) as failed:
        async with asyncio.timeout(BOOT_SECONDS):
            await instance.ready()
    assert "panic" in failed.value.evidence
    assert "the guest reset itself" in str(failed.value)
    await instance.destroy()


async def test_the_deadline_holds_without_the_agent(bench: Bench) -> None:
    endless = replace(IDLE, command=("/bin/sh", "-c", "exec sleep 1000"))
    spec = bench.spec(await bench.runtime.prepare(endless), lifetime_seconds=1)

    async def start() -> None:
        """On a busy host the deadline comes before QEMU's first answer."""
        instance = await bench.runtime.launch(spec, Timeline())
        await instance.ready()

    with pytest.raises(InstanceExited, match="killed, by its deadline"):
        await asyncio.wait_for(start(), 10)
    name = process_name(bench.settings.agent_id, bench.runtime.name, spec.instance_id)
    async with asyncio.timeout(5):
        while vmm.find(name):
            await asyncio.to_thread(os.sched_yield)


AGENT = """
import asyncio, sys
from agent.clock import Timeline
from tests.hosts.test_qemu import Bench, IDLE
from agent.runtimes.qemu import open_microvm
from agent.runtimes.registry import RuntimeSettings
from pathlib import Path

async def main(agent_id, state, guest, images):
    places = {"guest_dir": Path(guest), "images_dir": Path(images)}
    settings = RuntimeSettings(agent_id, Path(state), **places)
    bench = Bench(open_microvm(settings), settings)
    prepared = await bench.runtime.prepare(IDLE)
    spec = bench.spec(prepared, lifetime_seconds=30)
    instance = await bench.runtime.launch(spec, Timeline())
    await instance.ready()
    print(instance.id, flush=True)
    await asyncio.sleep(1000)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_vm_outlives_a_killed_agent_and_is_found_and_removed(bench: Bench) -> None:
    settings = bench.settings
    await bench.runtime.fingerprint()
    words = (settings.agent_id, settings.state_dir, settings.guest_dir, settings.images_dir)
    agent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", AGENT, *map(str, words), stdout=asyncio.subprocess.PIPE
    )
    assert agent.stdout is not None
    async with asyncio.timeout(BOOT_SECONDS):
        instance_id = (await agent.stdout.readline()).decode().strip()
    agent.send_signal(signal.SIGKILL)
    await agent.wait()
    found = await bench.runtime.recover(instance_id)
    assert found is not None
    assert await found.alive()
    pids = found.processes().pids
    assert len(pids) == 2
    assert list(await bench.runtime.reap(Scope(settings.agent_id, "run"))) == [instance_id]
    assert not any(alive(pid) for pid in pids)
    assert await bench.runtime.recover(instance_id) is None


async def test_the_death_of_its_keeper_takes_the_vm_along(bench: Bench) -> None:
    prepared = await bench.runtime.prepare(IDLE)
    instance = await bench.runtime.launch(bench.spec(prepared), Timeline())
    keeper, machine = identities(instance.processes().pids)
    os.kill(keeper.pid, signal.SIGKILL)
    with pytest.raises(InstanceExited):
        async with asyncio.timeout(10):
            await instance.ready()
    async with asyncio.timeout(5):
        while machine.alive():  # noqa: ASYNC110 - the kernel's doing, which tells nobody
            await asyncio.sleep(0.02)
    await instance.destroy()


async def test_a_foreign_vm_survives_every_sweep(bench: Bench) -> None:
    name = f"tonnage/{bench.settings.agent_id}x/vm-1"
    paused = ("-S", "-machine", "none", "-display", "none")
    decoys = [
        await asyncio.create_subprocess_exec(PROGRAM, *name_words, *paused)
        for name_words in (("-name", name), ("-name", "somebody"), ())
    ]
    try:
        removed = await bench.runtime.reap(Scope(bench.settings.agent_id))
        assert list(removed) == []
        assert all(decoy.returncode is None for decoy in decoys)
    finally:
        for decoy in decoys:
            decoy.kill()
            await decoy.wait()


async def test_an_image_that_nobody_has_names_both_places(bench: Bench) -> None:
    with pytest.raises(ImageNotFound) as missing:
        await bench.runtime.prepare(replace(IDLE, image="no/such:1"))
    assert "nobody listens" in str(missing.value)
    assert "docker save no/such:1" in missing.value.problem.remedy


@pytest.mark.docker
async def test_an_image_of_the_engine_becomes_the_same_guest(
    bench: Bench, docker_host: str, tmp_path: Path
) -> None:
    archived = await bench.runtime.prepare(IDLE)
    settings = replace(bench.settings, images_dir=None, docker_host=docker_host)
    settings = replace(settings, state_dir=tmp_path / "other")
    saved = await open_microvm(settings).prepare(IDLE)
    assert saved.digest == archived.digest
    assert saved.paths[1].read_bytes() == archived.paths[1].read_bytes()


async def test_preparing_at_the_same_time_builds_one_guest(bench: Bench) -> None:
    first, second = await asyncio.gather(*(bench.runtime.prepare(IDLE) for _ in range(2)))
    assert first.paths == second.paths
    guest = first.paths[1]
    assert {path.stem for path in guest.parent.iterdir()} == {guest.stem}  # and no half-done one
