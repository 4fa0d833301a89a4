"""What each probe reads, figure by figure, from fixture hosts."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.probes.base import NoData, Reading, Roots
from agent.probes.cgroup import CgroupMemory
from agent.probes.cpu import HostCpu
from agent.probes.memory import PAGE_BYTES, HostMemory
from agent.probes.pressure import Pressure
from agent.probes.pss import Pss, VmmOverhead
from agent.process import TICK_NS, ProcessView

HOSTS = Path(__file__).parents[2] / "fixtures" / "hosts"
KIB, MIB = 1024, 1024 * 1024
CONTAINER = ProcessView((4300, 4301))


def roots(kind: str) -> Roots:
    return Roots(HOSTS / kind / "proc", HOSTS / kind / "sys")


def values(found: Reading | NoData) -> dict[str, float]:
    assert isinstance(found, Reading), found
    return found.values


def smaps(*mappings: tuple[int, int, str, int]) -> str:
    """Mappings as (start, size, backing, PSS in kB)."""
    return "".join(
        f"{start:x}-{start + size:x} rw-p 00000000 00:00 0    {backing}\n"
        f"Size: {size // KIB} kB\nPss: {pss} kB\nPss_Dirty: {pss} kB\nVmFlags: rd wr\n"
        for start, size, backing, pss in mappings
    )


def vmm_overhead(tmp_path: Path, ram_bytes: int, text: str) -> Reading | NoData:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "smaps").write_text(text)
    view = ProcessView((7,), vmm_pid=7, guest_ram_bytes=ram_bytes)
    return VmmOverhead(Roots(tmp_path)).read([view])


def test_memory_is_in_bytes() -> None:
    assert values(HostMemory(roots("v2")).read()) == {
        "mem_available_bytes": 8192000 * KIB,
        "mem_total_bytes": 16384000 * KIB,
        "swap_total_bytes": 2097152 * KIB,
        "swap_free_bytes": 2097148 * KIB,
    }


def test_free_pages_on_the_lists_of_each_cpu_are_available(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 4000 kB\nMemAvailable: 1000 kB\n")
    (tmp_path / "zoneinfo").write_text(
        "Node 0, zone   Normal\n  pages free     500\n      nr_free_pages 500\n  pagesets\n"
        "    cpu: 0\n              count:    7\n              high:     90\n"
        "              high_max: 106496\n  vm stats threshold: 32\n"
        "    cpu: 1\n              count:    3\n              high:     90\n"
    )
    assert values(HostMemory(Roots(tmp_path)).read()) == {
        "mem_available_bytes": 1000 * KIB + 10 * PAGE_BYTES,
        "mem_total_bytes": 4000 * KIB,
        "per_cpu_free_bytes": 10 * PAGE_BYTES,
    }


def test_pressure_is_the_share_of_some_over_ten_seconds() -> None:
    assert values(Pressure(roots("v2")).read()) == {
        "cpu_some_avg10": 3.53,
        "memory_some_avg10": 0.62,
        "io_some_avg10": 12.0,
    }


def test_busy_leaves_out_idle_steal_and_does_not_count_guests_twice() -> None:
    assert values(HostCpu(roots("v2")).read()) == {
        "cpu_busy_ns": (6511 + 10 + 2160 + 3 + 57) * TICK_NS,
        "cpu_idle_ns": (281269 + 490) * TICK_NS,
        "cpu_steal_ns": 27 * TICK_NS,
    }


def test_an_old_kernel_that_tells_no_steal_has_none() -> None:
    assert values(HostCpu(roots("bare")).read())["cpu_steal_ns"] == 0


def test_pss_adds_all_processes_once() -> None:
    twice = [CONTAINER, CONTAINER]
    assert values(Pss(roots("v2")).read(twice))["pss_bytes"] == (2500 + 700) * KIB


def test_the_overhead_of_a_real_qemu_leaves_out_its_guest_ram() -> None:
    view = ProcessView((4242,), vmm_pid=4242, guest_ram_bytes=128 * MIB)
    found = values(VmmOverhead(roots("v2")).read([view]))
    whole = values(Pss(roots("v2")).read([view]))["pss_bytes"]
    assert found["guest_ram_bytes"] > 60 * MIB
    assert found["vmm_overhead_bytes"] + found["guest_ram_bytes"] == whole


@pytest.mark.parametrize(
    "backing", ["", "/memfd:memory-backend-memfd (deleted)", "/dev/shm/ram", "/dev/zero (deleted)"]
)
def test_guest_ram_may_be_anonymous_a_memfd_or_a_file(tmp_path: Path, backing: str) -> None:
    text = smaps((0x1000, MIB, "[heap]", 300), (0x10000000, 64 * MIB, backing, 5000))
    found = values(vmm_overhead(tmp_path, 64 * MIB, text))
    assert found == {"vmm_overhead_bytes": 300 * KIB, "guest_ram_bytes": 5000 * KIB}


def test_guest_ram_split_into_neighbours_is_still_found(tmp_path: Path) -> None:
    text = smaps((0x10000000, 16 * MIB, "", 100), (0x11000000, 48 * MIB, "", 200))
    assert values(vmm_overhead(tmp_path, 64 * MIB, text))["guest_ram_bytes"] == 300 * KIB


def test_an_arena_beside_its_reserve_is_not_taken_for_guest_ram(tmp_path: Path) -> None:
    arena = ((0x10000000, 132 * KIB, "", 90), (0x10000000 + 132 * KIB, 64 * MIB - 132 * KIB, "", 0))
    text = smaps(*arena, (0x20000000, 64 * MIB, "", 50))
    assert values(vmm_overhead(tmp_path, 64 * MIB, text))["vmm_overhead_bytes"] == 90 * KIB


def test_a_vmm_without_a_mapping_of_that_size_is_no_data(tmp_path: Path) -> None:
    found = vmm_overhead(tmp_path, 64 * MIB, smaps((0x1000, MIB, "", 300)))
    assert isinstance(found, NoData)
    assert str(64 * MIB) in found.reason


@pytest.mark.parametrize("kind", ["v1", "v2", "hybrid"])
def test_a_cgroup_charge_is_the_same_on_every_version(kind: str) -> None:
    mount = HOSTS / kind / "sys/fs/cgroup"
    folders = {"unified": mount / "system.slice/docker-abc.scope"}
    if kind != "v2":
        folders = {"memory": mount / "memory/docker/abc", "unified": mount / "unified/docker/abc"}
    assert values(CgroupMemory().read([ProcessView((4301,), folders)])) == {
        "cgroup_bytes": 4321280,
        "cgroup_inactive_file_bytes": 1048576,
        "cgroup_kernel_bytes": 1048576,
    }


def test_a_sum_over_only_some_instances_is_no_sum() -> None:
    grouped = ProcessView((4301,), {"memory": HOSTS / "v1/sys/fs/cgroup/memory/docker/abc"})
    found = CgroupMemory().read([grouped, ProcessView((4242,))])
    assert isinstance(found, NoData)
    assert "1 of 2" in found.reason


def test_a_unified_group_without_the_memory_controller_is_no_data() -> None:
    view = ProcessView((4301,), {"unified": HOSTS / "hybrid/sys/fs/cgroup/unified/docker/abc"})
    assert isinstance(CgroupMemory().read([view]), NoData)
