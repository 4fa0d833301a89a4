"""Processes of a container whose engine has forgotten that it started them.

An engine that is killed while it starts a container takes it, once it is back, for one that
never ran, and removes it; what had been started by then lives on, owned by nobody. The
kernel still has it in the container's cgroup, whose path holds the container's id.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from agent.process import PROC, pids
from agent.runtimes.killing import identities, kill


async def end(container_id: str) -> list[str]:
    """Kill every process in a cgroup of this container; those that outlive it."""
    found = await asyncio.to_thread(_members, container_id)
    return [f"process {one.pid}" for one in await kill(identities(found))]


def _members(container_id: str) -> list[int]:
    return [pid for pid in pids() if container_id in _cgroups(PROC / str(pid) / "cgroup")]


def _cgroups(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:  # it has ended
        return ""
