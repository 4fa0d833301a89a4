"""Whose memory is whose, in processes as the kernel tells of them."""

from __future__ import annotations

from pathlib import Path

from agent.probes.base import NoData, Roots
from agent.probes.layers import Layers
from agent.process import ProcessView

KIB = 1024
WORKLOAD = """\
5581e000-5582f000 r-xp 00000000 fe:00 11                         /usr/bin/python3.11
Pss:                 400 kB
7f1c0000-7f1d0000 r-xp 00000000 fe:00 12                         /usr/lib/libc.so.6
Pss:                 300 kB
7f1e0000-7f1f0000 r--p 00000000 fe:00 13                         /lib/ld-linux-x86-64.so.2
Pss:                  20 kB
7f200000-7f210000 r--p 00000000 fe:00 14                         /usr/lib/json.so (deleted)
Pss:                   8 kB
5583a000-5585b000 rw-p 00000000 00:00 0                          [heap]
Pss:                1000 kB
7ffc0000-7ffd0000 rw-p 00000000 00:00 0                          [stack]
Pss:                  12 kB
"""
SHIM = """\
00400000-00a00000 r-xp 00000000 fe:00 15                         /usr/bin/containerd-shim-runc-v2
Pss:                2500 kB
7f000000-7f010000 r-xp 00000000 fe:00 12                         /usr/lib/libc.so.6
Pss:                  50 kB
"""


def host(folder: Path, *processes: tuple[int, str, str]) -> Layers:
    for pid, command, smaps in processes:
        own = folder / str(pid)
        own.mkdir()
        (own / "cmdline").write_bytes(command.replace(" ", "\0").encode() + b"\0")
        (own / "statm").write_text("900 400 100 1 0 200 0\n")
        if smaps:
            (own / "smaps").write_text(smaps)
    return Layers(Roots(folder, folder))


def test_a_workload_is_split_into_libraries_and_itself(tmp_path: Path) -> None:
    found = host(tmp_path, (7, "python3 app.py", WORKLOAD)).read([ProcessView((7,))])
    assert not isinstance(found, NoData)
    assert found.values == {
        "helper_bytes": 0,
        "library_bytes": 328 * KIB,
        "application_bytes": 1412 * KIB,
    }


def test_a_shim_is_a_helper_with_all_that_it_maps(tmp_path: Path) -> None:
    shim = 8, "/usr/bin/containerd-shim-runc-v2 -namespace moby", SHIM
    found = host(tmp_path, (7, "sleep 9", WORKLOAD), shim).read([ProcessView((7, 8))])
    assert not isinstance(found, NoData)
    assert found.values["helper_bytes"] == 2550 * KIB
    assert found.values["library_bytes"] == 328 * KIB


def test_the_shell_that_keeps_a_container_is_a_helper_and_a_workloads_is_not(
    tmp_path: Path,
) -> None:
    keeper, own = (7, "sh -c script tonnage 60 runc", SHIM), (8, "sh -c script", WORKLOAD)
    found = host(tmp_path, keeper, own).read([ProcessView((7, 8))])
    assert not isinstance(found, NoData)
    assert found.values["helper_bytes"] == 2550 * KIB
    assert found.values["library_bytes"] == 328 * KIB


def test_a_machine_is_left_to_its_guest(tmp_path: Path) -> None:
    vm = ProcessView((9,), vmm_pid=9, guest_ram_bytes=1)
    found = host(tmp_path, (9, "qemu-system-x86_64", WORKLOAD)).read([vm])
    assert not isinstance(found, NoData)
    assert set(found.values.values()) == {0}


def test_a_process_that_ended_counts_as_nothing(tmp_path: Path) -> None:
    found = host(tmp_path).read([ProcessView((7,))])
    assert not isinstance(found, NoData)
    assert set(found.values.values()) == {0}


def test_a_process_that_hides_its_mappings_leaves_all_of_it_open(tmp_path: Path) -> None:
    found = host(tmp_path, (7, "sleep 9", "")).read([ProcessView((7,))])
    assert isinstance(found, NoData)
