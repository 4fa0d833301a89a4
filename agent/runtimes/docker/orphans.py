"""Processes of a container whose engine has forgotten that it started them.

An engine that is killed while it starts a container takes it, once it is back, for one that
never ran, and removes it; what had been started by then lives on, owned by nobody. The
kernel still has it in the container's cgroup, whose path holds the container's id.

The shim of that start goes on by itself, with the id among its arguments. What it makes may
come after the removal, so that one look at the host is not enough.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection
from pathlib import Path

from agent import process
from agent.process import PROC
from agent.runtimes.killing import identities, kill
from agent.runtimes.places import SHIMS

# A shim makes a container in half a second on a host that has little else to do.
LOOKS = 8
LOOK_SECONDS = 0.5

_ID = re.compile(r"[0-9a-f]{64}")
# A shim or an OCI runtime that tidies up after a container is let finish.
_TIDYING = "delete"


async def end(*container_ids: str) -> list[str]:
    """Kill every process of these containers; those that outlive it, in words."""
    found = await asyncio.to_thread(_members, frozenset(container_ids))
    return [f"process {one.pid}" for one in await kill(identities(found))]


class Vigil:
    """Goes on looking for what shims make of starts that failed; of one event loop."""

    def __init__(self) -> None:
        self._looks_left: dict[str, int] = {}
        self._looking: asyncio.Task[None] | None = None

    def keep(self, container_id: str) -> None:
        """End what comes of this container in the next ``LOOKS * LOOK_SECONDS``."""
        self._looks_left[container_id] = LOOKS
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())

    async def ended(self) -> None:
        """Wait for the last look."""
        if self._looking is not None:
            await self._looking

    async def _look(self) -> None:
        """All containers in one pass over the host's processes."""
        while self._looks_left:
            await asyncio.sleep(LOOK_SECONDS)
            looked_for = tuple(self._looks_left)
            await end(*looked_for)
            for container_id in looked_for:
                self._looks_left[container_id] -= 1
                if not self._looks_left[container_id]:
                    del self._looks_left[container_id]


def _members(container_ids: Collection[str]) -> list[int]:
    """The processes in these containers' cgroups, and the shims that are for one of them."""
    return [pid for pid in process.pids() if any(one in container_ids for one in _names(pid))]


def _names(pid: int) -> list[str]:
    """The ids of containers that a process is in or for."""
    found = _ID.findall(_read(pid, "cgroup"))
    if process.comm(pid).startswith(SHIMS):
        arguments = _read(pid, "cmdline").split("\0")
        found += () if _TIDYING in arguments else _ID.findall("\0".join(arguments))
    return found


def _read(pid: int, name: str) -> str:
    try:
        return (PROC / str(pid) / name).read_text()
    except OSError:  # it has ended
        return ""
