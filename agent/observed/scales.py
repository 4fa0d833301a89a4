"""What instances of others weigh: the estimators of results, a few processes at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from agent.observed.seen import Seen
from agent.probes.base import InstanceProbe, NoData, Roots
from agent.probes.cgroup import CgroupMemory
from agent.probes.pss import Pss, VmmOverhead
from agent.process import ProcessView

# Reading PSS stops a process for about 0.2 ms: a tenth of a second of reading a round.
MOST_PROCESSES = 500

_FIELDS = {"pss": "pss_bytes", "cgroup": "cgroup_bytes", "vmm_overhead": "vmm_overhead_bytes"}


@dataclass(frozen=True, slots=True)
class Weight:
    """Memory in bytes of all running instances by estimator, and how many of them have
    not been read yet. An estimator that one of them cannot give is left out: a sum over
    some would be taken for the sum of all."""

    bytes_by_estimator: Mapping[str, float]
    unread: int


@dataclass(frozen=True, slots=True)
class _Reading:
    at_monotonic: float
    values: Mapping[str, float]


class Scales:
    """Weighs the instances of one runtime. Blocking: call it in a thread.

    Each round reads at most ``most_processes``, or one instance that has more: those first
    that were never read or so the longest ago; the sum is over the latest reading of each.
    """

    def __init__(
        self, roots: Roots, *, machines: bool = False, most_processes: int = MOST_PROCESSES
    ) -> None:
        """``machines``: whether they are VMMs, of which some memory is the guest's."""
        probes: list[InstanceProbe] = [Pss(roots), CgroupMemory()]
        self._probes = [*probes, VmmOverhead(roots)] if machines else probes
        self._most_processes = most_processes
        self._readings: dict[str, _Reading] = {}

    def weigh(self, seen: Iterable[Seen], stop: Callable[[], bool]) -> Weight:
        """Read on until the bound or until told to stop; the sum as it is known then."""
        running = {one.key: one for one in seen if one.running}
        self._readings = {key: self._readings[key] for key in running if key in self._readings}
        processes = 0
        for one in sorted(running.values(), key=self._age):
            if one.view is None:
                continue
            first, processes = processes == 0, processes + len(one.view.pids)
            if stop() or (processes > self._most_processes and not first):
                break
            self._readings[one.key] = _Reading(time.monotonic(), self._read(one.view))
        return self._sum(len(running))

    def _age(self, one: Seen) -> float:
        reading = self._readings.get(one.key)
        return reading.at_monotonic if reading is not None else -1.0

    def _read(self, view: ProcessView) -> dict[str, float]:
        found: dict[str, float] = {}
        for probe in self._probes:
            try:
                reading = probe.read([view])
            except (OSError, ValueError, IndexError) as error:  # a file not as documented
                reading = NoData(f"{type(error).__name__}: {error}")
            if not isinstance(reading, NoData):
                found[probe.name] = reading.values[_FIELDS[probe.name]]
        return found

    def _sum(self, running: int) -> Weight:
        readings = [reading.values for reading in self._readings.values()]
        unread = running - len(readings)
        complete = [
            probe.name
            for probe in self._probes
            if not unread and all(probe.name in one for one in readings)
        ]
        return Weight({name: sum(one[name] for one in readings) for name in complete}, unread)
