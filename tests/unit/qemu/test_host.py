"""What the host gives, read from trees that stand in for it; and what may be asked."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agent.errors import InvalidInput
from agent.process import Identity, start_ticks
from agent.runtimes import cgroups
from agent.runtimes.base import Capabilities
from agent.runtimes.demands import check_target
from agent.runtimes.killing import kill
from agent.runtimes.qemu import accelerator, equipment, vmm
from agent.runtimes.qemu.places import Places
from agent.runtimes.records import Record
from tonnage.model import (
    Accelerator,
    HttpHealth,
    HttpReadiness,
    LogReadiness,
    Mode,
    Network,
    RuntimeState,
    Target,
    TcpReadiness,
    Workload,
)

WORKLOAD = Workload("w", "i:1", LogReadiness("up"))
TARGET = Target("t", "qemu-microvm", "direct", Mode.WARM, Network.NONE, WORKLOAD, 128 << 20)


def _group(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "cgroup.procs").touch()
    return folder


def test_cgroups_of_version_one_are_the_agents_own(tmp_path: Path) -> None:
    memory = _group(tmp_path / "memory/agent")
    cpu = _group(tmp_path / "cpuacct")
    membership = tmp_path / "self"
    membership.write_text("4:memory:/agent\n2:cpuacct:/seen/from/outside\n0::/\n")
    assert cgroups.parents(tmp_path, membership) == {"memory": memory, "cpuacct": cpu}


def test_cgroups_of_version_two_are_unified(tmp_path: Path) -> None:
    own = _group(tmp_path / "system.slice/agent.service")
    membership = tmp_path / "self"
    membership.write_text("0::/system.slice/agent.service\n")
    assert cgroups.parents(tmp_path, membership) == {"unified": own}


def _own_of_version_two(tmp_path: Path, pids: str, controllers: str) -> tuple[Path, Path]:
    """The agent's own group, which holds these, and the file that says that it is in it."""
    own = _group(tmp_path / "system.slice/agent.service")
    (own / "cgroup.procs").write_text(pids)
    (own / "cgroup.controllers").write_text(controllers)
    membership = tmp_path / "self"
    membership.write_text("0::/system.slice/agent.service\n")
    return own, membership


def test_alone_in_its_cgroup_the_agent_makes_room_for_groups_with_memory(tmp_path: Path) -> None:
    own, membership = _own_of_version_two(tmp_path, f"{os.getpid()}\n", "cpu memory pids\n")
    assert cgroups.parents(tmp_path, membership) == {"unified": own}
    leaf = own / cgroups.AGENTS_LEAF
    assert (leaf / "cgroup.procs").read_text() == str(os.getpid())
    assert (own / "cgroup.subtree_control").read_text() == "+memory"
    (own / "cgroup.subtree_control").write_text("memory\n")  # as the kernel then tells it
    membership.write_text(f"0::/system.slice/agent.service/{leaf.name}\n")
    assert cgroups.parents(tmp_path, membership) == {"unified": own}  # a second runtime asks


@pytest.mark.parametrize(
    ("others", "controllers"), [("1\n", "cpu memory\n"), ("", "cpu\n"), ("", "")]
)
def test_a_cgroup_of_others_too_or_without_memory_is_left_as_it_is(
    tmp_path: Path, others: str, controllers: str
) -> None:
    own, membership = _own_of_version_two(tmp_path, f"{others}{os.getpid()}\n", controllers)
    assert cgroups.parents(tmp_path, membership) == {"unified": own}
    assert not (own / cgroups.AGENTS_LEAF).exists()
    assert not (own / "cgroup.subtree_control").exists()


def test_a_host_without_cgroups_gives_none(tmp_path: Path) -> None:
    assert cgroups.parents(tmp_path, tmp_path / "none") == {}


def test_cpu_time_is_read_in_both_versions(tmp_path: Path) -> None:
    (tmp_path / "cpuacct.usage").write_text("123\n")
    (tmp_path / "cpu.stat").write_text("usage_usec 7\nuser_usec 5\n")
    assert cgroups.cpu_ns({"cpuacct": tmp_path}) == 123
    assert cgroups.cpu_ns({"unified": tmp_path}) == 7000
    assert cgroups.cpu_ns({}) is None
    assert cgroups.cpu_ns({"cpuacct": tmp_path / "gone"}) is None


def test_removing_cgroups_that_are_gone_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    assert cgroups.remove({"memory": tmp_path / "here", "cpuacct": tmp_path / "gone"}) == []


def test_a_record_is_read_back_and_a_torn_one_knows_nothing(tmp_path: Path) -> None:
    places = Places(tmp_path, "agent")
    places.make()
    record = Record("vm-1", "run-1", {"memory": Path("/sys/x")})
    folder = places.write(record)
    assert places.read("vm-1") == record
    (folder / "vm.json").write_text('{"run_id": "ru')
    assert places.read("vm-1") == Record("vm-1", "", {})
    assert places.known() == ("vm-1",)
    assert Places(tmp_path, "other").known() == ()
    assert places.forget("vm-1")
    assert places.read("vm-1") is None


async def test_a_host_without_the_device_has_no_kvm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accelerator, "DEVICE", tmp_path / "kvm")
    verdict = await accelerator.decide(tmp_path, tmp_path, "7.2", tmp_path / "cache")
    assert verdict == accelerator.Verdict(Accelerator.TCG, f"there is no {tmp_path / 'kvm'}")


async def test_a_verdict_is_kept_for_this_boot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, kernel, cache = tmp_path / "kvm", tmp_path / "vmlinuz", tmp_path / "cache"
    device.touch()
    kernel.touch()
    monkeypatch.setattr(accelerator, "DEVICE", device)
    key = accelerator._key(kernel, "7.2")
    cache.write_text(json.dumps({"key": key, "accelerator": "kvm", "proof": "shown before"}))
    verdict = await accelerator.decide(kernel, tmp_path, "7.2", cache)
    assert verdict == accelerator.Verdict(Accelerator.KVM, "shown before")


async def test_a_missing_program_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    lack = await equipment.detect(tmp_path, Places(tmp_path, "a"))
    assert isinstance(lack, equipment.Lack)
    assert lack.state is RuntimeState.UNDETECTED
    assert "qemu-system-x86_64" in lack.reason


@pytest.mark.parametrize("there", [(), ("vmlinuz",), ("busybox",)])
def test_a_missing_guest_file_is_named(tmp_path: Path, there: tuple[str, ...]) -> None:
    for name in there:
        (tmp_path / name).touch()
    found = equipment.guest_files(tmp_path)
    assert isinstance(found, str)
    assert ("busybox" if "vmlinuz" in there else "vmlinuz") in found


def test_the_version_of_a_kernel_stands_in_its_header(tmp_path: Path) -> None:
    image = bytearray(0x4000)
    image[0x202:0x206] = b"HdrS"
    image[0x20E:0x210] = (0x3000 - 0x200).to_bytes(2, "little")
    image[0x3000:0x3010] = b"6.1.0-9 (me) #1\0"
    kernel = tmp_path / "vmlinuz"
    kernel.write_bytes(image)
    assert equipment.kernel_version(kernel) == "6.1.0-9"
    kernel.write_bytes(b"nothing of the kind")
    assert equipment.kernel_version(kernel) == ""


async def test_only_a_process_that_is_qemu_by_our_name_is_ours() -> None:
    decoy = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "input()", "-name", "tonnage/a/vm", stdin=asyncio.subprocess.PIPE
    )
    try:
        assert "tonnage/a/vm" not in vmm.find("tonnage/a/")
    finally:
        decoy.kill()
        await decoy.wait()


async def test_a_pid_of_another_time_is_never_killed() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE
    )
    began = start_ticks(process.pid)
    assert began is not None
    assert await kill([Identity(process.pid, began - 1)]) == ()
    assert Identity(process.pid, began).alive()
    assert await kill([Identity(process.pid, began)]) == ()
    await process.wait()


@pytest.mark.parametrize(
    ("target", "field", "way_out"),
    [
        (
            replace(TARGET, workload=replace(WORKLOAD, readiness=TcpReadiness(80))),
            "workload.readiness",
            "Use log",
        ),
        (
            replace(TARGET, workload=replace(WORKLOAD, readiness=HttpReadiness(80))),
            "workload.readiness",
            "Use log",
        ),
        (
            replace(TARGET, workload=replace(WORKLOAD, health=HttpHealth(80))),
            "workload.health",
            "Use console",
        ),
        (replace(TARGET, variant="firmware"), "variant", "Use direct"),
        (replace(TARGET, network=Network.BRIDGE), "network", "Use none"),
        (replace(TARGET, memory_bytes=0), "memory_bytes", "128 MiB"),
        (replace(TARGET, cpus=0), "cpus", ""),
    ],
)
def test_what_is_not_offered_is_refused_with_field_and_way_out(
    target: Target, field: str, way_out: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_target(target, Capabilities(variants=("direct",)))
    assert refused.value.problem.field == field
    assert way_out in refused.value.problem.remedy
