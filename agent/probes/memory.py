"""The host's memory, and what merges or enlarges its pages."""

from __future__ import annotations

import os

from agent.probes.base import NoData, Reading, Roots
from agent.probes.read import number, table, text

_FIELDS = {
    "MemAvailable": "mem_available_bytes",
    "MemTotal": "mem_total_bytes",
    "SwapTotal": "swap_total_bytes",
    "SwapFree": "swap_free_bytes",
}


class HostMemory:
    """MemAvailable, total and swap, from /proc/meminfo.

    MemAvailable is the kernel's own estimate of what new programs can get
    without swapping (since 3.14): free pages and reclaimable cache above the
    watermarks. It covers everything an instance costs the host, kernel memory
    and engine included.
    """

    name = "memory"

    def __init__(self, roots: Roots) -> None:
        self._path = roots.proc / "meminfo"

    def read(self) -> Reading | NoData:
        """Read now."""
        content = text(self._path)
        if isinstance(content, NoData):
            return content
        found = table(content)
        if "MemAvailable" not in found:
            return NoData(f"{self._path} has no MemAvailable: the kernel is older than 3.14")
        return Reading({ours: found[theirs] for theirs, ours in _FIELDS.items() if theirs in found})


class SharedPages:
    """Kernel samepage merging: while it merges, PSS falls and comes back by itself."""

    name = "ksm"

    def __init__(self, roots: Roots) -> None:
        self._folder = roots.sys / "kernel/mm/ksm"

    def read(self) -> Reading | NoData:
        """Read now: ``ksm_run`` is 1 while it merges, ``ksm_saved_bytes`` what it saves."""
        run, sharing = (number(self._folder / name) for name in ("run", "pages_sharing"))
        if run is None or sharing is None:
            return NoData(f"{self._folder}: the kernel has no samepage merging")
        return Reading({"ksm_run": run, "ksm_saved_bytes": sharing * os.sysconf("SC_PAGE_SIZE")})


def ksm_state(roots: Roots) -> str:
    """``on``, ``off`` or ``unknown``."""
    run = number(roots.sys / "kernel/mm/ksm/run")
    return "unknown" if run is None else "on" if run == 1 else "off"


def huge_pages_state(roots: Roots) -> str:
    """Transparent huge pages: ``always``, ``madvise``, ``never`` or ``unknown``."""
    content = text(roots.sys / "kernel/mm/transparent_hugepage/enabled")
    if isinstance(content, NoData) or "[" not in content:
        return "unknown"
    return content.partition("[")[2].partition("]")[0]
