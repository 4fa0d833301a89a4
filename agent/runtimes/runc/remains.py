"""What is left of a container, and its removal, by whoever finds it: owner, recovery, a sweep."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from agent.errors import InstanceLeaked
from agent.process import Identity
from agent.runtimes import cgroups
from agent.runtimes.killing import kill
from agent.runtimes.records import Record, read_json
from agent.runtimes.runc import groups, keeper, overlay
from agent.runtimes.runc.bundles import Bundles

_ROUNDS = 5
_DELETE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Remains:
    """One container by its name: everything that there may be of it."""

    container: str
    record: Record
    bundles: Bundles
    runc: str

    def members(self) -> tuple[Identity, ...]:
        """The processes in its cgroups."""
        return groups.members(self.record.cgroups)

    def processes(self) -> tuple[Identity, ...]:
        """Its own processes, then its keepers."""
        return (*self.members(), *keeper.find(self.container).get(self.container, ()))

    async def kill(self) -> None:
        """End every process. Idempotent. Raises ``InstanceLeaked``.

        The container first, so that runc takes it away itself; what a process had begun
        to start when it was killed is found by looking again.
        """
        survivors = await kill(self.members())
        for _ in range(_ROUNDS):
            left = await asyncio.to_thread(self.processes)
            if not left or survivors:
                break
            survivors = await kill(left)
        self._check_gone((*survivors, *await asyncio.to_thread(self.processes)))

    def first_process(self) -> int | None:
        """The pid of its first process, as runc notes it in its state before that process runs;
        ``None`` earlier, and once runc has taken the container away."""
        state = read_json(self.bundles.state / self.container / "state.json")
        pid = state.get("init_process_pid")
        return pid if isinstance(pid, int) and pid > 0 else None

    def _check_gone(self, survivors: Sequence[Identity]) -> None:
        if survivors:
            pids = ", ".join(str(survivor.pid) for survivor in survivors)
            raise InstanceLeaked(
                f"processes of the container outlived SIGKILL: {pids}",
                value=self.record.instance_id,
                remedy="They wait in the kernel; look at their stack in /proc, then destroy again.",
            )

    async def remove(self) -> None:
        """Remove what is not a process: runc's state, cgroups, mount and folder, once every
        process has ended. Idempotent. Raises ``InstanceLeaked``."""
        left = await asyncio.to_thread(self._remove)
        if left:
            raise InstanceLeaked(
                f"the container left behind {', '.join(left)}",
                value=self.record.instance_id,
                remedy="Remove it by hand, then destroy again.",
            )

    def _remove(self) -> list[str]:
        state = self.bundles.state / self.container
        if state.exists():
            self._delete()
        left = [str(folder) for folder in cgroups.remove(self.record.cgroups)]
        folder = self.bundles.folder(self.record.instance_id)
        if not overlay.unmount(folder):
            left.append(f"a mount on {folder / overlay.MERGED}")
        elif state.exists():
            left.append(str(state))
        elif not self.bundles.forget(self.record.instance_id):
            left.append(str(folder))
        return left

    def _delete(self) -> None:
        """Have runc forget it; whether that worked is seen by what is left."""
        command = (self.runc, "--root", str(self.bundles.state), "delete", "--force")
        try:
            subprocess.run(
                (*command, self.container),
                check=False,
                capture_output=True,
                timeout=_DELETE_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired):
            return
