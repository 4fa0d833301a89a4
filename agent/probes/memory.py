"""The host's memory."""

from __future__ import annotations

from agent.probes.base import NoData, Reading, Roots
from agent.probes.read import table, text

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
