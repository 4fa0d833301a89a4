"""Proportional set size: memory that shared pages do not count twice in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.probes.base import NoData, Reading, Roots
from agent.probes.read import table, text
from agent.process import ProcessView


class Pss:
    """The sum of PSS over all processes of all instances (smaps_rollup, since 4.14).

    A page mapped by n processes counts 1/n to each, so a sum over processes
    counts it once, as long as all its users are in the sum. Swapped pages count
    in ``pss_swap_bytes``, not here. Page tables and other kernel memory are in
    no PSS. Reading stops the process for its walk: about 0.2 ms each.
    """

    name = "pss"

    def __init__(self, roots: Roots) -> None:
        self._proc = roots.proc

    def read(self, instances: Sequence[ProcessView]) -> Reading | NoData:
        """Read now. A process that ended meanwhile counts as nothing."""
        return self.read_pids(sorted({pid for view in instances for pid in view.pids}))

    def read_pids(self, pids: Iterable[int]) -> Reading | NoData:
        """The same for any processes, each counted once."""
        total = {"pss_bytes": 0, "pss_swap_bytes": 0}
        for pid in pids:
            fields = self._fields(self._proc / str(pid))
            if isinstance(fields, NoData):
                return fields
            total["pss_bytes"] += fields.get("Pss", 0)
            total["pss_swap_bytes"] += fields.get("SwapPss", 0)
        return Reading({**total})

    def _fields(self, folder: Path) -> dict[str, int] | NoData:
        content = text(folder / "smaps_rollup")
        if not isinstance(content, NoData):
            return table(content)
        return {} if gone(folder) else content


class VmmOverhead:
    """What VMMs use besides the memory they give their guests.

    The PSS of each VMM process outside its guest RAM mapping, from smaps. Guest
    RAM is the mapping of exactly the size asked for, shared or private, of
    anonymous memory or a memfd, file, hugepage or System V segment. Should it
    be split into neighbours (after ``mprotect`` or a change of huge pages),
    neighbours that together have that size count.
    """

    name = "vmm_overhead"

    def __init__(self, roots: Roots) -> None:
        self._proc = roots.proc

    def read(self, instances: Sequence[ProcessView]) -> Reading | NoData:
        """Read now. A VMM that ended meanwhile counts as nothing."""
        vmms = [(view.vmm_pid, view.guest_ram_bytes) for view in instances if view.vmm_pid]
        if not vmms:
            return NoData("no instance is a virtual machine")
        overhead = ram = 0
        for pid, ram_bytes in vmms:
            content = text(self._proc / str(pid) / "smaps")
            found = [] if isinstance(content, NoData) else list(mappings(content))
            guest = _guest_ram(found, ram_bytes)
            if found and not guest:
                return NoData(f"process {pid} has no mapping of {ram_bytes} bytes to be guest RAM")
            ram += sum(mapping.pss_bytes for mapping in guest)
            overhead += sum(mapping.pss_bytes for mapping in found if mapping not in guest)
        return Reading({"vmm_overhead_bytes": overhead, "guest_ram_bytes": ram})


@dataclass(frozen=True, slots=True)
class Mapping:
    """One mapping of a process."""

    start: int
    end: int
    backing: str
    pss_bytes: int


_HEAD = re.compile(r"([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ \S+ *(.*)")
_PSS = re.compile(r"Pss: +(\d+) kB")


def mappings(smaps: str) -> Iterator[Mapping]:
    """The mappings in order of address, each with its own PSS."""
    head: re.Match[str] | None = None
    for line in smaps.splitlines():
        if found := _HEAD.fullmatch(line):
            head = found
        elif head and (found := _PSS.match(line)):
            start, end = int(head[1], 16), int(head[2], 16)
            yield Mapping(start, end, head[3], int(found[1]) * 1024)
            head = None


def _guest_ram(mappings: Sequence[Mapping], ram_bytes: int) -> list[Mapping]:
    """The mapping of exactly ``ram_bytes``, else neighbours that have it together.

    Of several the one with the largest PSS: a reserve of the same size is not touched.
    """
    candidates = list(_runs(mappings, ram_bytes))
    return max(candidates, key=lambda run: (-len(run), sum(m.pss_bytes for m in run)), default=[])


def _runs(mappings: Sequence[Mapping], ram_bytes: int) -> Iterator[list[Mapping]]:
    """Runs of adjoining mappings with the same backing that are ``ram_bytes`` long."""
    for first, mapping in enumerate(mappings):
        if mapping.backing.startswith("[") and mapping.backing != "[heap]":
            continue
        run: list[Mapping] = []
        for part in mappings[first:]:
            if run and (part.start != run[-1].end or part.backing != mapping.backing):
                break
            run.append(part)
            size = part.end - mapping.start
            if size == ram_bytes:
                yield run
            if size >= ram_bytes:
                break


def gone(folder: Path) -> bool:
    """Whether a process has ended or is a zombie: it has no memory. One that still has some
    and does not show it makes a sum wrong."""
    return not (folder / "statm").exists() or _resident(folder) == 0


def _resident(folder: Path) -> int:
    content = text(folder / "statm")
    fields = [] if isinstance(content, NoData) else content.split()
    return int(fields[1]) if fields[1:] and fields[1].isdecimal() else 0
