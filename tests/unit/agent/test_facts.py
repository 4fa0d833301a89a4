"""Facts from fixture trees: what is read, and what a host does not tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.facts import Identity, read_facts
from tonnage.model import HostFacts


def tree(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def facts(root: Path) -> HostFacts:
    identity = Identity("h1", "a1", {"rack": "7"})
    return read_facts(identity, proc=root / "proc", sys=root / "sys", etc=root / "etc")


def test_a_host_is_described(tmp_path: Path) -> None:
    tree(
        tmp_path,
        {
            "proc/sys/kernel/random/boot_id": "b-1\n",
            "proc/sys/kernel/osrelease": "6.1.0\n",
            "proc/meminfo": "MemTotal:  2048 kB\nMemFree: 9 kB\nSwapTotal: 4 kB\n",
            "proc/cpuinfo": "model name\t: Test CPU @ 2 GHz\nflags\t\t: fpu hypervisor\n",
            "proc/pressure/memory": "",
            "etc/os-release": 'NAME=x\nPRETTY_NAME="Debian 12"\n',
            "sys/fs/cgroup/cgroup.controllers": "memory",
            "sys/kernel/mm/ksm/run": "1\n",
            "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance\n",
            "sys/class/dmi/id/sys_vendor": "QEMU\n",
        },
    )
    found = facts(tmp_path)
    assert (found.host, found.agent_id, found.labels) == ("h1", "a1", {"rack": "7"})
    assert (found.boot_id, found.kernel, found.os) == ("b-1", "6.1.0", "Debian 12")
    assert (found.memory_bytes, found.swap_bytes) == (2048 * 1024, 4096)
    assert (found.cpu_model, found.virtualization) == ("Test CPU @ 2 GHz", "qemu")
    assert (found.cgroup, found.ksm, found.psi) == ("v2", "on", True)
    assert (found.transparent_huge_pages, found.governor) == ("madvise", "performance")
    assert found.cpus >= 1


def test_what_a_host_does_not_tell_is_empty_or_unknown(tmp_path: Path) -> None:
    found = facts(tmp_path)
    assert (found.boot_id, found.cpu_model, found.virtualization) == ("", "", "")
    assert {found.os, found.cgroup, found.ksm} == {"unknown"}
    assert {found.transparent_huge_pages, found.governor} == {"unknown"}
    assert (found.memory_bytes, found.psi) == (0, False)


@pytest.mark.parametrize(
    ("files", "cgroup"),
    [
        ({"memory/tasks": ""}, "v1"),
        ({"memory/tasks": "", "unified/cgroup.controllers": ""}, "hybrid"),
        ({"cgroup.controllers": ""}, "v2"),
    ],
)
def test_cgroup_versions_are_told_apart(tmp_path: Path, files: dict[str, str], cgroup: str) -> None:
    tree(tmp_path / "sys/fs/cgroup", files)
    assert facts(tmp_path).cgroup == cgroup


def test_a_guest_with_an_unknown_vendor_is_a_vm(tmp_path: Path) -> None:
    tree(tmp_path, {"proc/cpuinfo": "flags : hypervisor\n"})
    assert facts(tmp_path).virtualization == "vm"


def test_this_host_is_described() -> None:
    found = read_facts(Identity("here", "a1"))
    assert found.boot_id
    assert found.memory_bytes > 0
    assert found.cgroup in ("v1", "v2", "hybrid")
