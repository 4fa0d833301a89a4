"""A VM that outlived the agent that launched it: held only to be weighed and destroyed."""

from __future__ import annotations

from agent.errors import InstanceExited
from agent.process import Identity, ProcessView, cpu_ns
from agent.runtimes import cgroups
from agent.runtimes.killing import kill
from agent.runtimes.qemu.places import Places
from agent.runtimes.qemu.removal import check_gone, remove_remains
from agent.runtimes.records import Record


class RecoveredInstance:
    """A VM whose console and monitor were closed with its agent: it cannot answer."""

    def __init__(self, record: Record, processes: tuple[Identity, ...], places: Places) -> None:
        self._record = record
        self._processes = processes
        self._places = places

    @property
    def id(self) -> str:
        return self._record.instance_id

    async def ready(self) -> None:
        raise InstanceExited(
            "the VM's console was lost with the agent that launched it", evidence=self.evidence()
        )

    def evidence(self) -> str:
        pids = ", ".join(str(pid) for pid in self.processes().pids) or "none"
        return f"recovered after a crash of the agent; live processes: {pids}"

    def processes(self) -> ProcessView:
        pids = tuple(process.pid for process in self._processes if process.alive())
        if not pids:
            return ProcessView(pids=())
        folder = self._places.folder(self.id)
        return ProcessView(pids=pids, cgroups=dict(self._record.cgroups), paths=(folder,))

    def cpu_ns(self) -> int | None:
        charged = cgroups.cpu_ns(self._record.cgroups)
        if charged is not None:
            return charged
        used = [cpu_ns(process.pid) for process in self._processes if process.alive()]
        return sum(ns for ns in used if ns is not None) if used else None

    async def alive(self) -> bool:
        return any(process.alive() for process in self._processes)

    async def answers(self) -> bool:
        return False

    async def stop(self, grace_seconds: float) -> None:
        """End it at once: nobody holds a channel to ask it by."""
        del grace_seconds
        check_gone(self.id, await kill(self._processes))

    async def destroy(self) -> None:
        check_gone(self.id, await kill(self._processes))
        await remove_remains(self._places, self._record)
