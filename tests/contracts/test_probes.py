"""What every probe guarantees, on hosts of every kind."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from agent.probes.base import NoData, Reading, Roots
from agent.probes.cgroup import CgroupMemory
from agent.probes.cpu import HostCpu
from agent.probes.disk import Disk
from agent.probes.foreign import ForeignMemory
from agent.probes.layers import Layers
from agent.probes.memory import HostMemory
from agent.probes.pressure import Pressure
from agent.probes.pss import Pss, VmmOverhead
from agent.process import ProcessView

HOSTS = Path(__file__).parents[1] / "fixtures" / "hosts"
KINDS = ("v1", "v2", "hybrid", "bare", "garbage", "not-there")
MIB = 1024 * 1024

Read = Callable[[Roots, Sequence[ProcessView]], Reading | NoData]

PROBES: dict[str, Read] = {
    "memory": lambda roots, _: HostMemory(roots).read(),
    "pressure": lambda roots, _: Pressure(roots).read(),
    "cpu": lambda roots, _: HostCpu(roots).read(),
    "foreign": lambda roots, views: ForeignMemory(roots).read(
        pid for view in views for pid in view.pids
    ),
    "pss": lambda roots, views: Pss(roots).read(views),
    "vmm_overhead": lambda roots, views: VmmOverhead(roots).read(views),
    "layers": lambda roots, views: Layers(roots).read(views),
    "cgroup": lambda _, views: CgroupMemory().read(views),
    "disk": lambda _, views: Disk().read(views),
}


# What this very host need not have, or its own process is not: pressure told by the kernel,
# a group of its own, a VMM.
MAY_LACK = ("pressure", "cgroup", "vmm_overhead")


def roots_of(kind: str) -> Roots:
    return Roots(HOSTS / kind / "proc", HOSTS / kind / "sys")


def views_of(kind: str) -> list[ProcessView]:
    """A container and a VM on a fixture host."""
    mount = HOSTS / kind / "sys/fs/cgroup"
    groups = {
        "v2": {"unified": mount / "system.slice/docker-abc.scope"},
        "hybrid": {"memory": mount / "memory/docker/abc", "unified": mount / "unified/docker/abc"},
    }.get(kind, {"memory": mount / "memory/docker/abc"})
    return [
        ProcessView((4300, 4301), groups, paths=(mount,)),
        ProcessView((4242,), groups, vmm_pid=4242, guest_ram_bytes=128 * MIB),
    ]


def assert_sound(found: Reading | NoData) -> None:
    if isinstance(found, NoData):
        assert found.reason
        return
    assert found.values
    for name, value in found.values.items():
        assert math.isfinite(value), name
        assert value >= 0, name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("probe", PROBES)
def test_a_reading_is_sound_or_says_why_there_is_none(probe: str, kind: str) -> None:
    assert_sound(PROBES[probe](roots_of(kind), views_of(kind)))


@pytest.mark.parametrize("probe", PROBES)
def test_no_instances_are_no_failure(probe: str) -> None:
    assert_sound(PROBES[probe](roots_of("v2"), []))


@pytest.mark.parametrize("probe", PROBES)
def test_this_very_host_can_be_read(probe: str) -> None:
    own = ProcessView((os.getpid(),), paths=(Path(__file__),))
    found = PROBES[probe](Roots(), [own])
    assert_sound(found)
    assert isinstance(found, Reading) or probe in MAY_LACK, found


@pytest.mark.parametrize("probe", ["pss", "cgroup", "disk"])
def test_what_vanished_counts_as_nothing(probe: str, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    gone = ProcessView((child.pid,), {"memory": tmp_path / "gone"}, paths=(tmp_path / "gone",))
    found = PROBES[probe](Roots(), [gone])
    assert isinstance(found, Reading)
    assert set(found.values.values()) == {0}


def test_a_zombie_counts_as_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.read()  # ends with the process, which is not waited for yet
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        found = Pss(Roots()).read([ProcessView((child.pid,))])
    assert found == Reading({"pss_bytes": 0, "pss_swap_bytes": 0})


@pytest.mark.parametrize(
    ("probe", "kind"),
    [
        ("memory", "bare"),
        ("pressure", "bare"),
        ("pressure", "v1"),
        ("pss", "bare"),
        ("foreign", "not-there"),
    ],
)
def test_what_a_kernel_lacks_is_no_data(probe: str, kind: str) -> None:
    assert isinstance(PROBES[probe](roots_of(kind), views_of(kind)), NoData)
