"""The shim of a container of which containerd knows no task.

A start whose caller is gone is given up between the shim's own start and the container's;
the shim then goes on by itself, with the container's name among its arguments.
"""

from __future__ import annotations

import asyncio

import structlog

from agent import process
from agent.runtimes.killing import identities, kill

_SHIM = "containerd-shim"
_log = structlog.get_logger("agent.runtimes.containerd")


async def end(name: str) -> list[str]:
    """Kill the shims of the container of that name, and what descends from them; those that
    outlive it, in words."""
    found = identities(await asyncio.to_thread(_members, name))
    if not found:
        return []
    _log.warning("ending what containerd forgot", processes=[one.pid for one in found])
    return [f"process {one.pid}" for one in await kill(found)]


def _members(name: str) -> tuple[int, ...]:
    found: dict[int, None] = {}
    for pid in process.pids():
        if process.comm(pid).startswith(_SHIM) and name in process.cmdline(pid):
            found |= dict.fromkeys((pid, *process.descendants(pid)))
    return tuple(found)
