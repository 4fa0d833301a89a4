"""A container that outlived the agent that launched it: held to be weighed and destroyed."""

from __future__ import annotations

from agent.errors import InstanceExited
from agent.process import Identity, ProcessView
from agent.runtimes import cgroups
from agent.runtimes.runc.groups import weighed
from agent.runtimes.runc.remains import Remains


class RecoveredContainer:
    """A container whose console was closed with its agent: it cannot answer."""

    def __init__(self, remains: Remains, keepers: tuple[Identity, ...]) -> None:
        self._remains = remains
        self._keepers = keepers

    @property
    def id(self) -> str:
        return self._remains.record.instance_id

    async def ready(self) -> None:
        raise InstanceExited(
            "the container's console was lost with the agent that launched it",
            evidence=self.evidence(),
        )

    def evidence(self) -> str:
        pids = ", ".join(str(pid) for pid in self.processes().pids) or "none"
        return f"recovered after a crash of the agent; live processes: {pids}"

    def processes(self) -> ProcessView:
        found = (*self._remains.members(), *self._keepers)
        pids = tuple(one.pid for one in found if one.alive())
        if not pids:
            return ProcessView(pids=())
        folder = self._remains.bundles.folder(self.id)
        groups = weighed(self._remains.record.cgroups)
        return ProcessView(pids, groups, paths=(folder,) if folder.exists() else ())

    def cpu_ns(self) -> int | None:
        return cgroups.cpu_ns(self._remains.record.cgroups)

    async def alive(self) -> bool:
        return any(one.alive() for one in self._remains.members())

    async def answers(self) -> bool:
        return False

    async def stop(self, grace_seconds: float) -> None:
        """End it at once: nobody holds its console to ask it by."""
        del grace_seconds
        await self._remains.kill()

    async def destroy(self) -> None:
        await self._remains.kill()
        await self._remains.remove()
