"""The processes of an instance, and the few /proc reads that runtimes and probes share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProcessView:
    """The processes and places of a live instance, for the probes.

    ``pids``: *all* of its processes: VMM, shim, helper, workload.
    ``cgroups``: absolute folders by controller (``memory``, ``cpuacct``; ``unified``
    for v2) below the probe's cgroup root. ``vmm_pid`` and ``guest_ram_bytes``
    only for a VM. ``paths``: the instance's own files, for marginal disk.
    """

    pids: tuple[int, ...]
    cgroups: dict[str, Path] = field(default_factory=dict)
    vmm_pid: int | None = None
    guest_ram_bytes: int = 0
    paths: tuple[Path, ...] = ()
