"""Removing what is left of a VM, by whoever finds it: its owner, recovery, a sweep."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from agent.errors import InstanceLeaked
from agent.process import Identity
from agent.runtimes import cgroups
from agent.runtimes.qemu.places import Places
from agent.runtimes.records import Record


def check_gone(instance_id: str, survivors: Sequence[Identity]) -> None:
    """Raise ``InstanceLeaked`` if processes were killed and live on."""
    if survivors:
        pids = ", ".join(str(survivor.pid) for survivor in survivors)
        raise InstanceLeaked(
            f"processes of the VM outlived SIGKILL: {pids}",
            value=instance_id,
            remedy="They wait in the kernel; look at their stack in /proc, then destroy again.",
        )


async def remove_remains(places: Places, record: Record) -> None:
    """Remove an ended VM's cgroups and folder. Idempotent. Raises ``InstanceLeaked``."""
    left = await asyncio.to_thread(_remove, places, record)
    if left:
        raise InstanceLeaked(
            f"the VM left behind {', '.join(left)}",
            value=record.instance_id,
            remedy="Remove it by hand, then destroy again.",
        )


def _remove(places: Places, record: Record) -> list[str]:
    groups = cgroups.remove(record.cgroups)
    left = [str(group) for group in groups]
    if not groups and not places.forget(record.instance_id):
        left.append(str(places.folder(record.instance_id)))
    return left
