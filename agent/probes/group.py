"""What is charged to the group that a ramp under a hard limit fills."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from agent.probes.base import NoData, Reading, Roots
from agent.probes.read import number, table, text


class GroupMemory:
    """The charge of one memory cgroup with all below it, as its limit meets it.

    ``group_bytes`` is what cannot be had back: anonymous memory, shared memory (there
    is no swap) and the kernel's own (page tables, stacks, the groups themselves).
    The page cache that the group was first to read is charged to it too, but is
    given back when the limit is near, so it decides nothing and is left out.
    Version 1: ``total_rss + total_shmem`` and ``memory.kmem.usage_in_bytes``;
    version 2: ``anon + shmem`` and ``kernel`` less ``slab_reclaimable``.

    ``group_peak_bytes``: the same at the highest charge since the reading before
    (since the group was made, where the kernel's mark cannot be set back). What
    starts of itself for a moment, such as the engine's helper that becomes a
    container, is seen here alone.

    ``oom_kills``: processes that the kernel killed for want of memory since the
    group was made: in the group (version 2), on the host (version 1, which counts
    each in a group that is gone with it).
    """

    name = "group"

    def __init__(self, folder: Path, roots: Roots) -> None:
        self._folder = folder
        self._unified = (folder / "cgroup.controllers").exists()
        self._vmstat = roots.proc / "vmstat"
        self._killed_before = self._killed()

    def read(self) -> Reading | NoData:
        """Read now, and set the mark of the highest charge back."""
        held = self._held_v2() if self._unified else self._held_v1()
        if held is None:
            return NoData(f"{self._folder}: its memory cannot be read")
        values = {"group_bytes": float(held)}
        rise = self._rise()
        if rise is not None:
            values["group_peak_bytes"] = held + rise
        killed = self._killed()
        if killed is not None and self._killed_before is not None:
            values["oom_kills"] = killed - self._killed_before
        return Reading(values)

    def _held_v1(self) -> int | None:
        stat = self._table("memory.stat")
        kernel = number(self._folder / "memory.kmem.usage_in_bytes")
        if "total_rss" not in stat:
            return None
        return stat["total_rss"] + stat.get("total_shmem", 0) + (kernel or 0)

    def _held_v2(self) -> int | None:
        stat = self._table("memory.stat")
        if "anon" not in stat:
            return None
        kernel = stat.get("kernel")
        if kernel is None:  # before Linux 5.18: by its parts
            parts = ("kernel_stack", "pagetables", "percpu", "slab")
            kernel = sum(stat.get(part, 0) for part in parts)
        return stat["anon"] + stat.get("shmem", 0) + kernel - stat.get("slab_reclaimable", 0)

    def _rise(self) -> int | None:
        """How far the highest charge lay above the one now."""
        peak, now = self._names()
        highest, charge = number(self._folder / peak), number(self._folder / now)
        if highest is None or charge is None:
            return None
        with suppress(OSError):
            if not self._unified:
                (self._folder / peak).write_text("0")
        return max(0, highest - charge)

    def _names(self) -> tuple[str, str]:
        if self._unified:
            return "memory.peak", "memory.current"
        return "memory.max_usage_in_bytes", "memory.usage_in_bytes"

    def _killed(self) -> int | None:
        if self._unified:
            return self._table("memory.events").get("oom_kill")
        content = text(self._vmstat)
        return None if isinstance(content, NoData) else table(content).get("oom_kill")

    def _table(self, name: str) -> dict[str, int]:
        content = text(self._folder / name)
        return {} if isinstance(content, NoData) else table(content)
