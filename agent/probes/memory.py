"""The host's memory."""

from __future__ import annotations

import os
import re

from agent.probes.base import NoData, Reading, Roots
from agent.probes.read import table, text

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

_FIELDS = {
    "MemAvailable": "mem_available_bytes",
    "MemTotal": "mem_total_bytes",
    "SwapTotal": "swap_total_bytes",
    "SwapFree": "swap_free_bytes",
}
# The one "count" in zoneinfo: pages on a CPU's free lists of a zone.
_LISTED = re.compile(r"^\s+count:\s+(\d+)$", re.MULTILINE)


class HostMemory:
    """Memory available on the host, total and swap.

    MemAvailable (/proc/meminfo, since 3.14) is the kernel's own estimate of what
    new programs can get without swapping: free pages and reclaimable cache above
    the watermarks. It covers everything an instance costs the host, kernel
    memory and engine included.

    It does not see the free pages that each CPU keeps on lists of its own. Those
    lists grow with the rate of allocation (since Linux 6.7 up to an eighth of a
    zone), so launches push tens of MiB of free memory out of sight, and the
    kernel puts back 2,016 pages a second for each CPU (``decay_pcp_high`` in
    mm/page_alloc.c). Attributed to instances this would be a cost they do not
    have, and one that fades while it is looked at. The pages are free, so
    ``mem_available_bytes`` counts them (/proc/zoneinfo); ``per_cpu_free_bytes``
    tells how many there are, where the kernel does.
    """

    name = "memory"

    def __init__(self, roots: Roots) -> None:
        self._path = roots.proc / "meminfo"
        self._zones = roots.proc / "zoneinfo"

    def read(self) -> Reading | NoData:
        """Read now."""
        zones, content = text(self._zones), text(self._path)  # back to back: pages move
        if isinstance(content, NoData):
            return content
        found = table(content)
        if "MemAvailable" not in found:
            return NoData(f"{self._path} has no MemAvailable: the kernel is older than 3.14")
        values = {ours: float(found[name]) for name, ours in _FIELDS.items() if name in found}
        if not isinstance(zones, NoData):
            listed = PAGE_BYTES * sum(map(int, _LISTED.findall(zones)))
            values["per_cpu_free_bytes"] = listed
            values["mem_available_bytes"] += listed
        return Reading(values)
