"""VMs by their VMM processes, below a fixture /proc."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.observed.machines import Machines, guest_ram_bytes, own_cgroups
from agent.probes.base import Roots
from agent.runtimes.qemu.machine import process_name

MIB = 1 << 20


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """An empty /proc with a memory controller whose groups are below ``cg``."""
    proc = tmp_path / "proc"
    (proc / "self").mkdir(parents=True)
    (proc / "self/mountinfo").write_text(
        f"30 1 0:25 / {tmp_path}/cg rw - cgroup cgroup rw,memory\n"
    )
    return proc


def add(proc: Path, pid: int, *argv: str, parent: int = 1, group: str = "/") -> None:
    """A process, in a cgroup with those added before."""
    folder = proc / str(pid)
    folder.mkdir()
    (folder / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in argv))
    fields = ["S", str(parent), *["0"] * 17, str(1000 + pid)]
    (folder / "stat").write_text(f"{pid} (x y) {' '.join(fields)} 0 0\n")
    (folder / "cgroup").write_text(f"4:memory:{group}\n")
    root = proc.parent / "cg"
    for where in (root / group.strip("/"), *(root / group.strip("/")).parents):
        if where.is_relative_to(root):
            where.mkdir(parents=True, exist_ok=True)
            (where / "cgroup.procs").touch()
    with (root / group.strip("/") / "cgroup.procs").open("a") as procs:
        procs.write(f"{pid}\n")


def found(proc: Path) -> dict[int, int]:
    """Pids found, with the RAM of their guests."""
    return {
        one.view.vmm_pid or 0: one.view.guest_ram_bytes
        for one in Machines(Roots(proc=proc), "me").look()
        if one.view is not None and one.running and one.state == "running"
    }


def test_qemu_is_found_under_any_of_its_names_and_nothing_else_is(proc: Path) -> None:
    add(proc, 10, "/usr/bin/qemu-system-x86_64", "-name", "guest=web,debug-threads=on", "-m", "1G")
    add(proc, 11, "qemu-system-aarch64", "-m", "64")
    add(proc, 12, "/usr/libexec/qemu-kvm", "-m", "size=262144k,slots=16,maxmem=1G")
    add(proc, 13, "kvm")
    add(proc, 14, "sh", "-c", "qemu-system-x86_64 -m 1G")
    add(proc, 15, "/usr/bin/qemu-img", "convert")
    add(proc, 16, "")  # a zombie's command line is empty
    assert found(proc) == {10: 1024 * MIB, 11: 64 * MIB, 12: 256 * MIB, 13: 128 * MIB}


def test_the_agents_own_are_passed_over_and_those_of_another_agent_are_not(proc: Path) -> None:
    add(proc, 10, "qemu-system-x86_64", "-name", process_name("me", "qemu-microvm", "i1"))
    add(proc, 11, "qemu-system-x86_64", "-name", process_name("you", "qemu-microvm", "i1"))
    add(proc, 12, "qemu-system-x86_64", parent=os.getpid())  # a proof of KVM, for one
    assert list(found(proc)) == [11]


def test_a_pid_used_again_is_another_machine(proc: Path) -> None:
    add(proc, 10, "kvm")
    machines = Machines(Roots(proc=proc), "me")
    (before,) = machines.look()
    stat = proc / "10/stat"
    stat.write_text(stat.read_text().replace(" 1010 ", " 2020 "))
    (after,) = machines.look()
    assert before.key != after.key


@pytest.mark.parametrize(
    ("words", "mebibytes"),
    [
        (["-m", "2048"], 2048),
        (["--m", "2g"], 2048),
        (["-m", "1.5G"], 1536),
        (["-m", "slots=2,maxmem=4G,size=1G"], 1024),
        (["-m", "slots=2,maxmem=4G"], 128),
        (["-m", "odd"], 128),
        (["-m"], 128),
    ],
)
def test_the_guests_memory_is_read_as_qemu_reads_it(words: list[str], mebibytes: int) -> None:
    assert guest_ram_bytes(["kvm", *words]) == mebibytes * MIB


def test_only_a_cgroup_without_others_is_the_machines(proc: Path) -> None:
    groups = proc.parent / "cg"
    add(proc, 10, "kvm", group="/machine.slice/vm1.scope/libvirt/emulator")
    add(proc, 11, "kvm", group="/user")
    add(proc, 12, "bash", group="/user")
    add(proc, 13, "kvm", group="/")
    assert own_cgroups(10, proc) == {"memory": groups / "machine.slice/vm1.scope"}
    assert own_cgroups(11, proc) == {}
    assert own_cgroups(13, proc) == {}
