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
from collections.abc import Collection, Sequence

import structlog

from agent import process
from agent.process import PROC
from agent.runtimes.killing import identities, kill
from agent.runtimes.places import SHIMS

# Half a second is what a shim takes to make a container on a host that has little else to do.
LOOKS, LOOK_SECONDS = 8, 0.5

_ID = re.compile(r"[0-9a-f]{64}")
# A shim or an OCI runtime that tidies up after a container is let finish.
_TIDYING = "delete"

_log = structlog.get_logger("agent.runtimes.docker")


async def end(*container_ids: str) -> list[str]:
    """Kill every process of these containers, shims that are for them alone and what
    descends from those included; those that outlive it, in words."""
    found = identities(await asyncio.to_thread(_members, frozenset(container_ids)))
    if not found:
        return []
    _log.warning("ending what an engine forgot", processes=[one.pid for one in found])
    return [f"process {one.pid}" for one in await kill(found)]


class Vigil:
    """Goes on looking for what shims make of starts that failed; of one event loop."""

    def __init__(self, looks: int = LOOKS, look_seconds: float = LOOK_SECONDS) -> None:
        self._looks = looks
        self._look_seconds = look_seconds
        self._looks_left: dict[str, int] = {}
        self._looking: asyncio.Task[None] | None = None

    def keep(self, container_id: str) -> None:
        """End what comes of this container until so many looks have passed."""
        self._looks_left[container_id] = self._looks
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._keep_looking())

    async def ended(self) -> None:
        """Wait for the last look."""
        if self._looking is not None:
            await self._looking

    async def _keep_looking(self) -> None:
        while self._looks_left:
            await asyncio.sleep(self._look_seconds)
            try:
                await self._look(tuple(self._looks_left))
            except OSError:  # the next look may fare better
                _log.exception("cannot look for what an engine forgot")

    async def _look(self, container_ids: Sequence[str]) -> None:
        """For all containers in one pass over the host's processes."""
        for container_id in container_ids:
            self._looks_left[container_id] -= 1
            if not self._looks_left[container_id]:
                del self._looks_left[container_id]
        if left := await end(*container_ids):
            _log.error("what an engine forgot does not end", processes=left)


def _members(container_ids: Collection[str]) -> tuple[int, ...]:
    """The processes in these containers' cgroups, the shims that are for one of them, and
    what descends from those: not every OCI runtime makes a cgroup."""
    found: dict[int, None] = {}
    for pid in process.pids():
        if any(one in container_ids for one in _ID.findall(_cgroups(pid))):
            found[pid] = None
        elif any(one in container_ids for one in _shim_of(pid)):
            found |= dict.fromkeys((pid, *process.descendants(pid)))
    return tuple(found)


def _cgroups(pid: int) -> str:
    try:
        return (PROC / str(pid) / "cgroup").read_text(errors="replace")
    except OSError:  # it has ended
        return ""


def _shim_of(pid: int) -> list[str]:
    """The ids of containers that a shim, or the OCI runtime that it called, is to make."""
    if not process.comm(pid).startswith(SHIMS):
        return []
    arguments = process.cmdline(pid)
    return [] if _TIDYING in arguments else _ID.findall(" ".join(arguments))
