"""One look at host and instances, by all probes together."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from agent import process
from agent.probes.base import NoData, Reading, Roots
from agent.probes.cgroup import CgroupMemory
from agent.probes.disk import Disk, allocated_bytes
from agent.probes.foreign import ForeignMemory
from agent.probes.group import GroupMemory
from agent.probes.layers import Layers
from agent.probes.memory import HostMemory
from agent.probes.pressure import Pressure
from agent.probes.pss import Pss, VmmOverhead
from agent.process import ProcessView
from tonnage.model import Sample

OnProbe = Callable[[str, float, bool], None]
"""Called with a probe's name, its duration in seconds, and whether it gave data."""

Read = Callable[[], Reading | NoData]


class Sampler:
    """Fills a ``Sample``. Synchronous: 0.2 ms for each process and more; call it in a thread.

    A probe that applies to none of the instances (guest RAM of containers) is
    not read. ``gaps`` holds the latest reason of each probe that gave no data.
    """

    def __init__(self, roots: Roots | None = None, on_probe: OnProbe | None = None) -> None:
        roots = roots or Roots()
        self._proc = roots.proc
        self._memory = HostMemory(roots)
        self._foreign = ForeignMemory(roots)
        self._pressure = Pressure(roots)
        self._pss = Pss(roots)
        self._vmm = VmmOverhead(roots)
        self._layers = Layers(roots)
        self._cgroup = CgroupMemory()
        self._disk = Disk()
        self._on_probe = on_probe or (lambda *_: None)
        self._bases: dict[tuple[Path, ...], int] = {}
        self.gaps: dict[str, str] = {}

    def sample(
        self,
        instances: Sequence[ProcessView],
        *,
        alive: int,
        answering: int,
        base_paths: Sequence[Path] = (),
        engine_pids: Sequence[int] = (),
        program_pids: Sequence[int] = (),
        group: GroupMemory | None = None,
    ) -> Sample:
        """Read now. The host comes first, so that our own reading does not show in it.

        ``program_pids``: agent and collector. With the engine's daemons and the
        instances they are ours; every other process is foreign. ``group``: what the
        instances live below, if anything.
        """
        ours = {*engine_pids, *program_pids, *(pid for view in instances for pid in view.pids)}
        values = self._timed(group.name, group.read) if group is not None else {}
        for name, read in self._readings(instances, base_paths, engine_pids, ours):
            values.update(self._timed(name, read))
        figures = {name: int(value) for name, value in values.items() if name in _WHOLE}
        averages = {name: value for name, value in values.items() if name in _AVERAGES}
        return Sample(len(instances), alive, answering, **figures, **averages)  # type: ignore[arg-type]  # names checked by the tables below

    def _readings(
        self,
        views: Sequence[ProcessView],
        base: Sequence[Path],
        engine: Sequence[int],
        ours: Collection[int],
    ) -> Iterator[tuple[str, Read]]:
        yield self._memory.name, self._memory.read
        yield self._foreign.name, lambda: self._foreign.read(ours)
        yield self._pressure.name, self._pressure.read
        yield self._pss.name, lambda: self._pss.read(views)
        if any(view.cgroups for view in views):
            yield self._cgroup.name, lambda: self._cgroup.read(views)
        if any(view.vmm_pid for view in views):
            yield self._vmm.name, lambda: self._vmm.read(views)
        yield self._layers.name, lambda: self._layers.read(views)
        if engine:
            yield "engine", lambda: self._engine(engine)
        if base:
            yield "disk_base", lambda: self._base(tuple(base))
        yield self._disk.name, lambda: self._disk.read(views)

    def _timed(self, name: str, read: Read) -> dict[str, float]:
        begun = time.monotonic()
        try:
            found = read()
        except (OSError, ValueError, IndexError) as error:  # a file not as documented
            found = NoData(f"{type(error).__name__}: {error}")
        self._on_probe(name, time.monotonic() - begun, isinstance(found, Reading))
        if isinstance(found, NoData):
            self.gaps[name] = found.reason
            return {}
        self.gaps.pop(name, None)
        return found.values

    def _engine(self, pids: Sequence[int]) -> Reading | NoData:
        """The daemons' PSS, and their CPU time with that of the children they waited for."""
        memory = self._pss.read_pids(sorted(set(pids)))
        if isinstance(memory, NoData):
            return memory
        spent = sum(process.family_cpu_ns(pid, self._proc) or 0 for pid in set(pids))
        return Reading({"engine_bytes": memory.values["pss_bytes"], "engine_cpu_ns": spent})

    def _base(self, paths: tuple[Path, ...]) -> Reading:
        """The disk base is walked once: an image's files do not change once it is prepared."""
        if paths not in self._bases:
            self._bases[paths] = allocated_bytes(paths)
        return Reading({"disk_base_bytes": self._bases[paths]})


_AVERAGES = frozenset({"cpu_some_avg10", "memory_some_avg10", "io_some_avg10"})
_WHOLE = frozenset(Sample.__dataclass_fields__) - _AVERAGES
