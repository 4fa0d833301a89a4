"""The processes of an instance, and the few /proc reads that runtimes and probes share.

Every function takes the root of ``proc``, so that a fixture tree can stand in
for a host. A process that is gone reads as nothing: an empty tuple, ``None``,
``False``. A pid can be reused: whoever keeps one across time keeps an ``Identity``.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeGuard

PROC = Path("/proc")
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")

_CHUNK_BYTES = 1 << 16

# Fields of /proc/PID/stat after the parenthesised name, counted from 0: proc(5).
_STATE, _PPID, _UTIME, _STIME, _CUTIME, _CSTIME, _STARTTIME = 0, 1, 11, 12, 13, 14, 19


@dataclass(frozen=True, slots=True)
class Identity:
    """A process that is not mistaken for a later one of the same pid."""

    pid: int
    start_ticks: int

    @classmethod
    def of(cls, pid: int, proc: Path = PROC) -> Identity | None:
        """The process that has the pid now, if any; a zombie is one still."""
        ticks = start_ticks(pid, proc) if pid > 0 else None
        return None if ticks is None else cls(pid, ticks)

    def alive(self, proc: Path = PROC) -> bool:
        """Whether this very process still runs (a zombie does not)."""
        stat = _stat(self.pid, proc)
        return _running(stat) and int(stat[_STARTTIME]) == self.start_ticks


@dataclass(frozen=True, slots=True)
class ProcessView:
    """The processes and places of a live instance, for the probes.

    ``pids``: *all* of its processes: VMM, shim, helper, workload.
    ``cgroups``: absolute folders by controller (``memory``, ``cpuacct``; ``unified``
    for v2) below the probe's cgroup root. ``vmm_pid`` and ``guest_ram_bytes``
    only for a VM. ``paths``: the instance's own files, for marginal disk.
    """

    pids: tuple[int, ...]
    cgroups: dict[str, Path] = field(default_factory=dict)
    vmm_pid: int | None = None
    guest_ram_bytes: int = 0
    paths: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """CPU time of a process, and of the children it has waited for, in nanoseconds."""

    own_ns: int
    reaped_ns: int


def pids(proc: Path = PROC) -> tuple[int, ...]:
    """Every process of the host, ascending."""
    try:
        return tuple(sorted(int(entry.name) for entry in proc.iterdir() if entry.name.isdecimal()))
    except OSError:
        return ()


def alive(pid: int, proc: Path = PROC) -> bool:
    """Whether the process exists and has not ended (a zombie has)."""
    return _running(_stat(pid, proc))


def start_ticks(pid: int, proc: Path = PROC) -> int | None:
    """When the process started, in clock ticks after boot: with the pid, its identity."""
    stat = _stat(pid, proc)
    return None if stat is None else int(stat[_STARTTIME])


def parent(pid: int, proc: Path = PROC) -> int | None:
    """Its parent's pid; 0 for a process without one in this pid namespace."""
    stat = _stat(pid, proc)
    return None if stat is None else int(stat[_PPID])


def children(pid: int, proc: Path = PROC) -> tuple[int, ...]:
    """Its children now, ascending.

    From ``task/TID/children`` where the kernel has it (CONFIG_PROC_CHILDREN),
    else by one pass over every process's stat, about 10 µs each.
    """
    try:
        lists = [path.read_text() for path in (proc / str(pid) / "task").glob("*/children")]
    except OSError:
        lists = []
    if lists:
        return tuple(sorted(int(child) for text in lists for child in text.split()))
    return tuple(child for child, its_parent in _parents(proc).items() if its_parent == pid)


def descendants(pid: int, proc: Path = PROC) -> tuple[int, ...]:
    """Its children now, theirs, and so on; parents before children."""
    found = []
    for child in children(pid, proc):
        found += [child, *descendants(child, proc)]
    return tuple(found)


def cgroup_pids(folder: Path) -> tuple[int, ...]:
    """Every process in a cgroup and the groups below it, ascending; v1 and v2 alike.

    ``folder`` is the cgroup's own folder. A group that is gone holds nobody.
    """
    found = {int(line) for line in _text(folder / "cgroup.procs").split()}
    if not _is_leaf(folder):
        for where, _, names in os.walk(folder):
            if "cgroup.procs" in names:
                found.update(int(line) for line in _text(Path(where, "cgroup.procs")).split())
    return tuple(sorted(found - {0}))  # 0: a process outside this pid namespace


def cmdline(pid: int, proc: Path = PROC) -> tuple[str, ...]:
    """Its command line; empty for a kernel thread, a zombie, and a process that is gone."""
    raw = _text(proc / str(pid) / "cmdline")
    return tuple(raw.rstrip("\0").split("\0")) if raw else ()


def comm(pid: int, proc: Path = PROC) -> str:
    """Its name, cut by the kernel to 15 characters; empty if it is gone."""
    return _text(proc / str(pid) / "comm").strip()


def cpu_ns(pid: int, proc: Path = PROC) -> int | None:
    """CPU time it has used itself, ended threads included, in nanoseconds.

    On the live /proc from the process's CPU clock (clock_getcpuclockid(3)):
    exact, about a microsecond. From any other root, and where the clock is
    refused, utime + stime: a resolution of ``TICK_NS``, mostly 10 ms.
    """
    if proc == PROC and pid > 0:
        try:
            return time.clock_gettime_ns(_cpu_clock(pid))
        except OSError:
            pass  # gone, or refused by a sandbox: stat decides
    times = cpu_times(pid, proc)
    return None if times is None else times.own_ns


def family_cpu_ns(pid: int, proc: Path = PROC) -> int | None:
    """CPU time of a process and of the children it has waited for (those to ``TICK_NS``)."""
    times = cpu_times(pid, proc)
    if times is None:
        return None
    return (cpu_ns(pid, proc) or times.own_ns) + times.reaped_ns


def cpu_times(pid: int, proc: Path = PROC) -> CpuTimes | None:
    """Its CPU time and that of the children it waited for, to ``TICK_NS`` each."""
    stat = _stat(pid, proc)
    if stat is None:
        return None
    own = int(stat[_UTIME]) + int(stat[_STIME])
    reaped = int(stat[_CUTIME]) + int(stat[_CSTIME])
    return CpuTimes(own * TICK_NS, reaped * TICK_NS)


def _cpu_clock(pid: int) -> int:
    """The clock id of a process's CPU time.

    MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED) of include/linux/posix-timers_types.h,
    which glibc's clock_getcpuclockid computes too: part of the kernel's ABI.
    """
    return (~pid << 3) | 2


def _parents(proc: Path) -> dict[int, int]:
    """The parent of every process."""
    found = {}
    for pid in pids(proc):
        stat = _stat(pid, proc)
        if stat is not None:
            found[pid] = int(stat[_PPID])
    return found


def _is_leaf(folder: Path) -> bool:
    """Whether it surely has no folder below: a folder's links are its name, its own
    ``.`` and one ``..`` a child. Listing a cgroup's forty files costs ten times this."""
    try:
        return folder.stat().st_nlink == 2
    except OSError:
        return True


def _running(stat: list[str] | None) -> TypeGuard[list[str]]:
    return stat is not None and stat[_STATE] not in ("Z", "X")


def _stat(pid: int, proc: Path) -> list[str] | None:
    """The fields of /proc/PID/stat after the name, which may hold blanks and brackets."""
    text = _text(proc / str(pid) / "stat")
    return text.rpartition(")")[2].split() or None


def _text(path: Path) -> str:
    """The whole of a file in /proc; by system calls alone, as a file object costs as
    much again, and a trial takes dozens of these looks."""
    chunks = []
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while chunk := os.read(descriptor, _CHUNK_BYTES):
                chunks.append(chunk)
        finally:
            os.close(descriptor)
    except OSError:
        return ""
    return b"".join(chunks).decode("utf-8", "replace")
