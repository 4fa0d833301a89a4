"""Memory of everybody else on the host: what a ramp must not be blamed for."""

from __future__ import annotations

from collections.abc import Iterable

from agent import process
from agent.probes.base import NoData, Reading, Roots
from agent.probes.memory import PAGE_BYTES
from agent.probes.read import text

_INIT = 1
_RESIDENT, _SHARED = 1, 2  # fields of /proc/PID/statm, in pages: proc(5)


class ForeignMemory:
    """Anonymous resident memory of all processes but ours.

    Resident less shared pages of ``/proc/PID/statm``: that is the kernel's
    RssAnon, at less than 20 µs a process where PSS takes 200. Pages of files are
    left out, since most are reclaimable and thus available all the same.

    It sees changes and does not weigh. A page that a fork shares with its
    parent counts in both, so a fork reads high. Not seen are shared memory
    (tmpfs, memfd), page tables and other kernel memory, and what was swapped
    out. Since Linux 6.2 the kernel may leave some 32 pages a CPU of each process
    uncounted for a while. Where processes of other users are hidden from us
    (proc mounted with ``hidepid``) there is no data.
    """

    name = "foreign"

    def __init__(self, roots: Roots) -> None:
        self._proc = roots.proc

    def read(self, ours: Iterable[int]) -> Reading | NoData:
        """Read now, all but ``ours``. A process that ended meanwhile counts as nothing."""
        pids = set(process.pids(self._proc))
        if _INIT not in pids:
            return NoData(f"{self._proc} does not show process {_INIT}: others may be hidden too")
        pages = 0
        for pid in pids.difference(ours):
            folder = self._proc / str(pid)
            content = text(folder / "statm")
            if isinstance(content, NoData):
                if folder.exists():
                    return content
                continue
            fields = content.split()[: _SHARED + 1]
            if len(fields) <= _SHARED or not all(map(str.isdecimal, fields)):
                return NoData(f"{folder}/statm is not as documented: {content[:40]!r}")
            pages += max(0, int(fields[_RESIDENT]) - int(fields[_SHARED]))
        return Reading({"foreign_bytes": pages * PAGE_BYTES})
