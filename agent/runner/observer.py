"""What trials, guards and measurements ask about the host: the probes, put together."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.guards import HostState
from agent.live import HostFigures
from agent.probes.base import NoData, Roots
from agent.probes.group import GroupMemory
from agent.probes.load import Accounts, HostLoad
from agent.probes.memory import HostMemory
from agent.probes.pressure import RESOURCES, Pressure
from agent.probes.sampling import OnProbe, Sampler
from agent.probes.sight import carriers, host_facts
from agent.process import ProcessView
from tonnage.model import Sample


@dataclass(frozen=True, slots=True)
class Census:
    """Instances to weigh, as counted by their health checks just before."""

    views: Sequence[ProcessView]
    base_paths: Sequence[Path]
    engine_pids: Sequence[int]
    alive: int
    answering: int
    group: GroupMemory | None = None


class Observer:
    """Reads the host. All but ``sample`` is for the event loop: well under a millisecond."""

    def __init__(
        self, roots: Roots, disks: Iterable[Path], on_probe: OnProbe | None = None
    ) -> None:
        """``disks``: folders whose file systems the disk guard watches; the first has our data."""
        self._disks = tuple(disks)
        self._roots = roots
        self._memory = HostMemory(roots)
        self._pressure = Pressure(roots)
        self._load = HostLoad(roots, programs=[os.getpid()])
        self._sampler = Sampler(roots, on_probe)
        self._collector_pid: int | None = None

    def collector_is(self, pid: int | None) -> None:
        """The collector's process, when it is on this host: its CPU and memory are not foreign."""
        self._collector_pid = pid

    def engines(self, pids: Iterable[int]) -> None:
        """The engines' daemons that serve from now on."""
        self._load.engines([*pids, *self._collector()])

    def _collector(self) -> list[int]:
        return [] if self._collector_pid is None else [self._collector_pid]

    def joined(self, instance_id: str, find: Callable[[], Sequence[int]]) -> None:
        """An instance is about to be launched; ``find`` tells its processes."""
        self._load.joined(instance_id, find)

    def leaving(self, instance_id: str) -> None:
        """An instance is about to be destroyed."""
        self._load.leaving(instance_id)

    def left(self, instance_id: str) -> None:
        """An instance is gone."""
        self._load.left(instance_id)

    def accounts(self) -> Accounts | None:
        """Whose the host's CPU time was until now."""
        return self._load.snapshot()

    def shares(
        self, before: Accounts | None, after: Accounts | None
    ) -> tuple[float | None, float | None]:
        """Foreign CPU and steal between two instants, as shares of the host's CPU time,
        0 to 1; ``None`` where it cannot be told."""
        shares = self._load.shares(before, after)
        return shares.foreign, shares.steal

    def pressure(self) -> dict[str, float]:
        """PSI "some" over 10 s in percent, by resource; what the kernel offers. Any thread."""
        found = self._pressure.read()
        if isinstance(found, NoData):
            return {}
        names = {name: f"{name}_some_avg10" for name in RESOURCES}
        return {name: found.values[key] for name, key in names.items() if key in found.values}

    def mem_available_bytes(self) -> int | None:
        """The host's available memory; ``None`` where it cannot be read."""
        memory = self._memory.read()
        return None if isinstance(memory, NoData) else int(memory.values["mem_available_bytes"])

    def state(self, instances: int, elapsed_seconds: float, reserved_bytes: int = 0) -> HostState:
        """What the guards look at, now."""
        pressure = self.pressure()
        return HostState(
            mem_available_bytes=self.mem_available_bytes(),
            disk_free_bytes=self.disk_free_bytes(),
            instances=instances,
            elapsed_seconds=elapsed_seconds,
            cpu_some_avg10=pressure.get("cpu"),
            memory_some_avg10=pressure.get("memory"),
            io_some_avg10=pressure.get("io"),
            reserved_bytes=reserved_bytes,
        )

    def disk_free_bytes(self) -> int | None:
        """Of the fullest disk watched; ``None`` where one cannot be read."""
        free = [_free_bytes(disk) for disk in self._disks]
        known = [size for size in free if size is not None]
        return min(known, default=None) if len(known) == len(free) else None

    def host(self) -> HostFigures:
        """The host's size and what is left of it, of the first disk watched. Any thread."""
        memory = self._memory.read()
        values = {} if isinstance(memory, NoData) else memory.values
        total, available = values.get("mem_total_bytes"), values.get("mem_available_bytes")
        return HostFigures(
            cpus=len(os.sched_getaffinity(0)),
            memory_total_bytes=None if total is None else int(total),
            memory_available_bytes=None if available is None else int(available),
            disk_free_bytes=_free_bytes(self._disks[0]) if self._disks else None,
        )

    def sample(self, census: Census) -> Sample:
        """Weigh host and instances now. Blocking: call it in a thread."""
        return self._sampler.sample(
            census.views,
            alive=census.alive,
            answering=census.answering,
            base_paths=census.base_paths,
            engine_pids=census.engine_pids,
            program_pids=[os.getpid(), *self._collector()],
            group=census.group,
        )

    def group(self, folder: Path) -> GroupMemory:
        """A reader of a memory group that was just made."""
        return GroupMemory(folder, self._roots)

    def sight(self, words: Sequence[str]) -> tuple[dict[str, object], dict[str, tuple[int, ...]]]:
        """The host's facts, as instances tell theirs, and the pids whose command line holds
        each of the words. Blocking."""
        return host_facts(self._roots), carriers(words, self._roots)


def _free_bytes(disk: Path) -> int | None:
    try:
        found = os.statvfs(disk)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize
