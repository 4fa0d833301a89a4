"""Whose CPU time it was: the share of the host that neither we nor our instances used.

foreign = host busy - agent and collector - engine daemons - instances.

**Accounts.** ``HostLoad`` keeps one counter of the CPU time of everything that
is ours, which never falls: it grows by what each process has used since it was
last read. A window is the difference of two snapshots, so any number of
overlapping trials share the reading. Daemons count from when they are first
seen, with the children they have waited for; instances count from their
beginning, with such children too (a shim waits for its runc); programs (agent,
collector) without, as the agent's children are the VMMs themselves.

**Cost.** A snapshot reads /proc/stat, about 15 µs for each daemon and 1 µs for
each process of the young instances. Looking an instance's processes up, and
those they have waited for, costs ten times that: it is done at once, then at
growing intervals (a quarter of a second, then half the instance's age), last
when it is leaving. An instance older than ``YOUNG_SECONDS`` is read once in
``SETTLED_SECONDS``. Joining one reads nothing.

**Resolution.** A process's own time is exact; that of children waited for comes
in clock ticks (10 ms). The host's time is exact where cgroup v1 accounts for it
(cpuacct of the root group), else in ticks on each CPU. So a share is good to
about two ticks a window in the first case (10 % of 100 ms on two CPUs), two
ticks on each CPU in the second; windows shorter than ``SHORTEST_TICKS`` ticks,
or twice that, have no share. A small negative difference is that same
uncertainty and reads as 0; one beyond it means the accounts contradict each
other, and there is no share. What an instance's last processes use between
their last reading and their end, and what kernel threads do on its behalf
(2 ms of a container's 80, seen), counts as foreign: the share errs on the high
side.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent import process
from agent.probes.base import NoData, Roots
from agent.probes.cpu import HostCpu
from agent.probes.read import number
from agent.process import TICK_NS

SHORTEST_TICKS = 5
YOUNG_SECONDS = 10.0
FIND_SECONDS = 0.25
SETTLED_SECONDS = 1.0

FindPids = Callable[[], Sequence[int]]


@dataclass(frozen=True, slots=True)
class Accounts:
    """The host's CPU time and ours at one instant, in nanoseconds."""

    at_ns: int
    busy_ns: int
    steal_ns: int
    own_ns: int


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares of the host's CPU time in a window, 0 to 1; ``None`` where it cannot be told."""

    foreign: float | None
    steal: float | None


@dataclass(slots=True)
class _Member:
    """An instance: how to find its processes, and what each has been seen to use."""

    find: FindPids
    joined: float
    found_at: float = float("-inf")
    read_at: float = float("-inf")
    own_ns: dict[int, int] = field(default_factory=dict)
    reaped_ns: dict[int, int] = field(default_factory=dict)

    def due_to_be_found(self, now: float) -> bool:
        """Whether its processes should be looked up again."""
        age = now - self.joined
        if not self.own_ns:
            return now - self.found_at >= min(FIND_SECONDS, age / 2)
        return age < YOUNG_SECONDS and now - self.found_at >= max(FIND_SECONDS, age / 2)

    def due_to_be_read(self, now: float) -> bool:
        """Whether its processes should be read again."""
        return now - self.joined < YOUNG_SECONDS or now - self.read_at >= SETTLED_SECONDS


class HostLoad:
    """Accounts of the host's CPU time. Not thread-safe: use it from one thread."""

    def __init__(
        self,
        roots: Roots | None = None,
        programs: Iterable[int] = (),
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        roots = roots or Roots()
        self._proc = roots.proc
        self._cpu = HostCpu(roots)
        self._cpus = _count_cpus(roots)
        self._cpuacct = _exact_account(roots, self._cpu)
        self._now = now
        self._own_ns = 0
        self._members: dict[str, _Member] = {}
        self._programs = {pid: self._own(pid) for pid in programs}
        self._daemons: dict[int, int] = {}

    def engines(self, pids: Iterable[int]) -> None:
        """Say which daemons serve now; new ones count from here, former ones no more."""
        self._daemons = {
            pid: self._daemons.get(pid, self._own(pid) + self._reaped(pid)) for pid in pids
        }

    def joined(self, key: str, find: FindPids) -> None:
        """An instance is being launched; ``find`` tells its processes, none if not yet there."""
        self._members[key] = _Member(find, self._now())

    def leaving(self, key: str) -> None:
        """An instance is about to be destroyed: read it once more."""
        if key in self._members:
            self._find(self._members[key])
            self._read(self._members[key])

    def left(self, key: str) -> None:
        """An instance is gone; what it was seen to use stays in the account."""
        self._members.pop(key, None)

    def snapshot(self) -> Accounts | None:
        """The accounts now; ``None`` where the kernel does not tell the host's."""
        host = self._cpu.read()
        if isinstance(host, NoData):
            return None
        self._update()
        exact = number(self._cpuacct) if self._cpuacct else None
        busy = int(host.values["cpu_busy_ns"]) if exact is None else exact
        steal = int(host.values["cpu_steal_ns"])
        return Accounts(int(self._now() * 1e9), busy, steal, self._own_ns)

    def shares(self, before: Accounts | None, after: Accounts | None) -> Shares:
        """What of the window between two snapshots was foreign, and what was stolen."""
        shortest_ns = SHORTEST_TICKS * TICK_NS * (1 if self._cpuacct else 2)
        if before is None or after is None or after.at_ns - before.at_ns < shortest_ns:
            return Shares(None, None)
        window_ns = (after.at_ns - before.at_ns) * self._cpus
        uncertain_ns = 2 * TICK_NS * (1 if self._cpuacct else self._cpus)
        foreign_ns = after.busy_ns - before.busy_ns - (after.own_ns - before.own_ns)
        return Shares(
            _share(foreign_ns, window_ns, uncertain_ns),
            _share(after.steal_ns - before.steal_ns, window_ns, uncertain_ns),
        )

    def _update(self) -> None:
        for pid, before in self._programs.items():
            self._programs[pid] = self._grow(before, self._own(pid))
        for pid, before in self._daemons.items():
            self._daemons[pid] = self._grow(before, self._own(pid) + self._reaped(pid))
        now = self._now()
        for member in self._members.values():
            if member.due_to_be_found(now):
                self._find(member)
            if member.due_to_be_read(now):
                self._read(member)

    def _find(self, member: _Member) -> None:
        """Look its processes up, and what the children they waited for have used."""
        member.found_at = self._now()
        for pid in member.find():
            member.own_ns.setdefault(pid, 0)
        for pid in member.own_ns:
            seen = member.reaped_ns.get(pid, 0)
            member.reaped_ns[pid] = self._grow(seen, self._reaped(pid))

    def _read(self, member: _Member) -> None:
        member.read_at = self._now()
        for pid, before in member.own_ns.items():
            member.own_ns[pid] = self._grow(before, self._own(pid))

    def _grow(self, before_ns: int, now_ns: int) -> int:
        """Add to our account; a process that is gone adds nothing."""
        self._own_ns += max(0, now_ns - before_ns)
        return max(before_ns, now_ns)

    def _own(self, pid: int) -> int:
        return process.cpu_ns(pid, self._proc) or 0

    def _reaped(self, pid: int) -> int:
        times = process.cpu_times(pid, self._proc)
        return 0 if times is None else times.reaped_ns


def _share(part_ns: int, window_ns: int, uncertain_ns: int) -> float | None:
    if part_ns < -uncertain_ns:
        return None
    return min(1.0, max(0.0, part_ns / window_ns))


def _count_cpus(roots: Roots) -> int:
    """CPUs that /proc/stat adds up."""
    try:
        lines = (roots.proc / "stat").read_text().splitlines()
    except OSError:
        return 1
    return max(1, sum(line.startswith("cpu") and line[3:4].isdecimal() for line in lines))


def _exact_account(roots: Roots, cpu: HostCpu) -> Path | None:
    """The root group's cpuacct file, if it does account for the whole host.

    In a cgroup namespace the root seen is not the host's: then its total since
    boot is far from that of /proc/stat.
    """
    path = roots.sys / "fs/cgroup/cpuacct/cpuacct.usage"
    usage, host = number(path), cpu.read()
    if usage is None or isinstance(host, NoData):
        return None
    busy = host.values["cpu_busy_ns"]
    return path if 0.5 < (usage + 1e9) / (busy + 1e9) < 2 else None
