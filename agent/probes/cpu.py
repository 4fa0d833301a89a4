"""The host's CPU time."""

from __future__ import annotations

from agent.probes.base import NoData, Reading, Roots
from agent.probes.read import text
from agent.process import TICK_NS


class HostCpu:
    """CPU time of all CPUs together since boot, from /proc/stat, in nanoseconds.

    ``cpu_busy_ns``: user, nice, system, irq and softirq (guest time is inside
    user). ``cpu_idle_ns``: idle and iowait. ``cpu_steal_ns``: taken by the
    hypervisor below. Resolution is one clock tick, mostly 10 ms, in each.
    """

    name = "cpu"

    def __init__(self, roots: Roots) -> None:
        self._path = roots.proc / "stat"

    def read(self) -> Reading | NoData:
        """Read now."""
        content = text(self._path)
        if isinstance(content, NoData):
            return content
        first = content.partition("\n")[0].split()
        fields = first[1:9]
        if first[:1] != ["cpu"] or len(fields) < 4 or not all(map(str.isdecimal, fields)):
            return NoData(f"{self._path} does not begin with the CPUs' total")
        ticks = [int(field) for field in fields]
        user, nice, system, idle, iowait, irq, softirq, steal = ticks + [0] * (8 - len(ticks))
        return Reading(
            {
                "cpu_busy_ns": (user + nice + system + irq + softirq) * TICK_NS,
                "cpu_idle_ns": (idle + iowait) * TICK_NS,
                "cpu_steal_ns": steal * TICK_NS,
            }
        )
